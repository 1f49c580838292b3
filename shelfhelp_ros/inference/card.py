"""The card of a model file: everything the runtime has to know about an ONNX, in JSON beside it.

``detector.onnx`` has ``detector.json``. The same text, without the hash of the file itself, is in the ONNX metadata
under the key ``shelfhelp_card``. No constant of a model stands in code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from shelfhelp_ros.errors import ShelfHelpError

METADATA_KEY = "shelfhelp_card"


@dataclass(frozen=True)
class InputCard:
    """How a picture becomes the input tensor ``name``: N×3×height×width float32, (pixel / 255 - mean) / std.

    ``height`` and ``width`` are the sizes to letterbox or squash into. With ``dynamic`` the network takes any multiple
    of ``multiple_of``: the longer side of the picture goes to ``max(height, width)`` and the other side as far as its
    shape asks.
    """

    name: str
    height: int
    width: int
    resize: Literal["letterbox", "squash"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channel_order: Literal["RGB", "BGR"] = "RGB"
    pad_value: int = 114
    dynamic: bool = False
    multiple_of: int = 32


@dataclass(frozen=True)
class DetectionCard:
    """Outputs of a detector and how to read them: ``boxes`` N×K×4 xyxy in pixels of the input tensor, ``scores`` N×K.

    A detector knows things of some range of sizes. So a picture is looked at once for each of ``zooms``, 1 being the
    input size: a pack in front of the camera is larger than any on a shelf two metres away, and a look at a quarter of
    the size costs a sixteenth. In all of ``zooms`` but the first a box counts from ``least_side`` pixels of the input
    on; what is smaller is seen better in the first. Of two boxes of different looks that share more than ``inside`` of
    the smaller one, one is not a whole product, and the surer stays. Tiles, where asked for, overlap by
    ``tile_overlap`` of their side.

    The defaults are those of cards that say nothing of it.
    """

    boxes: str
    scores: str
    score_threshold: float
    nms_iou: float
    max_detections: int
    zooms: tuple[float, ...] = (1.0, 0.25)
    least_side: float = 45
    inside: float = 0.7
    tile_overlap: float = 0.25

    def __post_init__(self) -> None:
        if not self.zooms or not all(0 < zoom <= 1 for zoom in self.zooms):
            raise ValueError(f"zooms have to be above 0 and at most 1, not {self.zooms}")
        if not 0 <= self.tile_overlap < 1:
            raise ValueError(f"tile_overlap has to be at least 0 and below 1, not {self.tile_overlap}")

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> DetectionCard:
        """From decoded JSON. Raises TypeError for unknown or missing fields, ValueError for impossible values."""
        card = cls(**raw)
        return dataclasses.replace(card, zooms=tuple(card.zooms))


@dataclass(frozen=True)
class EmbeddingCard:
    """Output of an encoder: ``name`` N×dimensions, L2-normalised."""

    name: str
    dimensions: int


@dataclass(frozen=True)
class ClassificationCard:
    """Output of a classifier: ``name`` N×C, a number for each of the C ``classes``; the largest is the likeliest."""

    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """Logistic regression from features of a match to the probability that it is right, fitted on held-out data.

    ``coefficients`` are by feature name (``similarity``: cosine to the best reference). ``thresholds`` are
    probabilities by decision (``found``, ``found_alone``, ``ambiguous_margin``, ``present``); ``confirm`` holds those
    that differ for a word such as ``cautious``.
    """

    coefficients: dict[str, float]
    intercept: float
    thresholds: dict[str, float]
    fitted_on: str
    confirm: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """The card as a whole. ``figures`` are dicts with test_set, metric, value and command."""

    task: Literal["detection", "embedding", "classification"]
    name: str
    version: str
    input: InputCard
    detection: DetectionCard | None = None
    embedding: EmbeddingCard | None = None
    classification: ClassificationCard | None = None
    calibration: Calibration | None = None
    training: dict[str, Any] = field(default_factory=dict)
    figures: tuple[dict[str, Any], ...] = ()
    licence: str = "Apache-2.0"
    sha256: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=False) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "model card") -> ModelCard:
        """Read a card. Raises ShelfHelpError that names ``origin`` and what is wrong with it."""
        try:
            raw = json.loads(text)
            return cls(
                task=raw["task"],
                name=raw["name"],
                version=raw["version"],
                input=InputCard(
                    **{**raw["input"], "mean": tuple(raw["input"]["mean"]), "std": tuple(raw["input"]["std"])}
                ),
                detection=DetectionCard.from_raw(raw["detection"]) if raw.get("detection") else None,
                embedding=EmbeddingCard(**raw["embedding"]) if raw.get("embedding") else None,
                classification=ClassificationCard(
                    raw["classification"]["name"], tuple(raw["classification"]["classes"])
                )
                if raw.get("classification")
                else None,
                calibration=Calibration(**raw["calibration"]) if raw.get("calibration") else None,
                training=raw.get("training", {}),
                figures=tuple(raw.get("figures", ())),
                licence=raw.get("licence", ""),
                sha256=raw.get("sha256", ""),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ShelfHelpError(f"{origin} is not a usable model card ({error}); export the model again") from error


def card_path(model: Path) -> Path:
    """Where the card of a model file lies."""
    return model.with_suffix(".json")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def load_card(model: Path, verify: bool = True) -> ModelCard:
    """The card beside ``model``; with ``verify`` the file's SHA-256 has to be the card's.

    Raises ShelfHelpError when either file is missing, unreadable, or they do not belong together.
    """
    path = card_path(model)
    for needed in (model, path):
        if not needed.is_file():
            raise ShelfHelpError(f"{needed} is missing; reinstall shelfhelp or give another folder with --models")
    try:
        card = ModelCard.from_json(path.read_text(encoding="utf-8"), str(path))
        if verify and file_sha256(model) != card.sha256:
            raise ShelfHelpError(f"{model} is not the file its card describes (SHA-256 differs); reinstall shelfhelp")
    except (OSError, UnicodeDecodeError) as error:
        raise ShelfHelpError(f"{model} or its card cannot be read: {error}") from error
    return card
