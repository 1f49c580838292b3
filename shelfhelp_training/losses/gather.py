"""The vectors of all processes, with gradients that find their way back."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, distributed
from torch.distributed.nn import functional


def gather(vectors: Tensor) -> Tensor:
    """N×D vectors of each of W processes to (W·N)×D, in the order of the ranks; alone, the vectors themselves.

    What a process makes of the others' vectors counts in their gradients. As DistributedDataParallel takes the mean
    over the processes, a loss that is the mean over a process's own vectors gives the gradient of the mean over all.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return vectors
    every = functional.all_gather(vectors)  # type: ignore[no-untyped-call]
    return torch.cat(cast(tuple[Tensor, ...], every))


def own_rows(count: int, device: torch.device) -> Tensor:
    """The rows (N) that a process's own ``count`` vectors have in what `gather` returns."""
    rank = distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
    return torch.arange(count, device=device) + rank * count
