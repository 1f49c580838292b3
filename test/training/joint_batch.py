"""What one of several processes does with its share of a batch. Imports little: a new process does it all again."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from shelfhelp_training.losses.nt_xent import nt_xent


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def learn_share(rank: int, count: int, folder: str, pictures: torch.Tensor) -> None:
    """Its share of 2×N×6 views through a network; loss and gradients go to ``folder/RANK.pt``."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    network = DistributedDataParallel(make_network())
    first, second = pictures.chunk(count, dim=1)[rank]
    loss = nt_xent(*network(torch.cat([first, second])).chunk(2), 0.2)
    loss.backward()
    torch.save((loss.detach(), [p.grad for p in network.parameters()]), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
