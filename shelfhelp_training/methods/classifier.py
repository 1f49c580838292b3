"""The broad grocery classifier: which kind of grocery a picture shows, on any backbone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.batch_augment import BatchAugmentation, Preset
from shelfhelp_training.evaluation.classification import from_confusion, write_report
from shelfhelp_training.methods.backbones import create_backbone, load_backbone
from shelfhelp_training.methods.optimisation import OptimiserName, build_optimiser, layer_groups, warm_up_cosine

Batch = dict[str, Tensor]


class ClassTraining(pl.LightningModule):
    """What trainings with classes share: class names, accuracy, and the report, predictions and embeddings of a test.

    The classes are those of the training pictures; the part that depends on them is made by `make_head`, once the data
    are known or from a checkpoint. `logits` and `embed` say what a network makes of pictures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.class_names: list[str] = []

    def make_head(self, counts: list[int]) -> None:
        """Make what depends on the classes; ``counts`` are their numbers of training pictures."""
        raise NotImplementedError

    def logits(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×C."""
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×D vectors of length one, for retrieval."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images)

    def configure_model(self) -> None:
        data = cast(Any, self.trainer).datamodule
        if not self.class_names:
            self._prepare(
                data.class_names, np.bincount(data.parts["train"].labels, minlength=data.num_classes).tolist()
            )
        if self.class_names != data.class_names:
            raise ShelfHelpError(
                f"the network knows {len(self.class_names)} classes and the data name {len(data.class_names)}, which "
                "are not the same; give the training sources it was trained with (data.train)"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["classes"] = {"names": self.class_names, "counts": self.class_counts}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        known = checkpoint["classes"]
        if not self.class_names:
            self._prepare(known["names"], known["counts"])
        elif self.class_names != known["names"]:
            raise ShelfHelpError(
                f"the checkpoint knows {len(known['names'])} classes and the data name {len(self.class_names)}, which "
                "are not the same; give the training sources it was trained with (data.train)"
            )

    def _prepare(self, names: list[str], counts: list[int]) -> None:
        if len(names) < 2:
            raise ShelfHelpError(f"there is nothing to tell apart: the training pictures show {len(names)} class(es)")
        self.class_names, self.class_counts = list(names), list(counts)
        self.make_head(counts)
        classes = len(names)
        self.accuracy = MulticlassAccuracy(classes, average="micro")
        self.balanced = MulticlassAccuracy(classes, average="macro")
        self.confusion = MulticlassConfusionMatrix(classes)

    def _known(self, batch: Batch) -> Tensor:
        """The batch's labels. ShelfHelpError when one is of no class that was trained on."""
        labels = batch["labels"]
        if int(labels.max()) >= len(self.class_names):
            raise ShelfHelpError(
                "held-out pictures show classes that no training picture shows; leave them out (without), or set "
                "data.labels: family where each picture is a product of its own"
            )
        return labels

    def validation_step(self, batch: Batch, index: int) -> None:
        labels, logits = self._known(batch), self.logits(batch["images"])
        self.accuracy(logits, labels)
        self.balanced(logits, labels)
        loss = F.cross_entropy(logits, labels)
        self.log("val_loss", loss, batch_size=len(labels), sync_dist=True)
        self.log("val_accuracy", self.accuracy, prog_bar=True, batch_size=len(labels))
        self.log("val_balanced_accuracy", self.balanced, batch_size=len(labels))

    def test_step(self, batch: Batch, index: int) -> None:
        self.confusion.update(self.logits(batch["images"]), self._known(batch))

    def on_test_epoch_end(self) -> None:
        names = [name.partition("/")[2] or name for name in self.class_names]
        report = from_confusion(self.confusion.compute().cpu().numpy(), names)
        self.log_dict({f"test_{name}": value for name, value in report.figures().items()}, rank_zero_only=True)
        if self.trainer.is_global_zero:
            write_report(report, Path(self.trainer.default_root_dir) / "test")

    def predict_step(self, batch: Batch, index: int) -> dict[str, Tensor]:
        probabilities = self.logits(batch["images"]).float().softmax(dim=1)
        return {"index": batch["index"], "probabilities": probabilities, "embeddings": self.embed(batch["images"])}

    def on_predict_epoch_end(self) -> None:
        """Write ``predictions.csv`` and ``embeddings.npz`` (``embeddings`` N×D, ``products``, ``photos``)."""
        if self.trainer.world_size > 1:
            raise ShelfHelpError("predictions are gathered in one process; set trainer.devices to 1")
        found = cast(list[dict[str, Tensor]], self.trainer.predict_loop.predictions)
        index, probabilities, embeddings = (
            torch.cat([of[name].float().cpu() for of in found]).numpy()
            for name in ("index", "probabilities", "embeddings")
        )
        data = cast(Any, self.trainer).datamodule
        rows = [data.parts[data.predicted].rows[int(row)] for row in index]
        folder = Path(self.trainer.default_root_dir)
        with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["photo", "product", "called", "probability"])
            for row, of in zip(rows, probabilities, strict=True):
                best = int(of.argmax())
                writer.writerow([row.photo, row.product, self.class_names[best], f"{of[best]:.4f}"])
        photos, products = [row.photo for row in rows], [row.product for row in rows]
        np.savez(folder / "embeddings.npz", embeddings=embeddings, products=products, photos=photos)


