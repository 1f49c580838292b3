"""Watches whether a network that learns without labels still tells pictures apart.

Alignment and uniformity: Wang and Isola, Understanding contrastive representation learning, ICML 2020. The deviation of
vectors of length one, in units of its value for even ones: Chen and He, Exploring simple Siamese representation
learning, CVPR 2021.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn import functional as F

from shelfhelp_training.losses.gather import gather

# Below this deviation nearly all vectors lie within three degrees of each other.
COLLAPSED = 0.05


@dataclass(frozen=True)
class Spread:
    """How vectors of two views lie on the sphere.

    Attributes:
        deviation: mean over the dimensions of their deviation, times √D: 0 when all are one, 1 when spread evenly.
        alignment: mean squared distance of the two views of a picture: 0 when they agree.
        uniformity: log of the mean of exp(−2 · squared distance) over all pairs: 0 when all are one, the lower the
            more evenly they are spread.
    """

    deviation: float
    alignment: float
    uniformity: float

    @property
    def collapsed(self) -> bool:
        """Whether the network gives nearly one vector for all pictures, or none that is a number."""
        return not self.deviation >= COLLAPSED


@torch.no_grad()
def measure_spread(first: Tensor, second: Tensor) -> Spread:
    """Of N×D vectors of two views (N ≥ 2), row i of both of one picture; their lengths do not matter."""
    first, second = F.normalize(first.double(), dim=1), F.normalize(second.double(), dim=1)
    deviation = float(first.std(dim=0).mean()) * math.sqrt(first.shape[1])
    alignment = float((first - second).pow(2).sum(dim=1).mean())
    uniformity = [float(torch.pdist(vectors).pow(2).mul(-2).exp().mean().log()) for vectors in (first, second)]
    return Spread(deviation, alignment, sum(uniformity) / 2)


class CollapseWatch(pl.Callback):
    """Logs ``embedding_deviation``, ``alignment``, ``uniformity`` and ``collapsed`` (0 or 1), and warns of a collapse.

    What counts as collapsed is the mean deviation of an epoch, so that a start with everything in one place, which many
    networks have, is no collapse unless it lasts.

    Args:
        every: batches between two measurements.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.deviations: list[float] = []
        self.collapsed = False

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.deviations.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: object, batch: object, index: int
    ) -> None:
        if index % self.every or not isinstance(outputs, dict):
            return
        spread = measure_spread(gather(outputs["first"]), gather(outputs["second"]))
        self.deviations.append(spread.deviation)
        module.log("embedding_deviation", spread.deviation)
        module.log("alignment", spread.alignment)
        module.log("uniformity", spread.uniformity)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        deviation = sum(self.deviations) / len(self.deviations) if self.deviations else math.nan
        collapsed = bool(self.deviations) and not deviation >= COLLAPSED
        module.log("collapsed", float(collapsed))
        if collapsed and not self.collapsed:
            rank_zero_warn(
                f"the network has collapsed: nearly the same vector for every picture (deviation {deviation:.3f}; 1 is "
                f"even, below {COLLAPSED} is collapsed); lower model.learning_rate, raise model.warm_up or take larger "
                "batches"
            )
        self.collapsed = collapsed
