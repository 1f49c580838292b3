"""A crop of one product becomes a vector; the same product gives vectors that point the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from shelfhelp_ros.geometry import BoxArray, clip
from shelfhelp_ros.images import require_image
from shelfhelp_ros.inference.card import Calibration, EmbeddingCard, ModelCard
from shelfhelp_ros.inference.models import load_model
from shelfhelp_ros.inference.preprocessing import fit, to_tensor
from shelfhelp_ros.inference.session import Session
from shelfhelp_ros.sightings import FloatArray, ImageArray

# A few fixed batch sizes: memory plans are made once for each of them, not once for every number of crops.
BATCH_SIZES = (16, 8, 4, 2, 1)


class Encoder:
    """A product encoder: crops in, L2-normalised vectors out."""

    def __init__(self, card: ModelCard, session: Session) -> None:
        if card.embedding is None:
            raise ValueError("the card describes no encoder")
        self.card = card
        self.session = session
        self._output: EmbeddingCard = card.embedding

    @classmethod
    def load(cls, folder: Path | None = None, backend: str = "auto", threads: int | None = None) -> Encoder:
        """The encoder in a model folder (None: the default one). Raises ShelfHelpError when it cannot be used."""
        model = load_model(folder, "encoder", "embedding", backend, threads)
        return cls(model.card, model.session)

    @property
    def dimensions(self) -> int:
        return self._output.dimensions

    @property
    def calibration(self) -> Calibration | None:
        return self.card.calibration

    def embed(self, crops: Sequence[ImageArray]) -> FloatArray:
        """N crops (H×W×3 uint8 BGR, each the picture of one product) as N×D float32 vectors of length one."""
        for crop in crops:
            require_image(crop)
        batches = [self._embed_batch(crops[start:end]) for start, end in _batches(len(crops))]
        return np.concatenate(batches) if batches else np.zeros((0, self.dimensions), np.float32)

    def embed_boxes(self, image: ImageArray, boxes: BoxArray) -> FloatArray:
        """N×4 boxes (pixels) of one picture as N×D vectors; a box without a pixel in the picture gives a zero row."""
        require_image(image)
        embeddings = np.zeros((len(boxes), self.dimensions), np.float32)
        crops = {row: crop for row, box in enumerate(boxes) if (crop := crop_box(image, box)) is not None}
        embeddings[list(crops)] = self.embed(list(crops.values()))
        return embeddings

    def _embed_batch(self, crops: Sequence[ImageArray]) -> FloatArray:
        tensor = to_tensor(self.card.input, [fit(self.card.input, crop) for crop in crops])
        values = np.asarray(self.session.run({self.card.input.name: tensor})[self._output.name], np.float32)
        return normalise(values.reshape(len(crops), self.dimensions))


def crop_box(image: ImageArray, box: FloatArray) -> ImageArray | None:
    """The pixels a box covers, cut to the picture; None when there are none or the box is not finite."""
    if not np.isfinite(box).all():
        return None
    height, width = image.shape[:2]
    x1, y1, x2, y2 = clip(np.asarray(box, np.float32)[None], width, height)[0]
    crop = image[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))]
    return crop if x2 > x1 and y2 > y1 and crop.size else None


def normalise(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length one; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _batches(count: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < count:
        size = next(size for size in BATCH_SIZES if size <= count - start)
        yield start, start + size
        start += size