class ClassifierTraining(ClassTraining):
    """Trains a backbone and a linear layer to tell classes apart.

    Logged are ``loss``, ``val_loss``, ``val_accuracy`` and ``val_balanced_accuracy`` (mean recall of the classes). A
    test writes confusion matrix and per-class report as tables and a picture into the run's folder.

    Args:
        backbone: see `create_backbone`.
        pretrained: start from the backbone's published weights.
        image_size: side of the pictures in pixels; None takes the backbone's own.
        start_from: checkpoint of any training (simclr, byol, …) whose backbone to start from.
        frozen_layers: so many of the backbone's first layers keep their weights; -1 keeps all, which leaves a linear
            probe.
        dropout: share of the features left out at random before the linear layer.
        drop_path: share of residual branches left out at random.
        augmentation: how pictures are varied while training.
        optimiser: which.
        learning_rate: of the linear layer, reached after ``warm_up`` steps and lowered to nothing along half a cosine.
        layer_decay: factor of the learning rate from each layer to the one before it.
        weight_decay: of weights; norms and biases have none.
        warm_up: steps.
        label_smoothing: share of a label that is spread over all classes.
        loss_balance: classes weigh in the loss by n^-``loss_balance`` of their n pictures: 0 not at all, 1 fully. The
            other way to balance is to draw every class equally often: ``data.balanced``.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        pretrained: bool = True,
        image_size: int | None = None,
        start_from: str | None = None,
        frozen_layers: int = 0,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        augmentation: Preset = "supervised",
        optimiser: OptimiserName = "adamw",
        learning_rate: float = 1e-3,
        layer_decay: float = 1.0,
        weight_decay: float = 0.05,
        warm_up: int = 0,
        label_smoothing: float = 0.1,
        loss_balance: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone = create_backbone(backbone, pretrained and start_from is None, image_size, drop_path)
        if start_from is not None:
            load_backbone(self.backbone, Path(start_from))
        self.backbone.freeze(len(self.backbone.layers()) if frozen_layers == -1 else frozen_layers)
        facts = self.backbone.input_size, self.backbone.mean, self.backbone.std
        self.augment, self.plain = BatchAugmentation(augmentation, *facts), BatchAugmentation("none", *facts)
        self.dropout = dropout
        self.optimiser: OptimiserName = optimiser
        self.learning_rate, self.layer_decay, self.weight_decay = learning_rate, layer_decay, weight_decay
        self.warm_up, self.label_smoothing, self.loss_balance = warm_up, label_smoothing, loss_balance
        self.register_buffer("class_weights", None, persistent=False)

    def make_head(self, counts: list[int]) -> None:
        self.head = nn.Sequential(nn.Dropout(self.dropout), nn.Linear(self.backbone.num_features, len(counts)))
        self.class_weights = class_weights(counts, self.loss_balance) if self.loss_balance else None

    def logits(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.backbone(self.plain(images))))

    def embed(self, images: Tensor) -> Tensor:
        return F.normalize(self.backbone(self.plain(images)).float())

    def training_step(self, batch: Batch, index: int) -> Tensor:
        labels = batch["labels"]
        logits = self.head(self.backbone(self.augment(batch["images"])))
        loss = F.cross_entropy(logits, labels, self.class_weights, label_smoothing=self.label_smoothing)
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(labels))
        return loss

    def configure_optimizers(self) -> Any:
        groups = layer_groups(self.backbone, self.head, self.learning_rate, self.layer_decay, self.weight_decay)
        optimiser = build_optimiser(self.optimiser, groups, self.learning_rate, self.weight_decay)
        schedule = warm_up_cosine(optimiser, self.warm_up, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def class_weights(counts: list[int], balance: float) -> Tensor:
    """Weights of C classes with ``counts`` pictures, by n^-``balance``; over all pictures their mean is one."""
    numbers = torch.tensor(counts, dtype=torch.float32)
    weights = numbers.pow(-balance)
    return weights * numbers.sum() / (weights * numbers).sum()
