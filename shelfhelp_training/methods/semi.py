"""Few labels and many pictures: SimCLR, a classifier and entropy minimisation at once, or FixMatch.

One training has two stages: at first the backbone learns from all pictures without labels, then everything together.
Which stage it is follows from the epoch, so a resumed training is in the right one. SimCLR: Chen et al., ICML 2020;
entropy minimisation: Grandvalet and Bengio, NeurIPS 2004; FixMatch: Sohn et al., NeurIPS 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.batch_augment import BatchAugmentation
from shelfhelp_training.losses.arcface import SubCentreArcFace
from shelfhelp_training.losses.entropy import entropy
from shelfhelp_training.losses.fixmatch import fixmatch_loss
from shelfhelp_training.losses.nt_xent import nt_xent
from shelfhelp_training.methods.backbones import create_backbone, load_backbone
from shelfhelp_training.methods.classifier import Batch, ClassTraining
from shelfhelp_training.methods.optimisation import OptimiserName, build_optimiser, warm_up_factor
from shelfhelp_training.methods.ramps import Ramp
from shelfhelp_training.methods.simclr import projection_head


class SemiTraining(ClassTraining):
    """Trains a backbone and a classifier on labelled and unlabelled pictures (``ImageData`` with ``unlabelled``).

    The first stage takes ``self_supervised_epochs`` and learns by NT-Xent alone. In the second losses are added up:

    - ``simclr_entropy``: NT-Xent of two views of all pictures, cross-entropy or ArcFace of the labelled ones, entropy
      of what the unlabelled ones are taken for;
    - ``fixmatch``: cross-entropy or ArcFace of weak views of the labelled pictures, and cross-entropy of strong views
      of the unlabelled ones with the classes that their weak views are sure of.

    Logged are ``loss`` and its parts, the weights, ``val_loss``, ``val_accuracy`` and ``val_balanced_accuracy``.

    Args:
        backbone: see `create_backbone`.
        pretrained: start from the backbone's published weights.
        image_size: side of the pictures in pixels; None takes the backbone's own.
        start_from: checkpoint of any training whose backbone to start from.
        objective: of the second stage.
        self_supervised_epochs: length of the first stage; 0 leaves it out.
        labelled_loss: what labelled pictures are learnt by.
        label_smoothing: share of a label that is spread over all classes.
        embedding: length of the vectors whose angles ArcFace compares.
        margin, scale: ArcFace's, in radians and as a factor of the cosines.
        hidden, projection: of SimCLR's head; hidden None is as wide as the features.
        temperature: of NT-Xent.
        contrastive: weight of NT-Xent in the second stage.
        entropy: weight of the entropy.
        consistency: weight of FixMatch's loss on unlabelled pictures.
        threshold: how sure (0..1) a weak view has to be of a class.
        optimiser: which.
        learning_rate: of the second stage, reached after ``warm_up`` steps and lowered to nothing along half a cosine.
        self_supervised_rate: the same of the first; None takes ``learning_rate``.
        weight_decay: of weights; norms and biases have none.
        warm_up: steps, in each stage.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_b0",
        pretrained: bool = False,
        image_size: int | None = None,
        start_from: str | None = None,
        objective: Literal["simclr_entropy", "fixmatch"] = "simclr_entropy",
        self_supervised_epochs: int = 0,
        labelled_loss: Literal["cross_entropy", "arcface"] = "cross_entropy",
        label_smoothing: float = 0.1,
        embedding: int = 128,
        margin: float = 0.3,
        scale: float = 30.0,
        hidden: int | None = None,
        projection: int = 128,
        temperature: float = 0.1,
        contrastive: Ramp = Ramp(1.0, 0.1, 1.0, "cosine"),  # noqa: B008 (frozen)
        entropy: Ramp = Ramp(0.0, 0.1, 0.5, "gaussian"),  # noqa: B008
        consistency: Ramp = Ramp(1.0, 1.0, 0.0),  # noqa: B008
        threshold: float = 0.95,
        optimiser: OptimiserName = "adamw",
        learning_rate: float = 1e-3,
        self_supervised_rate: float | None = None,
        weight_decay: float = 1e-2,
        warm_up: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone = create_backbone(backbone, pretrained and start_from is None, image_size)
        if start_from is not None:
            load_backbone(self.backbone, Path(start_from))
        features = self.backbone.num_features
        self.projector = projection_head(features, hidden or features, projection)
        self.embedding = nn.Linear(features, embedding) if labelled_loss == "arcface" else nn.Identity()
        facts = self.backbone.input_size, self.backbone.mean, self.backbone.std
        self.view, self.weak, self.plain = (BatchAugmentation(name, *facts) for name in ("simclr", "weak", "none"))
        self.strong, self.supervised = (BatchAugmentation(name, *facts) for name in ("strong", "supervised"))
        self.objective, self.self_supervised_epochs = objective, self_supervised_epochs
        self.labelled_loss, self.label_smoothing = labelled_loss, label_smoothing
        self.dimensions, self.margin, self.scale = embedding, margin, scale
        self.temperature, self.threshold = temperature, threshold
        self.ramps = {"contrastive": contrastive, "entropy": entropy, "consistency": consistency}
        self.optimiser: OptimiserName = optimiser
        self.learning_rate, self.weight_decay, self.warm_up = learning_rate, weight_decay, warm_up
        self.self_supervised_rate = self_supervised_rate or learning_rate

    def make_head(self, counts: list[int]) -> None:
        if self.labelled_loss == "arcface":
            margins = torch.full((len(counts),), self.margin)
            self.head: nn.Module = SubCentreArcFace(self.dimensions, margins, 1, self.scale, self.label_smoothing)
        else:
            self.head = nn.Linear(self.backbone.num_features, len(counts))

    def logits(self, images: Tensor) -> Tensor:
        return self._scores(self.backbone(self.plain(images)))

    def embed(self, images: Tensor) -> Tensor:
        return F.normalize(self.embedding(self.backbone(self.plain(images))).float())

    def _scores(self, features: Tensor) -> Tensor:
        """Logits of N×num_features, without any margin."""
        vectors = self.embedding(features)
        if isinstance(self.head, SubCentreArcFace):
            return self.scale * self.head.scores(vectors.float())
        return cast(Tensor, self.head(vectors))

    def _supervised_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        if isinstance(self.head, SubCentreArcFace):
            return cast(Tensor, self.head(self.embedding(features), labels))
        return F.cross_entropy(self._scores(features), labels, label_smoothing=self.label_smoothing)

    @property
    def self_supervised(self) -> bool:
        """Whether this is the first stage."""
        return self.current_epoch < self.self_supervised_epochs

    def on_fit_start(self) -> None:
        if self.self_supervised_epochs >= (self.trainer.max_epochs or 0) > 0:
            raise ShelfHelpError(
                f"{self.self_supervised_epochs} epochs without labels leave none of {self.trainer.max_epochs} for the "
                "labels; lower model.self_supervised_epochs or raise trainer.max_epochs"
            )

    def on_train_epoch_start(self) -> None:
        """The second stage starts with an optimiser that remembers nothing of the first."""
        if self.current_epoch == self.self_supervised_epochs > 0:
            for optimiser in self.trainer.optimizers:
                optimiser.state.clear()

    def training_step(self, batch: dict[str, Batch], index: int) -> Tensor:
        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        if self.self_supervised:
            parts = {"contrastive": self._contrastive_loss(torch.cat([labelled["images"], unlabelled["images"]]))}
            weights = {"contrastive": 1.0}
        else:
            step = self._simclr_entropy if self.objective == "simclr_entropy" else self._fixmatch
            parts = step(labelled, unlabelled["images"])
            weights = {name: self.ramps[name].at(self._progress()) for name in parts if name in self.ramps}
        loss = torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()
        count = len(labelled["labels"])
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=count)
        self.log_dict({f"loss_{name}": part for name, part in parts.items()}, batch_size=count)
        self.log_dict({f"weight_{name}": weight for name, weight in weights.items()}, batch_size=count)
        return loss

    def _contrastive_loss(self, images: Tensor) -> Tensor:
        first, second = (
            self.projector(self.backbone(torch.cat([self.view(images), self.view(images)]))).float().chunk(2)
        )
        return nt_xent(first, second, self.temperature)

    def _simclr_entropy(self, labelled: Batch, unlabelled: Tensor) -> dict[str, Tensor]:
        everything = torch.cat([labelled["images"], unlabelled])
        views = [self.view(everything), self.view(everything)]
        # One pass, so that batch normalisation sees all kinds of views together.
        features = self.backbone(torch.cat([*views, self.supervised(labelled["images"]), self.weak(unlabelled)]))
        sizes = [2 * len(everything), len(labelled["images"]), len(unlabelled)]
        of_views, of_labelled, of_unlabelled = features.split(sizes)
        first, second = self.projector(of_views).float().chunk(2)
        return {
            "contrastive": nt_xent(first, second, self.temperature),
            "labelled": self._supervised_loss(of_labelled, labelled["labels"]),
            "entropy": entropy(self._scores(of_unlabelled).float()),
        }

    def _fixmatch(self, labelled: Batch, unlabelled: Tensor) -> dict[str, Tensor]:
        views = [self.weak(labelled["images"]), self.weak(unlabelled), self.strong(unlabelled)]
        of_labelled, weak, strong = self.backbone(torch.cat(views)).split([len(view) for view in views])
        loss, sure = fixmatch_loss(self._scores(weak).float(), self._scores(strong).float(), self.threshold)
        self.log("sure", sure, prog_bar=True, batch_size=len(unlabelled))
        return {"labelled": self._supervised_loss(of_labelled, labelled["labels"]), "consistency": loss}

    def _first_step(self) -> int:
        """The step in which the second stage begins."""
        epochs = self.trainer.max_epochs or -1
        share = self.self_supervised_epochs / epochs if epochs > 0 else 0.0
        return round(self.trainer.estimated_stepping_batches * share)

    def _progress(self) -> float:
        """Share of the second stage that has gone by."""
        first, total = self._first_step(), self.trainer.estimated_stepping_batches
        return (self.global_step - first) / max(1.0, total - first)

    def _rate_factor(self, step: int) -> float:
        """The share of ``learning_rate`` in a step: a warm-up and half a cosine in each stage."""
        first, total = self._first_step(), int(self.trainer.estimated_stepping_batches)
        if step < first:
            return self.self_supervised_rate / self.learning_rate * warm_up_factor(step, self.warm_up, first)
        return warm_up_factor(step - first, self.warm_up, total - first)

    def configure_optimizers(self) -> Any:
        modules = (self.backbone, self.projector, self.embedding, self.head)
        groups = [{"params": list(module.parameters())} for module in modules]
        optimiser = build_optimiser(self.optimiser, groups, self.learning_rate, self.weight_decay)
        schedule = LambdaLR(optimiser, self._rate_factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
