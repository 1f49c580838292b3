"""BYOL: a backbone learns, without labels or negatives, to predict what its own running mean sees in another view.

Grill et al., Bootstrap your own latent: a new approach to self-supervised learning, NeurIPS 2020.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from shelfhelp_training.data.batch_augment import Preset
from shelfhelp_training.losses.byol import byol_loss
from shelfhelp_training.methods.optimisation import OptimiserName
from shelfhelp_training.methods.self_supervised import Batch, SelfSupervised, Step, perceptron, watched


class BYOLTraining(SelfSupervised):
    """Trains a backbone, projector and predictor against a target network that follows them ever more slowly.

    Args:
        backbone, pretrained, image_size, drop_path, gradient_checkpointing, start_from: see `SelfSupervised`.
        first_view, second_view: what changes the two views.
        strength, flip: of the views.
        hidden, dimensions: of projector and predictor.
        momentum: of the target network at the start; it rises to 1 along half a cosine.
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
        first_view: Preset = "byol_first",
        second_view: Preset = "byol_second",
        strength: float = 1.0,
        flip: float | None = None,
        hidden: int = 4096,
        dimensions: int = 256,
        momentum: float = 0.996,
        optimiser: OptimiserName = "lars",
        learning_rate: float = 0.2,
        weight_decay: float = 1.5e-6,
        warm_up: int = 0,
        compile: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__(
            backbone, pretrained, image_size, drop_path, gradient_checkpointing, start_from, (first_view, second_view),
            strength, flip, optimiser, learning_rate, weight_decay, warm_up, compile, channels_last,
        )  # fmt: skip
        self.save_hyperparameters()
        self.projector = perceptron(self.backbone.num_features, hidden, dimensions)
        self.predictor = perceptron(dimensions, hidden, dimensions)
        self.target = copy.deepcopy(nn.Sequential(self.backbone, self.projector)).requires_grad_(False)
        self.momentum = momentum

    def trained(self) -> tuple[nn.Module, ...]:
        return self.backbone, self.projector, self.predictor

    def training_step(self, batch: Batch, index: int) -> Step:
        views = self.views(batch["images"])
        features = [self.backbone(view) for view in views]
        first, second = (self.predictor(self.projector(of)).float() for of in features)
        with torch.no_grad():
            first_target, second_target = (self.target(view).float() for view in views)
        loss = byol_loss(first, second, first_target, second_target)
        self.log_loss(loss, len(first))
        return watched(loss, features[0], batch["labels"], first_target, second_target)

    def optimizer_step(self, *arguments: Any, **more: Any) -> None:
        """After every step of the optimiser the target follows, whatever number of batches a step gathers."""
        super().optimizer_step(*arguments, **more)
        total = int(self.trainer.estimated_stepping_batches)
        momentum = momentum_at(self.momentum, self.trainer.global_step, total)
        self.log("momentum", momentum)
        self.follow(momentum)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the target's weights to ``momentum`` × theirs + (1 − ``momentum``) × those of backbone and projector."""
        online: list[Tensor] = [*self.backbone.parameters(), *self.projector.parameters()]
        torch._foreach_lerp_(list(self.target.parameters()), online, 1 - momentum)


def momentum_at(start: float, step: int, total: int) -> float:
    """The target's momentum after ``step`` of ``total`` steps: from ``start`` to 1 (section 3.2 of the paper)."""
    return 1 - (1 - start) * (math.cos(math.pi * min(1.0, step / max(1, total))) + 1) / 2
