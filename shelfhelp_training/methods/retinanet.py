"""A class-agnostic RetinaNet: torchvision's RetinaNet ResNet-50-FPN v2 with one class, on any of its ResNets.

RetinaNet: Lin et al., Focal loss for dense object detection, ICCV 2017. Version 2 (torchvision): group normalisation in
the heads, boxes learnt by generalised IoU, AdamW. Everything that can be bought is one class, *object*.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import RetinaNet, RetinaNet_ResNet50_FPN_V2_Weights
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.methods.anchor_shapes import STRIDES, AnchorShapes
from shelfhelp_training.methods.box_training import BoxTraining, best_first, in_ignored_region, weights_of

# What torchvision's ImageNet and COCO weights were trained on.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# As torchvision normalises its 256 channels.
CHANNELS_A_GROUP = 8
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
Weights = Literal["none", "imagenet", "coco"]


class ProductRetinaNet(RetinaNet):
    """RetinaNet with one class. Targets and images are those of ``ProductDetector``.

    Args:
        backbone: one of torchvision's ResNets.
        channels: of every level of the pyramid and of the heads, a multiple of 8; 256 are torchvision's.
        anchors: scales and ratios; by default the published ones.
        weights: ``imagenet``: of the backbone; ``coco``: of the whole ResNet-50 detector, as far as shapes fit. Both
            are fetched by torchvision. ``none``: all by chance.
        frozen_stages: leading parts of the ResNet (stem, layer1 …) that keep their weights.

    Raises:
        ShelfHelpError: there is no such backbone, or its weights cannot be fetched.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        channels: int = 256,
        anchors: AnchorShapes | None = None,
        weights: Weights = "imagenet",
        frozen_stages: int = 0,
    ) -> None:
        generator = StrideAnchors(anchors or AnchorShapes())
        norm = partial(nn.GroupNorm, channels // CHANNELS_A_GROUP)
        head = RetinaNetHead(channels, generator.num_anchors_per_location()[0], num_classes=1, norm_layer=norm)
        head.regression_head._loss_type = "giou"
        super().__init__(
            resnet_pyramid(backbone, channels, weights == "imagenet", frozen_stages),
            num_classes=1,
            image_mean=list(MEAN),
            image_std=list(STD),
            anchor_generator=generator,
            head=head,
            _skip_resize=True,
        )
        if weights == "coco":
            self._start_from_coco()

    def compute_loss(
        self, targets: list[dict[str, Tensor]], head_outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> dict[str, Tensor]:
        """RetinaNet's losses in float32, with no classification loss in the ignored regions."""
        with torch.autocast(anchors[0].device.type, enabled=False):
            outputs = {name: value.float() for name, value in head_outputs.items()}
            matched = [self._match(a, t) for a, t in zip(anchors, targets, strict=True)]
            losses: dict[str, Tensor] = self.head.compute_loss(targets, outputs, anchors, matched)
        return losses

    def _match(self, anchors: Tensor, target: dict[str, Tensor]) -> Tensor:
        """The box of each of the A anchors; −1 for background, −2 where nothing is learnt."""
        matcher = self.proposal_matcher
        if len(target["boxes"]):
            matched: Tensor = matcher(box_iou(target["boxes"], anchors))
        else:
            matched = anchors.new_full((len(anchors),), matcher.BELOW_LOW_THRESHOLD, dtype=torch.int64)
        background = matched == matcher.BELOW_LOW_THRESHOLD
        return matched.masked_fill(background & in_ignored_region(anchors, target), matcher.BETWEEN_THRESHOLDS)

    def _start_from_coco(self) -> None:
        ours = self.state_dict()
        try:
            theirs = RetinaNet_ResNet50_FPN_V2_Weights.COCO_V1.get_state_dict(check_hash=True)
        except OSError as error:
            raise ShelfHelpError(_not_fetched("the COCO weights of RetinaNet", error)) from error
        fitting = {name: w for name, w in theirs.items() if name in ours and w.shape == ours[name].shape}
        self.load_state_dict({**ours, **fitting})


class StrideAnchors(AnchorGenerator):
    """Anchors whose centres stand exactly one stride apart, also on levels whose size was rounded up.

    torchvision divides the picture's size by the level's instead, which moves the anchors of P6 and P7 with the size of
    the picture.
    """

    def __init__(self, shapes: AnchorShapes) -> None:
        super().__init__(shapes.sizes, (shapes.ratios,) * len(STRIDES))

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """A×4 xyxy pixels for each image."""
        return [self.over(feature_maps)] * len(image_list.image_sizes)

    def over(self, feature_maps: list[Tensor]) -> Tensor:
        """A×4 xyxy pixels of one image with these levels, finest first."""
        dtype, device = feature_maps[0].dtype, feature_maps[0].device
        self.set_cell_anchors(dtype, device)
        strides = [[torch.tensor(stride, device=device)] * 2 for stride in STRIDES]
        return torch.cat(self.grid_anchors([level.shape[-2:] for level in feature_maps], strides))


def resnet_pyramid(name: str, channels: int, pretrained: bool, frozen_stages: int) -> BackboneWithFPN:
    """A torchvision ResNet under a pyramid with strides 8 to 128 (P3 to P7). Errors as of ``ProductRetinaNet``."""
    if name not in RESNETS:
        raise ShelfHelpError(f"there is no backbone {name} for RetinaNet; known: {', '.join(RESNETS)}")
    try:
        network = get_model(name, weights="DEFAULT" if pretrained else None)
    except OSError as error:
        raise ShelfHelpError(_not_fetched(f"the ImageNet weights of {name}", error)) from error
    stages = [nn.ModuleList([network.conv1, network.bn1])]
    stages += [getattr(network, f"layer{number}") for number in (1, 2, 3, 4)]
    for stage in stages[:frozen_stages]:
        stage.requires_grad_(False)
    last: int = network.fc.in_features
    return BackboneWithFPN(
        network,
        {"layer2": "0", "layer3": "1", "layer4": "2"},
        [last // 4, last // 2, last],
        channels,
        extra_blocks=LastLevelP6P7(last, channels),
    )


def _not_fetched(what: str, error: OSError) -> str:
    return f"{what} cannot be fetched ({error}); connect to the internet once, or give --model.weights none"


class ExportedRetinaNet(nn.Module):
    """The network as the runtime sees it; see ``ExportedDetector``."""

    def __init__(self, detector: ProductRetinaNet, top: int = 600) -> None:
        super().__init__()
        self.backbone, self.head, self.top = detector.backbone, detector.head, top
        self.anchors, self.coder = detector.anchor_generator, detector.box_coder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """N×3×H×W (multiples of 32) to boxes N×top×4 xyxy in pixels of the input and scores N×top in 0..1."""
        levels = list(self.backbone(images).values())
        outputs = self.head(levels)
        moves: Tensor = outputs["bbox_regression"]
        anchors = self.anchors.over(levels).expand(moves.shape[0], -1, -1)
        boxes = self.coder.decode_single(moves.reshape(-1, 4), anchors.reshape(-1, 4)).reshape(moves.shape)
        return best_first(boxes, outputs["cls_logits"].sigmoid()[..., 0], self.top)


class RetinaNetTraining(BoxTraining):
    """Trains a ``ProductRetinaNet``.

    Args:
        backbone, channels, anchors, weights, frozen_stages: see ``ProductRetinaNet``; ``anchors`` may be a file of
            `shelfhelp-train anchors`.
        start_from: checkpoint of an earlier training whose weights to start from.
        learning_rate, backbone_factor, weight_decay, warmup_steps, cosine, score_threshold, nms_iou: see
            ``BoxTraining``.
    """

    method = "retinanet"
    mean, std = MEAN, STD

    def __init__(
        self,
        backbone: str = "resnet50",
        channels: int = 256,
        anchors: AnchorShapes = AnchorShapes(),  # noqa: B008 - frozen
        weights: Weights = "imagenet",
        frozen_stages: int = 0,
        start_from: str | None = None,
        learning_rate: float = 1e-4,
        backbone_factor: float = 1.0,
        weight_decay: float = 0.05,
        warmup_steps: int = 1000,
        cosine: bool = True,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
    ) -> None:
        super().__init__(
            learning_rate, backbone_factor, weight_decay, warmup_steps, cosine, score_threshold, nms_iou
        )  # fmt: skip
        self.save_hyperparameters()
        weights = weights if start_from is None else "none"
        self.detector = ProductRetinaNet(backbone, channels, anchors, weights, frozen_stages)
        if start_from is not None:
            self.load_state_dict(weights_of(Path(start_from)))
        self.detector.to(memory_format=torch.channels_last)

    def exported(self) -> ExportedRetinaNet:
        return ExportedRetinaNet(self.detector)

    @property
    def network_name(self) -> str:
        return f"retinanet-{self.hparams['backbone']}"

    def pretrained_part(self) -> nn.Module:
        body: nn.Module = self.detector.backbone.body
        return body
