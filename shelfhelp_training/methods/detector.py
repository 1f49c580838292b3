"""A class-agnostic product detector: torchvision's FCOS on a light backbone.

FCOS: Tian et al., ICCV 2019. Everything on a shelf that can be bought is one class; which product it is, the encoder
says.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import nms

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.sightings import Detections
from shelfhelp_training.evaluation.detection import MAX_DETECTIONS, detection_figures
from shelfhelp_training.methods.backbone import MEAN, STD, LitePyramid

IGNORED_LOGIT = -100.0


class ProductDetector(FCOS):
    """FCOS with one class over ``LitePyramid``.

    Targets are dicts of ``boxes`` (M×4 xyxy pixels), ``labels`` (M zeros) and ``ignore`` (K×4 xyxy pixels): regions in
    which products may stand unlabelled, so that a detection there is neither right nor wrong. Images are lists of
    3×H×W tensors in 0..1, all of one size that is a multiple of 32.
    """

    def __init__(
        self,
        channels: int = 64,
        head_convs: int = 2,
        pretrained: bool = True,
        frozen_stages: int = 2,
        train_depthwise: bool = False,
    ) -> None:
        strides = LitePyramid.STRIDES
        super().__init__(
            LitePyramid(channels, pretrained, frozen_stages, train_depthwise),
            num_classes=1,
            image_mean=list(MEAN),
            image_std=list(STD),
            anchor_generator=AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * len(strides)),
            head=FCOSHead(channels, num_anchors=1, num_classes=1, num_convs=head_convs),
            _skip_resize=True,
        )

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        num_anchors_per_level: list[int],
    ) -> dict[str, Tensor]:
        """FCOS's losses in float32, with no classification loss in the ignored regions."""
        with torch.autocast(anchors[0].device.type, enabled=False):
            outputs = {name: value.float() for name, value in head_outputs.items()}
            ignored = torch.stack([_ignored(a, t) for a, t in zip(anchors, targets, strict=True)])
            outputs["cls_logits"] = outputs["cls_logits"].masked_fill(ignored[..., None], IGNORED_LOGIT)
            losses: dict[str, Tensor] = super().compute_loss(targets, outputs, anchors, num_anchors_per_level)
        return losses


def _ignored(anchors: Tensor, target: dict[str, Tensor]) -> Tensor:
    """Which of the A anchors are centred in an ignored region and in no labelled box: A booleans."""
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    return _inside(centres, target["ignore"]) & ~_inside(centres, target["boxes"])


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Which of the P points lie in any of the boxes: P booleans."""
    after = (points[:, None] >= boxes[None, :, :2]).all(dim=2)
    before = (points[:, None] <= boxes[None, :, 2:]).all(dim=2)
    return (after & before).any(dim=1)


class ExportedDetector(nn.Module):
    """The detector as the runtime sees it: normalised images in, decoded boxes and scores out, best first.

    Non-maximum suppression and the score threshold stay outside: the card holds their settings.

    Args:
        detector: the trained network.
        top: boxes given per image; fewer candidates are filled up with boxes of score zero.
    """

    def __init__(self, detector: ProductDetector, top: int = 600) -> None:
        super().__init__()
        self.backbone, self.head, self.top = detector.backbone, detector.head, top

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """N×3×H×W (multiples of 32) to boxes N×top×4 xyxy in pixels of the input and scores N×top in 0..1."""
        levels = list(self.backbone(images).values())
        outputs = self.head(levels)
        points, strides = self._grid(levels)
        reach = outputs["bbox_regression"] * strides[:, None]
        boxes = torch.cat([points - reach[..., :2], points + reach[..., 2:]], dim=-1)
        scores = (outputs["cls_logits"].sigmoid() * outputs["bbox_ctrness"].sigmoid()).sqrt()[..., 0]
        filling = scores[:, :1].new_zeros(()).expand(scores.shape[0], self.top)
        scores = torch.cat([scores, filling], dim=1)
        boxes = torch.cat([boxes, filling[..., None].expand(-1, -1, 4)], dim=1)
        scores, order = scores.topk(self.top, dim=1)
        return boxes.gather(1, order[..., None].expand(-1, -1, 4)), scores

    def _grid(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Centres A×2 in pixels and strides A of every position; torchvision centres its anchors on (i, j) · stride."""
        points, strides = [], []
        for level, stride in zip(levels, LitePyramid.STRIDES, strict=True):
            rows = torch.arange(level.shape[2], device=level.device, dtype=level.dtype) * stride
            columns = torch.arange(level.shape[3], device=level.device, dtype=level.dtype) * stride
            y, x = torch.meshgrid(rows, columns, indexing="ij")
            points.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
            strides.append(torch.full_like(points[-1][:, 0], stride))
        return torch.cat(points), torch.cat(strides)


