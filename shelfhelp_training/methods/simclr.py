"""SimCLR: a backbone learns, without labels, which two views show one picture.

Chen, Kornblith, Norouzi, Hinton, A simple framework for contrastive learning of visual representations, ICML 2020.
"""

from __future__ import annotations

import torch
from torch import nn

from shelfhelp_training.data.batch_augment import Preset
from shelfhelp_training.losses.nt_xent import nt_xent
from shelfhelp_training.methods.optimisation import OptimiserName
from shelfhelp_training.methods.self_supervised import Batch, SelfSupervised, Step, watched


def projection_head(features: int, hidden: int, dimensions: int) -> nn.Sequential:
    """The paper's: linear, batch norm, ReLU, linear, and batch norm without an offset."""
    last = nn.BatchNorm1d(dimensions)
    last.bias.requires_grad_(False)
    return nn.Sequential(
        nn.Linear(features, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
        nn.Linear(hidden, dimensions, bias=False), last,
    )  # fmt: skip


class SimCLRTraining(SelfSupervised):
    """Trains a backbone by NT-Xent; with several processes the views of all of them are each other's negatives.

    Args:
        backbone, pretrained, image_size, drop_path, gradient_checkpointing, start_from: see `SelfSupervised`.
        view: what changes both views.
        strength, flip: of the views.
        hidden, dimensions: of the projection head; hidden None is as wide as the backbone's features.
        temperature: of the cosines.
        optimiser, learning_rate, weight_decay, warm_up: see `SelfSupervised`.
        compile, channels_last: see `SelfSupervised`.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        pretrained: bool = False,
        image_size: int | None = None,
        drop_path: float = 0.0,
        gradient_checkpointing: bool = False,
        start_from: str | None = None,
        view: Preset = "simclr",
        strength: float = 1.0,
        flip: float | None = None,
        hidden: int | None = None,
        dimensions: int = 128,
        temperature: float = 0.1,
        optimiser: OptimiserName = "lars",
        learning_rate: float = 0.3,
        weight_decay: float = 1e-6,
        warm_up: int = 0,
        compile: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__(
            backbone, pretrained, image_size, drop_path, gradient_checkpointing, start_from, (view, view), strength,
            flip, optimiser, learning_rate, weight_decay, warm_up, compile, channels_last,
        )  # fmt: skip
        self.save_hyperparameters()
        features = self.backbone.num_features
        self.projector = projection_head(features, hidden or features, dimensions)
        self.temperature = temperature

    def trained(self) -> tuple[nn.Module, ...]:
        return self.backbone, self.projector

    def training_step(self, batch: Batch, index: int) -> Step:
        features = self.backbone(torch.cat(self.views(batch["images"])))
        first, second = self.projector(features).float().chunk(2)
        loss = nt_xent(first, second, self.temperature)
        self.log_loss(loss, len(first))
        return watched(loss, features[: len(first)], batch["labels"], first, second)
