"""How good a backbone's features are, measured while it trains: a linear layer and nearest neighbours.

The probes only look: nothing of what they learn reaches the backbone.
"""

from __future__ import annotations

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from shelfhelp_training.evaluation.retrieval import across_photos

# Features of length one, labels and rows of a validation batch.
Seen = tuple[Tensor, Tensor, Tensor]


class LinearProbe(pl.Callback):
    """Trains a linear layer on detached features beside the training; logs ``linear_accuracy`` of the training's views
    and, of validation pictures of known classes, ``val_linear_accuracy``.

    Args:
        learning_rate: of its AdamW.
    """

    def __init__(self, learning_rate: float = 3e-3) -> None:
        self.learning_rate = learning_rate
        self.layer: nn.Sequential | None = None
        self.optimiser: torch.optim.Optimizer | None = None
        self.kept: dict[str, Any] | None = None
        self.right: list[Tensor] = []

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        classes = int(cast(Any, trainer).datamodule.num_classes)
        features = int(cast(Any, module).backbone.num_features)
        # Without scales of its own the layer would learn at the pace of the features' size.
        linear = nn.Linear(features, classes)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.layer = nn.Sequential(nn.LayerNorm(features, elementwise_affine=False), linear).to(module.device)
        self.optimiser = torch.optim.AdamW(self.layer.parameters(), self.learning_rate)
        if self.kept is not None:
            self.layer.load_state_dict(self.kept["layer"])
            self.optimiser.load_state_dict(self.kept["optimiser"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: object, batch: object, index: int
    ) -> None:
        if self.layer is None or self.optimiser is None or not isinstance(outputs, dict):
            return
        labels = outputs["labels"]
        with torch.enable_grad():
            logits = self.layer(outputs["features"].float())
            loss = F.cross_entropy(logits, labels)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self.layer.parameters():
            _summed(cast(Tensor, parameter.grad), trainer).div_(trainer.world_size)
        self.optimiser.step()
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        module.log("linear_accuracy", accuracy, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int, loader: int = 0
    ) -> None:
        if self.layer is not None and not trainer.sanity_checking:
            known = batch["labels"] < self.layer[1].out_features
            if bool(known.any()):
                with torch.no_grad():
                    logits = self.layer(outputs[known].float())
                self.right.append((logits.argmax(dim=1) == batch["labels"][known]).float())

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        found = torch.cat([torch.zeros(0, device=module.device), *self.right])
        self.right.clear()
        # Of all processes, some of which may have seen none.
        right, count = _summed(torch.stack([found.sum(), found.new_tensor(float(len(found)))]), trainer).tolist()
        if count:
            module.log("val_linear_accuracy", right / count, batch_size=int(count))

    def state_dict(self) -> dict[str, Any]:
        if self.layer is None or self.optimiser is None:
            return {}
        return {"layer": self.layer.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.kept = state_dict or None


class NeighbourProbe(pl.Callback):
    """Nearest neighbours by cosine. Logs ``val_recall``, recall@1 of the validation pictures among each other, across
    photographs, and ``val_neighbour_accuracy``, what the k nearest training pictures say of validation pictures of
    known classes (Wu et al., CVPR 2018: votes weigh exp(cosine / 0.07)).

    Args:
        neighbours: k.
        gallery: at most so many training pictures, evenly spaced; 0 leaves ``val_neighbour_accuracy`` out.
    """

    TEMPERATURE = 0.07

    def __init__(self, neighbours: int = 20, gallery: int = 2000) -> None:
        self.neighbours, self.gallery = neighbours, gallery
        self.seen: list[Seen] = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int, loader: int = 0
    ) -> None:
        self.seen.append((F.normalize(outputs.float()).cpu(), batch["labels"].cpu(), batch["index"].cpu()))

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        seen = _from_all(self.seen, trainer)
        self.seen.clear()
        vectors, labels, index = (torch.cat(part) for part in zip(*seen, strict=True))
        data = cast(Any, trainer).datamodule
        rows = [data.parts["validate"].rows[number] for number in index.tolist()]
        found = across_photos(vectors.numpy(), labels.tolist(), [row.photo for row in rows])
        module.log("val_recall", found.recall, prog_bar=True, batch_size=len(rows))
        known = labels < data.num_classes
        if self.gallery and bool(known.any()) and not trainer.sanity_checking:
            gallery, names = self._training_features(trainer, module)
            said = vote(vectors[known], gallery, names, data.num_classes, self.neighbours, self.TEMPERATURE)
            accuracy = (said == labels[known]).float().mean()
            module.log("val_neighbour_accuracy", accuracy, batch_size=int(known.sum()))

    @torch.no_grad()
    def _training_features(self, trainer: pl.Trainer, module: pl.LightningModule) -> tuple[Tensor, Tensor]:
        data = cast(Any, trainer).datamodule
        features, labels = [], []
        for batch in data.plain_loader("train", self.gallery):
            features.append(F.normalize(module(batch["images"].to(module.device)).float()).cpu())
            labels.append(batch["labels"])
        return torch.cat(features), torch.cat(labels)


def vote(queries: Tensor, gallery: Tensor, labels: Tensor, classes: int, neighbours: int, temperature: float) -> Tensor:
    """The class (Q) that the nearest of G×D gallery vectors with ``labels`` (G) give each of Q×D; all of length one."""
    cosines, nearest = (queries @ gallery.T).topk(min(neighbours, len(gallery)), dim=1)
    votes = torch.zeros(len(queries), classes)
    votes.scatter_add_(1, labels[nearest], (cosines / temperature).exp())
    return votes.argmax(dim=1)


def _summed(values: Tensor, trainer: pl.Trainer) -> Tensor:
    """The sum over all processes, in place."""
    if trainer.world_size > 1:
        distributed.all_reduce(values)
    return values


def _from_all(seen: list[Seen], trainer: pl.Trainer) -> list[Seen]:
    """What all processes have seen, which may be different numbers of batches."""
    if trainer.world_size == 1:
        return list(seen)
    everyone: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(everyone, seen)
    return [batch for of_process in everyone for batch in of_process]
