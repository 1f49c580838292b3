"""Crops decoded once and kept on disk as plain pixels, from where a batch is read without decoding anything.

A source's crops become one file of bytes, N×S×S×3 RGB, mapped into memory, and one list of what each row shows. The
name of the two is a fingerprint of all they depend on: the source's settings, the names, sizes and times of its
files, and the size of the pictures; so nothing stale is ever read, and another size gets files of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from shelfhelp_ros import simulation
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.crop_sources import Crop, CropSource, stream_crops
from shelfhelp_training.data.source_files import crop_files
from shelfhelp_training.data.views import plain_view

Fit = Literal["letterbox", "stretch"]
# To be raised when the same source would give other pixels than before.
FORMAT = 1


@dataclass(frozen=True)
class Row:
    """What one picture shows: names of the product, its family and the photograph it comes from (see `Crop`)."""

    product: str
    family: str
    photo: str


@dataclass(frozen=True, eq=False)
class PixelStore:
    """The N crops of a source: ``pixels`` N×S×S×3 uint8 RGB, and a row for each."""

    pixels: npt.NDArray[np.uint8]
    rows: tuple[Row, ...]


def load_store(
    source: CropSource, root: Path, size: int, fit: Fit = "letterbox", cache: Path | None = None
) -> PixelStore:
    """The crops of a source, size×size pixels each; decoded only if the folder ``cache`` does not hold them yet.

    An interrupted decoding goes on where it stopped; of several processes one decodes and the others wait.

    Args:
        source, root: the collection and the data folder.
        size: side of the pictures in pixels.
        fit: ``letterbox`` keeps the shape and pads, as the runtime does; ``stretch`` fills the square.
        cache: folder for the decoded pictures; None keeps them in memory.

    Raises ShelfHelpError when files are missing, hold no product, or the disk is full.
    """
    if cache is None:
        crops = list(tqdm(stream_crops(source, root), desc=f"decoding {source.name}", unit="crop", leave=False))
        pictures = [_square(crop, size, fit) for crop in crops]
        store = PixelStore(
            np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8), tuple(map(_row, crops))
        )
    else:
        name = fingerprint(source, root, size, fit)
        with only_one(cache, name):
            if not (cache / f"{name}.json").is_file():
                _decode(source, root, size, fit, cache, name)
        rows = [Row(*row) for row in json.loads((cache / f"{name}.json").read_text(encoding="utf-8"))]
        shape = (len(rows), size, size, 3)
        pixels = np.memmap(cache / f"{name}.pixels", np.uint8, "r", shape=shape) if rows else np.empty(shape, np.uint8)
        store = PixelStore(pixels, tuple(rows))
    if not store.rows:
        raise ShelfHelpError(f"{source.summary} holds no crops of the kind {source.kind}")
    return store


def fingerprint(source: CropSource, root: Path, size: int, fit: Fit) -> str:
    """The name under which a source is kept: it changes with whatever its pixels depend on."""
    if source.kind == "drawn":
        files = sorted(Path(simulation.__file__).parent.rglob("*.py")) + sorted(Path(__file__).parent.glob("*.py"))
        facts = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    else:
        files = sorted(set(crop_files(source, root)))
        facts = [(str(file), f"{file.stat().st_size} {file.stat().st_mtime_ns}") for file in files]
    settings = {key: value for key, value in asdict(source).items() if key != "weight"}
    text = json.dumps([FORMAT, settings, size, fit, facts], sort_keys=True)
    return f"{source.name}-{size}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _decode(source: CropSource, root: Path, size: int, fit: Fit, cache: Path, name: str) -> None:
    """Write NAME.pixels and, once that is whole, NAME.json; what is written so far has the ending ``.part``."""
    pixels, rows = cache / f"{name}.pixels.part", cache / f"{name}.rows.part"
    done = _whole_rows(pixels, rows, size)
    try:
        with pixels.open("ab") as picture_file, rows.open("a", encoding="utf-8") as row_file:
            crops = stream_crops(source, root, skip=len(done))
            for crop in tqdm(crops, desc=f"decoding {source.name}", unit="crop", initial=len(done)):
                row = _row(crop)
                picture_file.write(_square(crop, size, fit).tobytes())
                picture_file.flush()
                row_file.write(json.dumps([row.product, row.family, row.photo]) + "\n")
                row_file.flush()
                done.append(row)
    except OSError as error:
        raise ShelfHelpError(
            f"{cache} takes no more decoded pictures ({error.strerror}) after {len(done)} of {size * size * 3:,} bytes "
            "each; free some space and start again, which goes on from there, or name another folder (data.cache)"
        ) from error
    (cache / f"{name}.json.part").write_text(
        json.dumps([[row.product, row.family, row.photo] for row in done]), encoding="utf-8"
    )
    pixels.replace(cache / f"{name}.pixels")
    (cache / f"{name}.json.part").replace(cache / f"{name}.json")
    rows.unlink()


def _whole_rows(pixels: Path, rows: Path, size: int) -> list[Row]:
    """What an interrupted decoding has finished; a torn end is cut off both files."""
    if not pixels.is_file() or not rows.is_file():
        pixels.unlink(missing_ok=True)
        rows.unlink(missing_ok=True)
        return []
    lines = rows.read_text(encoding="utf-8").split("\n")[:-1]
    lines = lines[: pixels.stat().st_size // (size * size * 3)]
    os.truncate(pixels, len(lines) * size * size * 3)
    rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [Row(*json.loads(line)) for line in lines]


@contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a name: other processes that want it wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise ShelfHelpError(
            f"{folder} cannot hold decoded pictures ({error.strerror}); name another (data.cache)"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _row(crop: Crop) -> Row:
    return Row(crop.product, crop.family, crop.photo)


def _square(crop: Crop, size: int, fit: Fit) -> ImageArray:
    """The product alone, size×size×3 RGB."""
    if fit == "letterbox":
        image = plain_view(crop, size, size)
    else:
        image = np.asarray(cv2.resize(crop.tight, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(image[:, :, ::-1])
