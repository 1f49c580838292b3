"""Batches of a few fixed sizes, for what prepares itself anew for every shape it meets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS


def in_batches(
    inputs: Mapping[str, np.ndarray],
    batched: Sequence[str],
    go: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]],
    largest: int = BATCH_BUCKETS[-1],
) -> dict[str, np.ndarray]:
    """What ``go`` gives for inputs in batches of the sizes in `BATCH_BUCKETS`; the last one is filled up with zeros.

    The first axis of the inputs named by ``batched``, and of every output, is the batch; it may be empty.
    """
    count = len(inputs[batched[0]])
    parts = []
    for start in range(0, max(count, 1), largest):
        size = min(largest, count - start)
        bucket = next((bucket for bucket in BATCH_BUCKETS if bucket >= size), largest)
        part = dict(inputs)
        for name in batched:
            filled = np.zeros((bucket, *inputs[name].shape[1:]), inputs[name].dtype)
            filled[:size] = inputs[name][start : start + size]
            part[name] = filled
        parts.append({name: value[:size] for name, value in go(part).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
