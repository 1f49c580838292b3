"""Image networks by name, from timm, torchvision or OpenCLIP, all used in one way: a picture in, one vector out."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.methods.backbone import BATCH_NORM_EPSILON, MEAN, STD, load_imagenet_weights

# Mean and deviation of ImageNet's pixels, what torchvision's networks were trained with.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE0 = "efficientnet_lite0"
# Children of these names hold a network's blocks; what has such a child is not a block itself.
HOLDS_BLOCKS = frozenset({"blocks", "resblocks", "layers", "stages", "trunk", "encoder", "transformer"})


class Backbone(nn.Module):
    """A network without its classifier: N×3×H×W normalised images in, N×``num_features`` vectors out.

    Attributes:
        name: what `create_backbone` made it from.
        num_features: length of a vector.
        mean, std: of the pixels (0..1) that the network expects, a channel each.
        input_size: side of the pictures it was made for; convolutional networks take others as well.
        frozen: so many of its first `layers` keep their weights and statistics.
    """

    def __init__(
        self,
        name: str,
        body: nn.Module,
        num_features: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        input_size: int,
    ) -> None:
        super().__init__()
        self.name, self.body, self.num_features = name, body, num_features
        self.mean, self.std, self.input_size, self.frozen = mean, std, input_size, 0

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.body(images))

    def layers(self) -> list[nn.Module]:
        """The network from input to output: what comes before the first block, the blocks, what comes after the last.

        Every parameter is in exactly one of them.
        """
        found: list[nn.Module] = []
        between: list[nn.Module] = []
        for part, is_block in _parts(self.body, False):
            if not any(True for _ in part.parameters()):
                continue
            if is_block:
                found += [nn.ModuleList(between), part] if between else [part]
                between = []
            else:
                between.append(part)
        return [*found, nn.ModuleList(between)] if between else found

    def freeze(self, count: int) -> None:
        """Let the first ``count`` layers keep their weights, and their batch normalisation its statistics."""
        layers = self.layers()
        if not 0 <= count <= len(layers):
            raise ShelfHelpError(f"{self.name} has {len(layers)} layers; freeze between 0 and so many, not {count}")
        self.frozen = count
        for number, layer in enumerate(layers):
            layer.requires_grad_(number >= count)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        if self.frozen:
            for layer in self.layers()[: self.frozen]:
                layer.eval()
        return self


def create_backbone(
    name: str,
    pretrained: bool = False,
    image_size: int | None = None,
    drop_path: float = 0.0,
    gradient_checkpointing: bool = False,
) -> Backbone:
    """A backbone by its name: ``timm/resnet18`` or ``resnet18``, ``torchvision/resnet50``, ``open_clip/ViT-H-14``.

    Args:
        name: the library and its name of the network; OpenCLIP's may carry the name of its weights
            (``open_clip/ViT-H-14:laion2b_s32b_b79k``).
        pretrained: start from published weights. Those of ``efficientnet_lite0`` come with a package, others
            from the library's own hub.
        image_size: side of the pictures in pixels; None takes the network's own.
        drop_path: share of residual branches that are left out at random while training (stochastic depth).
        gradient_checkpointing: compute activations twice and keep fewer of them: less memory, more time.

    Raises ShelfHelpError when there is no such network, an option is not for it, or weights cannot be had.
    """
    library, _, short = name.rpartition("/")
    makers = {"": _from_timm, "timm": _from_timm, "torchvision": _from_torchvision, "open_clip": _from_open_clip}
    if library not in makers or not short:
        raise ShelfHelpError(f"there is no backbone {name}; write timm/NAME, torchvision/NAME or open_clip/NAME")
    backbone = makers[library](short, pretrained, image_size, drop_path)
    backbone.name = name
    if gradient_checkpointing:
        _checkpoint_gradients(backbone)
    return backbone


def load_backbone(backbone: Backbone, checkpoint: Path) -> None:
    """Take the backbone's weights from a checkpoint of any training of ours. Raises ShelfHelpError if it has none."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    except Exception as error:  # an unpickler may raise anything on a file that is none
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint to start from: {error}") from error
    weights = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    if not weights:
        raise ShelfHelpError(f"{checkpoint} holds no backbone; give a checkpoint of simclr, byol, classifier or alike")
    try:
        backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise ShelfHelpError(
            f"{checkpoint} holds another network than {backbone.name} for {backbone.input_size} pixels; "
            "name the backbone and image size it was trained with"
        ) from error


