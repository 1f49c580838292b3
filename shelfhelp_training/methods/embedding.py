"""What trainings of vectors share: backbone and embedding layer, rates by layer, and recall on held-out pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.batch_augment import BatchAugmentation, Preset
from shelfhelp_training.evaluation.retrieval import across_photos
from shelfhelp_training.methods.backbones import create_backbone, load_backbone
from shelfhelp_training.methods.embedder import embedding_layer
from shelfhelp_training.methods.optimisation import OptimiserName, build_optimiser, layer_groups, warm_up_factor

Batch = dict[str, Tensor]
# What is left of a rate that falls from some epoch on, at the end.
LEAST_RATE = 1e-3


class EmbeddingTraining(pl.LightningModule, ABC):
    """Trains a backbone and an embedding layer on ``ImageData``; a method adds its loss.

    ``val_recall`` is recall@1 among the held-out pictures: each asks for its product among all others.

    Args:
        backbone: see `create_backbone`.
        dimensions: length of a vector; None leaves out the embedding layer.
        pretrained: start from the backbone's published weights.
        image_size: side of the pictures in pixels; None takes the backbone's own.
        start_from: checkpoint of any training whose backbone to start from, in place of published weights.
        frozen_layers: so many of the backbone's first layers keep their weights.
        drop_path: share of residual branches left out at random.
        gradient_checkpointing: less memory for more time.
        augmentation: how pictures are varied while training.
        optimiser: which.
        learning_rate: of the last layers, reached after ``warm_up`` steps.
        layer_decay: factor of the learning rate from each layer to the one before it.
        loss_rate: learning rate of what the loss itself learns (proxies, class centres); None: as the last layers.
        weight_decay: of weights; norms and biases have none.
        warm_up: steps.
        decay_from: from this epoch on the rates fall by a factor of a thousand to the end, and stay until then
            (Hermans et al. 2017); None lets them fall to nothing along half a cosine from the warm-up on.
    """

    loss: nn.Module

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        dimensions: int | None = 256,
        pretrained: bool = True,
        image_size: int | None = None,
        start_from: str | None = None,
        frozen_layers: int = 0,
        drop_path: float = 0.0,
        gradient_checkpointing: bool = False,
        augmentation: Preset = "metric",
        optimiser: OptimiserName = "adamw",
        learning_rate: float = 1e-4,
        layer_decay: float = 1.0,
        loss_rate: float | None = None,
        weight_decay: float = 1e-4,
        warm_up: int = 0,
        decay_from: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        pretrained = pretrained and start_from is None
        self.backbone = create_backbone(backbone, pretrained, image_size, drop_path, gradient_checkpointing)
        if start_from is not None:
            load_backbone(self.backbone, Path(start_from))
        self.frozen_layers = frozen_layers
        self.backbone.freeze(frozen_layers)
        self.embedding = embedding_layer(self.backbone.num_features, dimensions)
        self.dimensions = dimensions or self.backbone.num_features
        facts = self.backbone.input_size, self.backbone.mean, self.backbone.std
        self.augment, self.plain = BatchAugmentation(augmentation, *facts), BatchAugmentation("none", *facts)
        self.optimiser: OptimiserName = optimiser
        self.learning_rate, self.layer_decay, self.weight_decay = learning_rate, layer_decay, weight_decay
        self.loss_rate = learning_rate if loss_rate is None else loss_rate
        self.warm_up, self.decay_from = warm_up, decay_from
        self.first_epoch = 0
        self.seen: list[tuple[Tensor, Tensor]] = []

    @abstractmethod
    def make_loss(self, data: Any) -> nn.Module:
        """The loss: M×D embeddings and M labels to a mean. ``data`` is the data module, set up."""

    def configure_model(self) -> None:
        """Make what depends on the data: here, because averaged weights are copied from what this leaves."""
        if not hasattr(self, "loss"):
            self.loss = self.make_loss(cast(Any, self.trainer).datamodule)

    def forward(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×D vectors of length one."""
        return F.normalize(self.embedding(self.backbone(self.plain(images))))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        embeddings = self.embedding(self.features(batch["images"]))
        loss = cast(Tensor, self.loss(embeddings, batch["labels"]))
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(embeddings))
        return loss

    def features(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB, varied, to N×``num_features``."""
        return cast(Tensor, self.backbone(self.augment(images)))

    def validation_step(self, batch: Batch, index: int) -> None:
        self.seen.append((self(batch["images"]).float().cpu(), batch["index"].cpu()))

    def on_validation_epoch_end(self) -> None:
        self._log_recall("validate", "val_recall")

    def test_step(self, batch: Batch, index: int) -> None:
        self.validation_step(batch, index)

    def on_test_epoch_end(self) -> None:
        self._log_recall("test", "test_recall")

    def predict_step(self, batch: Batch, index: int) -> Batch:
        return {"index": batch["index"], "embeddings": self(batch["images"])}

    def on_predict_epoch_end(self) -> None:
        """Write ``embeddings.npz`` into the run's folder: ``embeddings`` N×D, ``products`` and ``photos`` (N names)."""
        if self.trainer.world_size > 1:
            raise ShelfHelpError("predictions are gathered in one process; set trainer.devices to 1")
        found = cast(list[Batch], self.trainer.predict_loop.predictions)
        index, vectors = (torch.cat([of[name].cpu() for of in found]).numpy() for name in ("index", "embeddings"))
        data = cast(Any, self.trainer).datamodule
        rows = [data.parts[data.predicted].rows[row] for row in index]
        np.savez(
            Path(self.trainer.default_root_dir) / "embeddings.npz",
            embeddings=vectors,
            products=[row.product for row in rows],
            photos=[row.photo for row in rows],
        )

    def _log_recall(self, role: str, name: str) -> None:
        """Recall@1 of a role's pictures across its photographs, those of all processes together."""
        every = [self.seen]
        if self.trainer.world_size > 1:
            every = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(every, self.seen)
        seen = [pair for of in every for pair in of]
        self.seen = []
        part = cast(Any, self.trainer).datamodule.parts[role]
        index = torch.cat([rows for _, rows in seen]).numpy()
        rows = [part.rows[row] for row in index]
        vectors = torch.cat([vectors for vectors, _ in seen]).numpy()
        found = across_photos(vectors, part.labels[index], [row.photo for row in rows])
        self.log(name, found.recall, prog_bar=True, rank_zero_only=True)

    def configure_optimizers(self) -> Any:
        head = self.embedding if any(True for _ in self.embedding.parameters()) else None
        groups = layer_groups(self.backbone, head, self.learning_rate, self.layer_decay, self.weight_decay)
        learnt = list(self.loss.parameters())
        if learnt:
            groups.append({"params": learnt, "lr": self.loss_rate, "weight_decay": self.weight_decay})
        optimiser = build_optimiser(self.optimiser, groups, self.learning_rate, self.weight_decay)
        schedule = LambdaLR(optimiser, [self.factor_of(group) for group in optimiser.param_groups])
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def factor_of(self, group: dict[str, Any]) -> Callable[[int], float]:
        """For a group of parameters, the share of its rate (``lr``) in a step counted from 0."""
        return self.rate_factor

    @property
    def first_step(self) -> int:
        """The step in which the schedule begins."""
        return round(self._steps_until(self.first_epoch))

    def rate_factor(self, step: int) -> float:
        """The share of the full rate in a step from ``first_step`` on."""
        step, total = step - self.first_step, self._steps_until(self.trainer.max_epochs or 1) - self.first_step
        if self.decay_from is None:
            return warm_up_factor(step, self.warm_up, round(total))
        start = self._steps_until(self.decay_from) - self.first_step
        fallen = max(0.0, step - start) / max(1.0, total - start)
        return float(min(1.0, (step + 1) / max(1, self.warm_up)) * LEAST_RATE ** min(1.0, fallen))

    def _steps_until(self, epoch: int) -> float:
        return float(self.trainer.estimated_stepping_batches) * epoch / max(1, self.trainer.max_epochs or 1)
