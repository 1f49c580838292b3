"""What an engine is made of, and so which engine it is: the file, the GPU, the library, the precision, the shapes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shelfhelp_ros.inference.card import InputCard, ModelCard, file_sha256

Shape = tuple[int, ...]
# Crops are run in batches of these sizes, each with kernels and a CUDA graph of its own.
BATCH_BUCKETS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Gpu:
    """The GPU an engine is for. ``capability`` is its compute capability, such as (8, 7) for a Jetson Orin."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class Profile:
    """Shapes of one input that an engine takes: the least, the one it is fastest at, the most."""

    least: Shape
    best: Shape
    most: Shape

    def takes(self, shape: Shape) -> bool:
        return len(shape) == len(self.most) and all(
            low <= size <= high for low, size, high in zip(self.least, shape, self.most, strict=True)
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what an engine is. ``profiles`` hold the shapes of each input by name."""

    model: Path
    gpu: Gpu
    library: str
    precision: str
    profiles: tuple[Mapping[str, Profile], ...]

    @property
    def name(self) -> str:
        return self.model.stem

    def facts(self) -> dict[str, object]:
        """What the key is made of, as JSON can hold it."""
        return {
            "onnx_sha256": file_sha256(self.model),
            "library": self.library,
            "compute_capability": ".".join(map(str, self.gpu.capability)),
            "device": self.gpu.name,
            "precision": self.precision,
            "profiles": [
                {name: dataclasses.asdict(shapes) for name, shapes in sorted(profile.items())}
                for profile in self.profiles
            ],
        }


def recipe_key(facts: Mapping[str, object]) -> str:
    """The SHA-256 of a recipe's facts: engines with the same key are interchangeable."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def precision_of(card: ModelCard) -> str:
    """``fp32``, ``fp16`` or ``int8``: what the types in the ONNX file say, as its export wrote it down."""
    return str(card.training.get("precision", "fp32"))


def profiles_for(card: ModelCard) -> tuple[dict[str, Profile], ...]:
    """The shapes a network is run at: one profile for each batch of crops, or for each zoom of a detector."""
    if card.detection is None:
        height, width = card.input.height, card.input.width
        shapes = [(count, 3, height, width) for count in BATCH_BUCKETS]
        return tuple({card.input.name: Profile(shape, shape, shape)} for shape in shapes)
    if not card.input.dynamic:
        shape = (1, 3, card.input.height, card.input.width)
        return ({card.input.name: Profile(shape, shape, shape)},)
    # The smallest first: whoever looks for a profile takes the first that fits.
    return tuple({card.input.name: _dynamic_profile(card.input, zoom)} for zoom in sorted(card.detection.zooms))


def _dynamic_profile(card: InputCard, zoom: float) -> Profile:
    """Up to the zoomed input's longer side on both axes; best at a camera's 4:3."""
    multiple = card.multiple_of
    longest = max(1, -(-round(zoom * max(card.height, card.width)) // multiple)) * multiple
    shorter = max(1, round(0.75 * longest / multiple)) * multiple
    return Profile((1, 3, multiple, multiple), (1, 3, shorter, longest), (1, 3, longest, longest))