def _from_timm(name: str, pretrained: bool, image_size: int | None, drop_path: float) -> Backbone:
    import timm

    if not timm.is_model(name):
        similar = timm.list_models(f"*{name.split('.')[0][:8]}*")[:3]
        hint = f"; similar: {', '.join(similar)}" if similar else ""
        raise ShelfHelpError(f"timm has no network {name}{hint}")
    known: Any = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if image_size is not None and known.fixed_input_size:
        options["img_size"] = image_size
    if name == LITE0:
        options["bn_eps"] = BATCH_NORM_EPSILON
    hub = pretrained and name != LITE0
    body: Any = _made(partial(timm.create_model, name, hub, num_classes=0, **options), f"timm/{name}", hub)
    if pretrained and not hub:
        load_imagenet_weights(body)
    mean, std = (MEAN, STD) if name == LITE0 else (known.mean, known.std)
    features = int(getattr(body, "head_hidden_size", None) or body.num_features)
    return Backbone(name, body, features, mean, std, image_size or known.input_size[-1])


def _from_torchvision(name: str, pretrained: bool, image_size: int | None, drop_path: float) -> Backbone:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise ShelfHelpError(f"torchvision has no network {name}; some are resnet50, efficientnet_b0, swin_t, vit_b_16")
    options: dict[str, Any] = {"stochastic_depth_prob": drop_path} if drop_path else {}
    if image_size is not None and name.startswith("vit_"):
        options["image_size"] = image_size
    weights = "DEFAULT" if pretrained else None
    body: Any = _made(partial(models.get_model, name, weights=weights, **options), f"torchvision/{name}", pretrained)
    head = next((part for part in ("fc", "classifier", "heads", "head") if hasattr(body, part)), None)
    linear = [module for module in getattr(body, head or "", body).modules() if isinstance(module, nn.Linear)]
    if head is None or not linear:
        raise ShelfHelpError(f"torchvision/{name} has no classifier to take off; choose another network")
    kept = [part for part in getattr(body, head).children() if isinstance(part, (nn.LayerNorm, nn.Flatten))]
    setattr(body, head, nn.Sequential(*kept))
    return Backbone(name, body, linear[0].in_features, *IMAGENET, image_size or 224)


def _from_open_clip(name: str, pretrained: bool, image_size: int | None, drop_path: float) -> Backbone:
    try:
        open_clip: Any = importlib.import_module("open_clip")
    except ImportError as error:
        raise ShelfHelpError("OpenCLIP's networks need: pip install 'shelfhelp[training]'") from error
    architecture, _, tag = name.partition(":")
    if architecture not in open_clip.list_models():
        raise ShelfHelpError(f"OpenCLIP has no network {architecture}; some are ViT-B-32, ViT-L-14, ViT-H-14")
    if drop_path:
        raise ShelfHelpError(f"open_clip/{name} has no stochastic depth; leave drop_path at 0")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if pretrained and not tag:
        tag = next((t for t in tags if t.startswith("laion2b")), tags[0] if tags else "")
    if pretrained and tag not in tags:
        raise ShelfHelpError(f"OpenCLIP has no weights {tag or 'at all'} for {architecture}; it has: {', '.join(tags)}")
    make = partial(
        open_clip.create_model,
        architecture,
        pretrained=tag if pretrained else None,
        force_image_size=image_size,
        device=torch.get_default_device(),
    )
    tower: Any = _made(make, f"open_clip/{name}", pretrained).visual
    facts = open_clip.get_model_preprocess_cfg(tower) if hasattr(tower, "preprocess_cfg") else {}
    mean = facts.get("mean") or open_clip.OPENAI_DATASET_MEAN
    std = facts.get("std") or open_clip.OPENAI_DATASET_STD
    size = tower.image_size[0] if isinstance(tower.image_size, (tuple, list)) else tower.image_size
    with torch.no_grad():
        features = tower.eval()(torch.zeros(1, 3, size, size)).shape[1]
    return Backbone(name, tower.train(), features, tuple(mean), tuple(std), size)


def _made(make: Any, name: str, downloads: bool) -> nn.Module:
    """What ``make`` returns; its failures in one line."""
    try:
        return cast(nn.Module, make())
    except TypeError as error:
        raise ShelfHelpError(f"{name} does not take the options given: {error}") from error
    except Exception as error:  # every hub fails in its own ways
        if not downloads:
            raise ShelfHelpError(f"{name} cannot be made: {error}") from error
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ShelfHelpError(
            f"the published weights of {name} could not be downloaded ({reason}); connect to the internet once, "
            "or train without them (pretrained: false)"
        ) from error


def _checkpoint_gradients(backbone: Backbone) -> None:
    switch = getattr(backbone.body, "set_grad_checkpointing", None)
    if switch is None:
        raise ShelfHelpError(f"{backbone.name} cannot checkpoint gradients; timm/ and open_clip/ networks can")
    switch(True)


def _parts(module: nn.Module, inside: bool) -> Iterator[tuple[nn.Module, bool]]:
    """The pieces of a network in order, and whether each stands in a list of blocks; its own parameters first."""
    own = list(module.parameters(recurse=False))
    if own:
        yield nn.ParameterList(own), False
    for child in module.children():
        if type(child) in (nn.Sequential, nn.ModuleList):
            yield from _parts(child, True)
        elif HOLDS_BLOCKS & {name for name, _ in child.named_children()}:
            yield from _parts(child, False)
        else:
            yield child, inside
