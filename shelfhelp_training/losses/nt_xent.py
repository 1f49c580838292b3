"""SimCLR's loss: each view has to find the other view of its picture among all others.

Chen, Kornblith, Norouzi, Hinton, A simple framework for contrastive learning, ICML 2020, eq. 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from shelfhelp_training.losses.gather import gather, own_rows


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy of N×D vectors of two views; row i of both shows one picture.

    The mean over the 2N views of −log softmax of the cosine with the other view, among those with all 2N−1 other views,
    each divided by ``temperature``. With several processes the views of all of them are what it is found among.
    """
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    everyone = torch.cat([gather(first), gather(second)])
    half, rows = len(everyone) // 2, own_rows(len(first), first.device)
    own, other = torch.cat([rows, rows + half]), torch.cat([rows + half, rows])
    cosines = torch.cat([first, second]) @ everyone.T
    itself = F.one_hot(own, len(everyone)).bool()
    return F.cross_entropy((cosines / temperature).masked_fill(itself, float("-inf")), other)