class DetectorTraining(pl.LightningModule):
    """Trains a ``ProductDetector`` and measures COCO figures on whole held-out pictures.

    Args:
        channels, head_convs, frozen_stages, train_depthwise: see ``ProductDetector`` and ``LitePyramid``.
        pretrained: start from the ImageNet weights.
        start_from: checkpoint of an earlier training whose weights to start from.
        learning_rate: of pyramid and head, for AdamW.
        backbone_factor: the backbone's learning rate relative to that.
        weight_decay: for AdamW.
        warmup_steps: steps over which the learning rate rises linearly.
        cosine: let the learning rate fall to nothing over the trainer's ``max_steps``; otherwise it stays.
        score_threshold, nms_iou: settings of the detections that are measured while it trains.
    """

    def __init__(
        self,
        channels: int = 64,
        head_convs: int = 2,
        frozen_stages: int = 2,
        train_depthwise: bool = False,
        pretrained: bool = True,
        start_from: str | None = None,
        learning_rate: float = 1e-3,
        backbone_factor: float = 0.3,
        weight_decay: float = 0.01,
        warmup_steps: int = 50,
        cosine: bool = True,
        score_threshold: float = 0.05,
        nms_iou: float = 0.6,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        pretrained = pretrained and start_from is None
        self.detector = ProductDetector(channels, head_convs, pretrained, frozen_stages, train_depthwise)
        if start_from is not None:
            self.load_state_dict(_weights_of(Path(start_from)))
        self.detector.to(memory_format=torch.channels_last)
        self.learning_rate, self.backbone_factor, self.weight_decay = learning_rate, backbone_factor, weight_decay
        self.warmup_steps, self.cosine = warmup_steps, cosine
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self._truth: list[BoxArray] = []
        self._ignore: list[BoxArray] = []
        self._found: list[Detections] = []

    def training_step(self, batch: tuple[list[Tensor], list[dict[str, Tensor]]], _: int) -> Tensor:
        losses = self.detector(*batch)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, batch_size=len(batch[0]))
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch[0]))
        return total

    def validation_step(self, batch: tuple[list[Tensor], list[dict[str, Tensor]]], _: int) -> None:
        for image, target in zip(*batch, strict=True):
            self._truth.append(target["boxes"].cpu().numpy())
            self._ignore.append(target["ignore"].cpu().numpy())
            self._found.append(self.detect(image))

    def on_validation_epoch_end(self) -> None:
        figures = detection_figures(self._truth, self._found, self._ignore)
        known = {f"val/{name}": value for name, value in asdict(figures).items() if value is not None}
        self.log_dict(known, prog_bar=True)
        for gathered in (self._truth, self._ignore, self._found):
            gathered.clear()

    def detect(self, image: Tensor) -> Detections:
        """Detections in one 3×H×W image in 0..1 (H, W multiples of 32), in its pixels."""
        mean, std = (image.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        with torch.no_grad():
            boxes, scores = ExportedDetector(self.detector).eval()(((image - mean) / std)[None])
        boxes, scores = boxes[0].float(), scores[0].float()
        boxes, scores = boxes[scores > self.score_threshold], scores[scores > self.score_threshold]
        kept = nms(boxes, scores, self.nms_iou)[:MAX_DETECTIONS]
        return Detections(boxes[kept].cpu().numpy(), scores[kept].cpu().numpy())

    def configure_optimizers(self) -> Any:
        backbone = [p for p in self.detector.backbone.stages.parameters() if p.requires_grad]
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


def _weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The (averaged) weights in a checkpoint. Raises ShelfHelpError when it cannot be read."""
    try:
        weights: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint to start from: {error}") from error
    return weights
