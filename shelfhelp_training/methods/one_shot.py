"""Metric learning on any backbone, for recognising a product from one picture of it: losses compared like with like.

`shelfhelp-train metric` knows two classes. ``MetricTraining`` (methods/metric.py), its default, makes the encoder that
comes with the robot: one network, tuned for crops on shelves. This one takes any backbone, data and budget, and nothing
but ``loss`` has to change between two runs that are to be compared. A configuration names it by ``class_path``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

from pytorch_metric_learning import losses, miners
from torch import Tensor, nn

from shelfhelp_training.losses.triplets import TripletLoss, curriculum
from shelfhelp_training.methods.embedding import EmbeddingTraining

LossName = Literal[
    "soft_triplet", "triplet", "contrastive", "multi_similarity", "supervised_contrastive", "proxy_anchor", "arcface"
]


class MinedMultiSimilarity(nn.Module):
    """Multi-similarity loss on the pairs its own miner chooses (Wang et al., CVPR 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
        self.miner = miners.MultiSimilarityMiner(epsilon=0.1)

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        return cast(Tensor, self.loss(vectors, labels, self.miner(vectors, labels)))


# Loss → how it is made for so many classes, dimensions and the margin of triplets: otherwise as its authors set it.
LOSSES: dict[LossName, Callable[[int, int, float], nn.Module]] = {
    "soft_triplet": lambda classes, dimensions, margin: TripletLoss(True, margin),
    "triplet": lambda classes, dimensions, margin: TripletLoss(False, margin),
    # Hadsell et al., CVPR 2006, on vectors of length one.
    "contrastive": lambda classes, dimensions, margin: losses.ContrastiveLoss(pos_margin=0, neg_margin=0.5),
    "multi_similarity": lambda classes, dimensions, margin: MinedMultiSimilarity(),
    # Khosla et al., NeurIPS 2020.
    "supervised_contrastive": lambda classes, dimensions, margin: losses.SupConLoss(temperature=0.1),
    # Kim et al., CVPR 2020.
    "proxy_anchor": lambda classes, dimensions, margin: losses.ProxyAnchorLoss(classes, dimensions, 0.1, 32),
    # Deng et al., CVPR 2019; 28.6 degrees are half a radian.
    "arcface": lambda classes, dimensions, margin: losses.ArcFaceLoss(classes, dimensions, margin=28.6, scale=64),
}


class OneShotTraining(EmbeddingTraining):
    """Trains vectors of any backbone by one of several losses on batches of P products with K pictures each.

    The data is ``ImageData`` with ``per_class`` K and ``batch_size`` P·K. Triplets get harder as the epochs go by: all
    of them first, then the semi-hard ones, then the hard ones (Hermans et al. 2017; Schroff et al., CVPR 2015).

    Args:
        loss: which.
        margin: of ``triplet``, and how far semi-hard triplets reach.
        semihard_from, hard_from: epoch (from 0) from which on those triplets count alone; None leaves the step out.
        options: of the network and its optimisation, see `EmbeddingTraining`.
    """

    def __init__(
        self,
        loss: LossName = "soft_triplet",
        margin: float = 0.2,
        semihard_from: int | None = None,
        hard_from: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.loss_name: LossName = loss
        self.margin, self.semihard_from, self.hard_from = margin, semihard_from, hard_from

    def make_loss(self, data: Any) -> nn.Module:
        return LOSSES[self.loss_name](data.num_classes, self.dimensions, self.margin)

    def on_train_epoch_start(self) -> None:
        if isinstance(self.loss, TripletLoss):
            self.loss.triplets = curriculum(self.current_epoch, self.semihard_from, self.hard_from)
