"""A trained network of ours, whichever method made it, as an encoder: a picture in, a vector of length one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import EmbeddingCard, InputCard, ModelCard, load_card
from shelfhelp_ros.inference.session import Tensor as Array
from shelfhelp_ros.inference.session import open_session
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.checkpoints import Checkpoint, averaged, read_checkpoint
from shelfhelp_training.methods.backbone import MEAN, STD
from shelfhelp_training.methods.backbones import Backbone, create_backbone
from shelfhelp_training.methods.metric import ProductEncoder

INPUT, OUTPUT = "images", "embeddings"


class Embedder(nn.Module):
    """A backbone and its embedding layer: N×3×H×W normalised images to N×D vectors of length one."""

    def __init__(self, backbone: Backbone, embedding: nn.Module) -> None:
        super().__init__()
        self.backbone, self.embedding = backbone, embedding

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.embedding(self.backbone(images)))


def embedding_layer(features: int, dimensions: int | None) -> nn.Module:
    """The linear layer from a backbone's features to vectors of a chosen size; None leaves the features as they are."""
    return nn.Identity() if dimensions is None else nn.Linear(features, dimensions)


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """A network that is ready to embed, what it wants to be shown, and the record of its training.

    ``network`` takes N×3×height×width normalised images and gives N×``dimensions`` vectors of length one; ``name`` is
    that of its backbone.
    """

    name: str
    network: nn.Module
    input: InputCard
    dimensions: int
    record: dict[str, Any]

    def card(self, name: str | None = None, version: str = "1") -> ModelCard:
        """The card of the exported network; without a name, it is that of the backbone and *products*."""
        return ModelCard(
            task="embedding",
            name=name or f"{self.name}-products",
            version=version,
            input=self.input,
            embedding=EmbeddingCard(OUTPUT, self.dimensions),
            training=self.record,
        )

    def encoder(self) -> Encoder:
        """The robot's encoder with this network in it: what an exported one would say, without exporting."""
        return Encoder(self.card(), TorchSession(self.network))


class TorchSession:
    """A PyTorch network behind the protocol of the robot's sessions."""

    backend = "torch"
    metadata_card = None
    input_names: tuple[str, ...] = (INPUT,)

    def __init__(self, network: nn.Module, output: str = OUTPUT) -> None:
        self._network = network.eval()
        self.output_names: tuple[str, ...] = (output,)

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        device = next((parameter.device for parameter in self._network.parameters()), torch.device("cpu"))
        vectors: Tensor = self._network(torch.from_numpy(np.ascontiguousarray(inputs[INPUT])).to(device))
        return {self.output_names[0]: vectors.float().cpu().numpy()}


def load_trained(checkpoints: Sequence[Path]) -> TrainedEncoder:
    """The encoder in a checkpoint of any method of ours; of several checkpoints of one network the mean.

    Averages of trainings with one ancestor keep what the earlier one knew and the later one forgot (Wortsman et al.,
    CVPR 2022). The record is that of the first, with those of the others under ``averaged_with``.

    Raises ShelfHelpError when a file is no checkpoint with a backbone, or the networks differ.
    """
    return trained_encoder(averaged([read_checkpoint(path) for path in checkpoints]), str(checkpoints[0]))


def trained_encoder(checkpoint: Checkpoint, origin: str = "the checkpoint") -> TrainedEncoder:
    """The encoder in a checkpoint that has been read. Raises ShelfHelpError that names ``origin`` if it holds none."""
    settings, weights = checkpoint.get("hyper_parameters", {}), checkpoint["state_dict"]
    shown = checkpoint.get("datamodule_hyper_parameters", {})
    record = dict(checkpoint.get("record", {}))
    try:
        if "encoder.projection.weight" in weights:
            shipped = ProductEncoder(len(weights["encoder.projection.weight"]), False, settings["frozen_stages"])
            _take(shipped, weights, "encoder.")
            known = InputCard(INPUT, int(shown["height"]), int(shown["width"]), "letterbox", MEAN, STD)
            return TrainedEncoder("efficientnet-lite0", shipped.eval(), known, shipped.dimensions, record)
        backbone = create_backbone(settings["backbone"], image_size=settings.get("image_size"))
        dimensions = len(weights["embedding.weight"]) if "embedding.weight" in weights else None
        network = Embedder(backbone, embedding_layer(backbone.num_features, dimensions))
        _take(network, weights)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ShelfHelpError(
            f"{origin} is not a checkpoint of an encoder ({error!r:.200}); give one of metric, clip, simclr or alike"
        ) from error
    side, resize = backbone.input_size, "squash" if shown.get("fit") == "stretch" else "letterbox"
    known = InputCard(INPUT, side, side, cast(Any, resize), backbone.mean, backbone.std)
    name = str(settings["backbone"]).replace("/", "-").replace(":", "-").lower()
    return TrainedEncoder(name, network.eval(), known, dimensions or backbone.num_features, record)


def open_encoder(path: Path) -> Encoder:
    """The encoder in a checkpoint or in an exported ONNX file with its card beside it."""
    if path.suffix == ".onnx":
        return Encoder(load_card(path), open_session(path))
    return load_trained([path]).encoder()


def _take(network: nn.Module, weights: Mapping[str, Tensor], prefix: str = "") -> None:
    network.load_state_dict({name: weights[prefix + name] for name in network.state_dict()})
