"""A crop of one product becomes a vector; the same product gives vectors that point the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from shelfhelp_ros.geometry import BoxArray, clip
from shelfhelp_ros.images import require_image
from shelfhelp_ros.inference.card import Calibration, EmbeddingCard, ModelCard
from shelfhelp_ros.inference.models import load_model
from shelfhelp_ros.inference.preprocessing import fit, see, to_tensor
from shelfhelp_ros.inference.session import Session, Tensor
from shelfhelp_ros.inference.views import View
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
        card = self.card.input
        edges = {row: found for row, box in enumerate(boxes) if (found := crop_edges(image, box)) is not None}
        rows, views = list(edges), [View.of(card, *found) for found in edges.values()]
        for start, end in _batches(len(views)):
            embeddings[rows[start:end]] = self._vectors(see(self.session, card, image, views[start:end]))
        return embeddings

    def _embed_batch(self, crops: Sequence[ImageArray]) -> FloatArray:
        tensor = to_tensor(self.card.input, [fit(self.card.input, crop) for crop in crops])
        return self._vectors(self.session.run({self.card.input.name: tensor}))

    def _vectors(self, outputs: Mapping[str, Tensor]) -> FloatArray:
        return normalise(np.asarray(outputs[self._output.name], np.float32).reshape(-1, self.dimensions))


def crop_box(image: ImageArray, box: FloatArray) -> ImageArray | None:
    """The pixels a box covers, cut to the picture; None when there are none or the box is not finite."""
    edges = crop_edges(image, box)
    return None if edges is None else image[edges[1] : edges[3], edges[0] : edges[2]]


def crop_edges(image: ImageArray, box: FloatArray) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the pixels a box covers in a picture; None as for `crop_box`."""
    if not np.isfinite(box).all():
        return None
    height, width = image.shape[:2]
    x1, y1, x2, y2 = clip(np.asarray(box, np.float32)[None], width, height)[0]
    if not (x2 > x1 and y2 > y1):
        return None
    return int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2))


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
