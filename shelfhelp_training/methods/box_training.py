"""What the trainings of both detectors share: losses in, COCO figures on whole held-out pictures out."""

from __future__ import annotations

import math
import pickle
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.ops import nms

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.sightings import Detections
from shelfhelp_training.evaluation.detection import MAX_DETECTIONS, detection_figures

# The key of a checkpoint that says which method wrote it; without it, it is of the light detector.
METHOD = "method"
Batch = tuple[list[Tensor], list[dict[str, Tensor]]]


class BoxTraining(pl.LightningModule, ABC):
    """Trains ``self.detector``, one of torchvision's detectors with one class, and measures it while it trains.

    A batch is a list of 3×H×W images in 0..1 (H, W multiples of 32) and a list of targets: ``boxes`` (M×4 xyxy pixels),
    ``labels`` (M zeros) and ``ignore`` (K×4): regions in which products may stand unlabelled.

    Args:
        learning_rate: of pyramid and head, for AdamW.
        backbone_factor: the backbone's learning rate relative to that.
        weight_decay: for AdamW.
        warmup_steps: steps over which the learning rate rises linearly.
        cosine: let the learning rate fall to nothing over the trainer's ``max_steps``; otherwise it stays.
        score_threshold, nms_iou: settings of the detections that are measured while it trains.
    """

    method: ClassVar[str]
    # What images are normalised with.
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]
    detector: Any

    def __init__(
        self,
        learning_rate: float,
        backbone_factor: float,
        weight_decay: float,
        warmup_steps: int,
        cosine: bool,
        score_threshold: float,
        nms_iou: float,
    ) -> None:
        super().__init__()
        self.learning_rate, self.backbone_factor, self.weight_decay = learning_rate, backbone_factor, weight_decay
        self.warmup_steps, self.cosine = warmup_steps, cosine
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self._truth: list[BoxArray] = []
        self._ignore: list[BoxArray] = []
        self._found: list[Detections] = []

    @abstractmethod
    def exported(self) -> nn.Module:
        """The network as the runtime sees it: normalised N×3×H×W in; boxes N×K×4 and scores N×K out, best first."""

    @property
    @abstractmethod
    def network_name(self) -> str:
        """What the network is called in a model's card."""

    @abstractmethod
    def pretrained_part(self) -> nn.Module:
        """The part that learns at ``backbone_factor`` times the learning rate."""

    def training_step(self, batch: Batch, _: int) -> Tensor:
        losses = self.detector(*batch)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, batch_size=len(batch[0]))
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch[0]))
        return total

    def validation_step(self, batch: Batch, _: int) -> None:
        for image, target in zip(*batch, strict=True):
            self._truth.append(target["boxes"].cpu().numpy())
            self._ignore.append(target["ignore"].cpu().numpy())
            self._found.append(self.detect(image))

    def on_validation_epoch_end(self) -> None:
        self._log_figures("val")

    def test_step(self, batch: Batch, number: int) -> None:
        self.validation_step(batch, number)

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")

    def _log_figures(self, part: str) -> None:
        figures = detection_figures(self._truth, self._found, self._ignore)
        known = {f"{part}/{name}": value for name, value in asdict(figures).items() if value is not None}
        self.log_dict(known, prog_bar=True)
        for gathered in (self._truth, self._ignore, self._found):
            gathered.clear()

    def detect(self, image: Tensor) -> Detections:
        """Detections in one 3×H×W image in 0..1 (H, W multiples of 32), in its pixels."""
        mean, std = (image.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        with torch.no_grad():
            boxes, scores = self.exported().eval()(((image - mean) / std)[None])
        boxes, scores = boxes[0].float(), scores[0].float()
        boxes, scores = boxes[scores > self.score_threshold], scores[scores > self.score_threshold]
        kept = nms(boxes, scores, self.nms_iou)[:MAX_DETECTIONS]
        return Detections(boxes[kept].cpu().numpy(), scores[kept].cpu().numpy())

    def configure_optimizers(self) -> Any:
        backbone = [p for p in self.pretrained_part().parameters() if p.requires_grad]
        known = {id(p) for p in backbone}
        rest = [p for p in self.detector.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            {"params": rest, "lr": self.learning_rate},
            {"params": backbone, "lr": self.learning_rate * self.backbone_factor},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=self.weight_decay)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the learning rate at a step."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if not self.cosine:
            return 1.0
        done = (step - self.warmup_steps) / max(1, self.trainer.max_steps - self.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[METHOD] = self.method


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The (averaged) weights in a checkpoint. Raises ShelfHelpError when it cannot be read."""
    try:
        weights: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint to start from: {error}") from error
    return weights


def in_ignored_region(anchors: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Which of the A anchors are centred in an ignored region and in no labelled box: A booleans."""
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    return _inside(centres, target["ignore"]) & ~_inside(centres, target["boxes"])


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Which of the P points lie in any of the boxes: P booleans."""
    after = (points[:, None] >= boxes[None, :, :2]).all(dim=2)
    before = (points[:, None] <= boxes[None, :, 2:]).all(dim=2)
    return (after & before).any(dim=1)


def best_first(boxes: Tensor, scores: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """The ``top`` best of boxes N×A×4 and scores N×A; where there are fewer, boxes of score zero fill up."""
    filling = scores[:, :1].new_zeros(()).expand(scores.shape[0], top)
    scores = torch.cat([scores, filling], dim=1)
    boxes = torch.cat([boxes, filling[..., None].expand(-1, -1, 4)], dim=1)
    scores, order = scores.topk(top, dim=1)
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), scores
