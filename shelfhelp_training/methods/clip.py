"""OpenCLIP's image towers, fine-tuned to tell products apart without forgetting what they know.

Linear probing, then fine-tuning: Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022. Rates that fall
layer by layer: Clark et al., ELECTRA, ICLR 2020. The loss: sub-centre ArcFace with margins by frequency, see
`SubCentreArcFace`. The weights' moving average is Lightning's callback ``EMAWeightAveraging``; weights between probe
and fine-tuned network (WiSE-FT) come from ``shelfhelp-evaluate wise-ft`` and ``shelfhelp-export wise-ft``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.losses.arcface import SubCentreArcFace, frequency_margins
from shelfhelp_training.methods.embedding import Batch, EmbeddingTraining

PROBE_FILE = "probe.ckpt"


class LinearClassifier(nn.Module):
    """Cross-entropy with label smoothing over a linear layer: the loss of N×D embeddings with their N classes."""

    def __init__(self, dimensions: int, classes: int, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(dimensions, classes)
        self.label_smoothing = label_smoothing

    def scores(self, embeddings: Tensor) -> Tensor:
        """N×D to N×C logits."""
        return cast(Tensor, self.linear(embeddings))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.scores(embeddings), labels, label_smoothing=self.label_smoothing)


class ClipTraining(EmbeddingTraining):
    """Trains an image tower for products in two steps: first what stands on it alone, then all of it.

    While it probes, embedding layer and class centres learn at ``probe_rate`` on the features of the untouched tower;
    the network at the end of that is kept as ``probe.ckpt`` in the run's folder, where WiSE-FT starts. Then all layers
    learn, with a warm-up of their own. Beside ``val_recall`` it logs ``val_accuracy``, over those held-out pictures
    whose class was trained on.

    Args:
        loss: ``arcface`` for vectors of products, ``cross_entropy`` for classification.
        probe_epochs: leading epochs of the linear probe; 0 fine-tunes at once.
        probe_rate: their learning rate.
        centres: centres of a class (ArcFace).
        scale: what its cosines are multiplied by.
        margin: (least, scale, power) of the margins by frequency, see `frequency_margins`.
        label_smoothing: of either loss.
        options: of the network and its optimisation, see `EmbeddingTraining`.
    """

    loss: SubCentreArcFace | LinearClassifier

    def __init__(
        self,
        loss: Literal["arcface", "cross_entropy"] = "arcface",
        probe_epochs: int = 1,
        probe_rate: float = 1e-3,
        centres: int = 3,
        scale: float = 30.0,
        margin: tuple[float, float, float] = (0.05, 0.5, 0.25),
        label_smoothing: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.loss_name, self.label_smoothing = loss, label_smoothing
        self.probe_epochs, self.probe_rate = probe_epochs, probe_rate
        self.first_epoch = probe_epochs
        self.centres, self.scale, self.margin = centres, scale, margin
        self.right: list[Tensor] = []

    def make_loss(self, data: Any) -> nn.Module:
        if self.loss_name == "cross_entropy":
            return LinearClassifier(self.dimensions, data.num_classes, self.label_smoothing)
        counts = np.bincount(data.parts["train"].labels, minlength=data.num_classes)
        margins = frequency_margins(torch.from_numpy(counts), *self.margin)
        return SubCentreArcFace(self.dimensions, margins, self.centres, self.scale, self.label_smoothing)

    @property
    def probing(self) -> bool:
        """Whether this epoch leaves the tower as it is."""
        return self.current_epoch < self.probe_epochs

    def on_fit_start(self) -> None:
        if self.probe_epochs >= (self.trainer.max_epochs or 0) > 0:
            raise ShelfHelpError(
                f"{self.probe_epochs} epochs of probing leave none of {self.trainer.max_epochs} for fine-tuning; "
                "lower model.probe_epochs or raise trainer.max_epochs"
            )

    def on_train_epoch_start(self) -> None:
        self.backbone.freeze(len(self.backbone.layers()) if self.probing else self.frozen_layers)

    def on_train_epoch_end(self) -> None:
        if self.current_epoch == self.probe_epochs - 1:
            self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / PROBE_FILE)

    def validation_step(self, batch: Batch, index: int) -> None:
        embeddings = self.embedding(self.backbone(self.plain(batch["images"])))
        self.seen.append((F.normalize(embeddings).float().cpu(), batch["index"].cpu()))
        scores = self.loss.scores(embeddings.float())
        trained = batch["labels"] < scores.shape[1]
        self.right.append((scores.argmax(dim=1) == batch["labels"])[trained].float())

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        right = torch.cat(self.right) if self.right else torch.zeros(0)
        self.right = []
        if len(right):
            self.log("val_accuracy", right.mean(), prog_bar=True, sync_dist=True)

    def factor_of(self, group: dict[str, Any]) -> Callable[[int], float]:
        """While probing, the tower's rate is nought and every other ``probe_rate``."""
        of_tower = any(group["params"][0] is parameter for parameter in self.backbone.parameters())
        probing = 0.0 if of_tower else self.probe_rate / group["lr"]
        return lambda step: probing if step < self.first_step else self.rate_factor(step)
