"""Pictures as vectors, with what they show: from a file of embeddings, or from an encoder and pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.encoder import Encoder, normalise
from shelfhelp_ros.sightings import FloatArray, ImageArray
from shelfhelp_training.data.boxes import PICTURES
from shelfhelp_training.data.crop_sources import Crop
from shelfhelp_training.evaluation.retrieval import Flags, Retrieval, search

Names = npt.NDArray[np.str_]
# Pictures that are decoded and embedded at a time.
BATCH = 64


@dataclass(frozen=True, eq=False)
class Embedded:
    """N pictures of products as vectors.

    Attributes:
        vectors: N×D float32 of length one.
        labels: N names of what they show.
        photos: N names of where they come from; pictures of one photograph do not answer each other.
        pictures: the N pictures, or their files; empty when there are none to show.
    """

    vectors: FloatArray
    labels: Names
    photos: Names
    pictures: Sequence[Path | ImageArray] = field(default=())

    def __len__(self) -> int:
        return len(self.vectors)

    def picture(self, row: int) -> ImageArray | None:
        """The picture of a row, decoded; None when there is none."""
        if not self.pictures:
            return None
        picture = self.pictures[row]
        if isinstance(picture, Path):
            return load_image(picture) if picture.is_file() else None
        return picture

    def with_vectors(self, vectors: FloatArray) -> Embedded:
        """The same pictures with other vectors (N×E), which are brought to length one."""
        return Embedded(normalise(vectors), self.labels, self.photos, self.pictures)


def retrieval(queries: Embedded, gallery: Embedded) -> Retrieval:
    """Every query asks for its label among the gallery's pictures of other photographs."""

    def same(rows: slice) -> Flags:
        return np.asarray(queries.labels[rows][:, None] == gallery.labels[None])

    def candidate(rows: slice) -> Flags:
        return np.asarray(queries.photos[rows][:, None] != gallery.photos[None])

    return search(queries.vectors, gallery.vectors, same, candidate)


def read_embeddings(path: Path, labels: Path | None = None) -> Embedded:
    """The vectors of an ``.npz``, as `shelfhelp embed` or a training's *predict* writes it.

    Arrays: ``embeddings`` (N×D); ``labels`` or ``products`` (N names or numbers); ``photos`` and ``paths`` (N, if at
    hand). Without labels in the file they come from ``labels``, a CSV with the columns path and label (the path as in
    the file, or its name), or else from the names of the folders that the pictures lie in.

    Raises ShelfHelpError when the file is none, or a label is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} is not a file of embeddings (.npz, see shelfhelp embed): {error}") from error
    vectors = found.get("embeddings")
    if vectors is None or vectors.ndim != 2 or not len(vectors) or not np.isfinite(vectors).all():
        raise ShelfHelpError(f"{path} needs an array `embeddings`, N×D finite numbers; write it with shelfhelp embed")
    paths = [str(p) for p in found["paths"]] if "paths" in found else []
    names = _labels(path, found, paths, labels)
    photos = found.get("photos", np.arange(len(vectors)).astype(str))
    if not len(vectors) == len(names) == len(photos):
        raise ShelfHelpError(f"{path} has {len(vectors)} vectors, {len(names)} labels and {len(photos)} photos")
    # Pictures of different files are of different photographs unless the files say otherwise.
    photos = photos.astype(str) if "photos" in found else np.char.add(f"{path}#", photos)
    vectors = normalise(np.asarray(vectors, np.float32))
    return Embedded(vectors, np.asarray(names).astype(str), photos, [Path(p) for p in paths])


def _labels(path: Path, found: dict[str, np.ndarray], paths: list[str], table: Path | None) -> Sequence[str] | Names:
    if table is not None:
        known = read_labels(table)
        missing = [p for p in paths if p not in known and Path(p).name not in known]
        if missing or not paths:
            raise ShelfHelpError(f"{table} has no label for {(missing or [f'{path}, which names no paths'])[0]}")
        return [known.get(p) or known[Path(p).name] for p in paths]
    for name in ("labels", "products"):
        if name in found:
            return np.asarray(found[name]).astype(str)
    if paths:
        return [Path(p).parent.name for p in paths]
    raise ShelfHelpError(f"{path} says not what its pictures show; add an array `labels`, or give --labels FILE.csv")


def read_labels(path: Path) -> dict[str, str]:
    """The labels of a CSV file with the columns path and label. Raises ShelfHelpError when it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["path"]: row["label"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ShelfHelpError(f"{path} is not a CSV file with the columns path and label: {error}") from error


def embed_folder(folder: Path, encoder: Encoder) -> Embedded:
    """Embed a folder with a folder of pictures for each product, each picture showing one product alone.

    Raises ShelfHelpError when there is no such picture.
    """
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in PICTURES)
    if not paths:
        raise ShelfHelpError(f"{folder} holds no pictures; it needs a folder of pictures for each product")
    vectors = _embed(paths, load_image, encoder)
    labels = np.array([path.parent.name for path in paths])
    return Embedded(vectors, labels, np.array([str(path) for path in paths]), paths)


def embed_crops(crops: Sequence[Crop], encoder: Encoder) -> Embedded:
    """Embed crops as they are; their products are the labels."""
    pictures = [crop.tight for crop in crops]
    vectors = _embed(pictures, lambda picture: picture, encoder)
    return Embedded(vectors, np.array([c.product for c in crops]), np.array([c.photo for c in crops]), pictures)


def _embed(
    items: Sequence[Path] | Sequence[ImageArray], read: Callable[..., ImageArray], encoder: Encoder
) -> FloatArray:
    parts = [np.zeros((0, encoder.dimensions), np.float32)]
    with tqdm(total=len(items), desc="embedding", unit="picture") as bar:
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            parts.append(encoder.embed([read(item) for item in batch]))
            bar.update(len(batch))
    return np.concatenate(parts)
