"""A trained classifier, from a checkpoint or from ONNX: pictures in, a number for each class out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import ClassificationCard, InputCard, ModelCard, load_card
from shelfhelp_ros.inference.preprocessing import fit, to_tensor
from shelfhelp_ros.inference.session import Session, open_session
from shelfhelp_ros.sightings import FloatArray, ImageArray
from shelfhelp_training.checkpoints import read_checkpoint
from shelfhelp_training.export import export_model
from shelfhelp_training.methods.backbones import Backbone, create_backbone
from shelfhelp_training.methods.embedder import INPUT, TorchSession

OUTPUT = "logits"
# Largest difference of a logit between PyTorch and ONNX Runtime.
TOLERANCE = 1e-3


class ClassNetwork(nn.Module):
    """A backbone and a linear layer: N×3×H×W normalised images to N×C logits."""

    def __init__(self, backbone: Backbone, linear: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.linear = backbone, linear

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.linear(self.backbone(images)))


@dataclass(frozen=True, eq=False)
class PictureNamer:
    """Names pictures: a classifier's card and the session that runs it."""

    card: ModelCard
    session: Session

    @property
    def classes(self) -> tuple[str, ...]:
        assert self.card.classification is not None
        return self.card.classification.classes

    def logits(self, pictures: Sequence[ImageArray]) -> FloatArray:
        """N pictures (H×W×3 uint8 BGR) to N×C float32."""
        assert self.card.classification is not None
        tensor = to_tensor(self.card.input, [fit(self.card.input, picture) for picture in pictures])
        return np.asarray(self.session.run({self.card.input.name: tensor})[self.card.classification.name], np.float32)


def open_namer(path: Path) -> PictureNamer:
    """The classifier in a checkpoint, or in an exported ONNX file with its card beside it.

    Raises ShelfHelpError when the file holds none.
    """
    if path.suffix == ".onnx":
        card = load_card(path)
        if card.classification is None:
            raise ShelfHelpError(f"{path} is no classifier; give one of shelfhelp-export classifier, or a checkpoint")
        return PictureNamer(card, open_session(path))
    network, card = load_class_network(path)
    return PictureNamer(card, TorchSession(network, OUTPUT))


def load_class_network(path: Path) -> tuple[ClassNetwork, ModelCard]:
    """The network in a checkpoint of `classifier` or `semi`, and the card it is exported with.

    Raises ShelfHelpError when the checkpoint holds no classifier with a linear layer.
    """
    checkpoint = read_checkpoint(path)
    settings, weights = checkpoint.get("hyper_parameters", {}), checkpoint["state_dict"]
    shown = checkpoint.get("datamodule_hyper_parameters", {})
    try:
        names = tuple(str(name) for name in checkpoint["classes"]["names"])
        layers = [n.removesuffix(".weight") for n in weights if n.startswith("head.") and n.endswith(".weight")]
        (layer,) = (name for name in layers if weights[f"{name}.weight"].shape[0] == len(names))
        backbone = create_backbone(settings["backbone"], image_size=settings.get("image_size"))
        linear = nn.Linear(backbone.num_features, len(names))
        backbone.load_state_dict({name: weights[f"backbone.{name}"] for name in backbone.state_dict()})
        linear.load_state_dict({name: weights[f"{layer}.{name}"] for name in ("weight", "bias")})
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ShelfHelpError(
            f"{path} is not a checkpoint of a classifier ({error!r:.200}); give one of shelfhelp-train classifier"
        ) from error
    side = backbone.input_size
    card = ModelCard(
        task="classification",
        name=f"{str(settings['backbone']).replace('/', '-').replace(':', '-').lower()}-classes",
        version="1",
        input=InputCard(
            INPUT, side, side, "squash" if shown.get("fit") == "stretch" else "letterbox", backbone.mean, backbone.std
        ),
        classification=ClassificationCard(OUTPUT, names),
        training=dict(checkpoint.get("record", {})),
    )
    return ClassNetwork(backbone, linear).eval(), card


def export_class_network(checkpoint: Path, output: Path) -> ModelCard:
    """Export a classifier as ONNX with its card. Raises ShelfHelpError when ONNX Runtime does not agree."""
    network, card = load_class_network(checkpoint)
    generator = torch.Generator().manual_seed(0)
    shape = card.input.height, card.input.width
    inputs = [torch.randn(count, 3, *shape, generator=generator) for count in (2, 1, 5)]
    return export_model(network, card, output, inputs, {0: Dim("batch", min=1, max=256)}, tolerance=TOLERANCE)
