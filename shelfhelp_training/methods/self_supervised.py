"""What trainings without labels share: two views of each picture, a backbone, its optimiser, and what is watched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_training.collapse import CollapseWatch
from shelfhelp_training.data.batch_augment import BatchAugmentation, Preset
from shelfhelp_training.methods.backbones import create_backbone, load_backbone
from shelfhelp_training.methods.optimisation import OptimiserName, build_optimiser, warm_up_cosine
from shelfhelp_training.probes import LinearProbe, NeighbourProbe

Batch = dict[str, Tensor]


class Step(TypedDict):
    """What a training step hands to the watching callbacks: the loss, and detached features and vectors.

    ``features`` (N×num_features) and ``labels`` (N) are of the first views, ``first`` and ``second`` (N×D) the vectors
    of both views that the loss compares.
    """

    loss: Tensor
    features: Tensor
    labels: Tensor
    first: Tensor
    second: Tensor


def watched(loss: Tensor, features: Tensor, labels: Tensor, first: Tensor, second: Tensor) -> Step:
    """The result of a training step, with what only callbacks look at cut off from the gradient."""
    return Step(loss=loss, features=features.detach(), labels=labels, first=first.detach(), second=second.detach())


class SelfSupervised(pl.LightningModule):
    """A backbone that learns from two views of each picture; labels are for the probes alone.

    Without callbacks of these kinds in the configuration it trains with a linear and a nearest-neighbour probe and a
    watch for collapse. ``val_recall`` is the recall@1 of the validation pictures across their photographs.

    Args:
        backbone, pretrained, image_size, drop_path, gradient_checkpointing: see `create_backbone`.
        start_from: checkpoint whose backbone to start from.
        views: what changes the first and the second view.
        strength: of colour changes.
        flip: probability of mirroring instead of the views' own.
        optimiser, learning_rate, weight_decay: which; the rate is reached after ``warm_up`` steps and lowered to
            nothing along half a cosine.
        warm_up: steps.
        compile: let torch.compile make the backbone faster; takes a minute or more at the start.
        channels_last: keep pictures with their channels last in memory, which is quicker on most devices.
    """

    def __init__(
        self,
        backbone: str,
        pretrained: bool,
        image_size: int | None,
        drop_path: float,
        gradient_checkpointing: bool,
        start_from: str | None,
        views: tuple[Preset, Preset],
        strength: float,
        flip: float | None,
        optimiser: OptimiserName,
        learning_rate: float,
        weight_decay: float,
        warm_up: int,
        compile: bool,
        channels_last: bool,
    ) -> None:
        super().__init__()
        self.backbone = create_backbone(
            backbone, pretrained and start_from is None, image_size, drop_path, gradient_checkpointing
        )
        if start_from is not None:
            load_backbone(self.backbone, Path(start_from))
        size, mean, std = self.backbone.input_size, self.backbone.mean, self.backbone.std
        self.augment = nn.ModuleList(BatchAugmentation(view, size, mean, std, strength, flip) for view in views)
        self.plain = BatchAugmentation("none", size, mean, std)
        self.optimiser: OptimiserName = optimiser
        self.learning_rate, self.weight_decay, self.warm_up = learning_rate, weight_decay, warm_up
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.backbone.to(memory_format=self.layout)
        if compile:
            self.backbone.compile()

    def forward(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×num_features."""
        return cast(Tensor, self.backbone(self.plain(images).to(memory_format=self.layout)))

    def embed(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×num_features vectors of length one, for retrieval."""
        return F.normalize(self(images).float())

    def views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Two random views of N×3×H×W uint8 pictures, N×3×S×S normalised each."""
        first, second = (augment(images).to(memory_format=self.layout) for augment in self.augment)
        return first, second

    def validation_step(self, batch: Batch, index: int) -> Tensor:
        """The features, N×num_features, for the probes."""
        return cast(Tensor, self(batch["images"]))

    def predict_step(self, batch: Batch, index: int) -> dict[str, Tensor]:
        return {"index": batch["index"], "embeddings": self.embed(batch["images"])}

    def trained(self) -> Iterable[nn.Module]:
        """The modules that the optimiser changes."""
        raise NotImplementedError

    def configure_callbacks(self) -> list[pl.Callback]:
        kinds = (LinearProbe, NeighbourProbe, CollapseWatch)
        there = self.trainer.callbacks  # type: ignore[attr-defined]
        return [kind() for kind in kinds if not any(isinstance(callback, kind) for callback in there)]

    def configure_optimizers(self) -> Any:
        groups = [{"params": list(module.parameters())} for module in self.trained()]
        optimiser = build_optimiser(self.optimiser, groups, self.learning_rate, self.weight_decay)
        schedule = warm_up_cosine(optimiser, self.warm_up, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def log_loss(self, loss: Tensor, count: int) -> None:
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=count)


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, linear: BYOL's projector and predictor."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )
