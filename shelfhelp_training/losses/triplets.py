"""Triplet loss with a hard or a soft margin, and a curriculum of ever harder triplets.

In defense of the triplet loss: Hermans, Beyer, Leibe, 2017 (soft margin); FaceNet: Schroff et al., CVPR 2015
(semi-hard). Distances, mining and the loss itself are pytorch-metric-learning's.
"""

from __future__ import annotations

from typing import Literal, cast

from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor, nn

Triplets = Literal["all", "semihard", "hard"]


class TripletLoss(nn.Module):
    """Mean over the chosen triplets of what the distance d⁺ to the same product exceeds d⁻, that to another one, by.

    Distances are Euclidean between vectors of length one. With a hard margin m a triplet costs max(0, d⁺ - d⁻ + m),
    with the soft one ln(1 + exp(d⁺ - d⁻)), which never quite lets go. Hard-margin triplets that cost nothing do not
    count in the mean.

    Args:
        soft: the soft margin.
        margin: m; of the soft loss, only how far semi-hard triplets reach.

    Attributes:
        triplets: which triplets of a batch count: all; ``semihard``: d⁺ < d⁻ < d⁺ + m; ``hard``: d⁻ < d⁺. A batch
            that holds none of these costs nothing.
    """

    def __init__(self, soft: bool = True, margin: float = 0.2) -> None:
        super().__init__()
        self.triplets: Triplets = "all"
        self.margin = margin
        self.distance = distances.LpDistance(normalize_embeddings=True, p=2)
        self.loss = losses.TripletMarginLoss(
            margin=0.0 if soft else margin,
            smooth_loss=soft,
            distance=self.distance,
            reducer=reducers.MeanReducer() if soft else reducers.AvgNonZeroReducer(),
        )

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Loss of N×D vectors with the numbers of their N products."""
        chosen = None
        if self.triplets != "all":
            miner = miners.TripletMarginMiner(self.margin, type_of_triplets=self.triplets, distance=self.distance)
            chosen = miner(vectors, labels)
        return cast(Tensor, self.loss(vectors, labels, chosen))


def curriculum(epoch: int, semihard_from: int | None, hard_from: int | None) -> Triplets:
    """The triplets of an epoch (from 0): all, from ``semihard_from`` on the semi-hard, from ``hard_from`` the hard.

    None leaves a step out.
    """
    if hard_from is not None and epoch >= hard_from:
        return "hard"
    if semihard_from is not None and epoch >= semihard_from:
        return "semihard"
    return "all"
