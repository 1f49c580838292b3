"""A class-agnostic product detector: torchvision's FCOS on a light backbone.

FCOS: Tian et al., ICCV 2019. Everything on a shelf that can be bought is one class; which product it is, the encoder
says.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead

from shelfhelp_training.methods.backbone import MEAN, STD, LitePyramid
from shelfhelp_training.methods.box_training import BoxTraining, best_first, in_ignored_region, weights_of

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
            ignored = torch.stack([in_ignored_region(a, t) for a, t in zip(anchors, targets, strict=True)])
            outputs["cls_logits"] = outputs["cls_logits"].masked_fill(ignored[..., None], IGNORED_LOGIT)
            losses: dict[str, Tensor] = super().compute_loss(targets, outputs, anchors, num_anchors_per_level)
        return losses


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
        return best_first(boxes, scores, self.top)

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


class DetectorTraining(BoxTraining):
    """Trains a ``ProductDetector``.

    Args:
        channels, head_convs, frozen_stages, train_depthwise: see ``ProductDetector`` and ``LitePyramid``.
        pretrained: start from the ImageNet weights.
        start_from: checkpoint of an earlier training whose weights to start from.
        learning_rate, backbone_factor, weight_decay, warmup_steps, cosine, score_threshold, nms_iou: see
            ``BoxTraining``.
    """

    method = "detector"
    mean, std = MEAN, STD

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
        super().__init__(
            learning_rate, backbone_factor, weight_decay, warmup_steps, cosine, score_threshold, nms_iou
        )  # fmt: skip
        self.save_hyperparameters()
        pretrained = pretrained and start_from is None
        self.detector = ProductDetector(channels, head_convs, pretrained, frozen_stages, train_depthwise)
        if start_from is not None:
            self.load_state_dict(weights_of(Path(start_from)))
        self.detector.to(memory_format=torch.channels_last)

    def exported(self) -> ExportedDetector:
        return ExportedDetector(self.detector)

    @property
    def network_name(self) -> str:
        return "fcos-efficientnet-lite0"

    def pretrained_part(self) -> nn.Module:
        stages: nn.Module = self.detector.backbone.stages
        return stages
