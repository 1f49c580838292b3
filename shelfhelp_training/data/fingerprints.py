"""Fingerprints by which near-duplicates are found: a perceptual hash for speed and a tiny picture to be sure.

The hash is pHash (Zauner 2010): the signs of the lowest 8×8 cosine coefficients of a 32×32 picture about their median.
Two pictures count as near-duplicates when the hashes differ in at most ``DISTANCE`` of 64 bits and the tiny pictures
agree in brightness and in colour. Colour keeps packshots of a maker's flavours apart, which share their layout.
Fingerprints are kept in a cache beside the user's others, so that a second look at a collection takes seconds.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError

SIDE = 32
DISTANCE = 12
LIKENESS = 0.85
COLOUR_LIKENESS = 0.88
# Mean colour difference in grey levels below which a picture counts as grey, and has no colours to compare.
GREY = 4.0
VERSION = 1
# Pictures are decoded no larger than they need be: JPEG can be read at an eighth of its size.
DRAFT = (256, 256)

Bits = npt.NDArray[np.uint8]
Tiny = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """N pictures: ``paths``, hashes ``bits`` N×8 uint8, and pictures ``tiny`` N×32×32×3 uint8 RGB."""

    paths: tuple[Path, ...]
    bits: Bits
    tiny: Tiny


@dataclass(frozen=True)
class Pair:
    """Two near-duplicates: their numbers, and in how many of 64 bits their hashes differ."""

    first: int
    second: int
    distance: int


def cache_file() -> Path:
    """Where fingerprints are kept: ``shelfhelp/fingerprints.sqlite`` in XDG_CACHE_HOME, else in ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "shelfhelp" / "fingerprints.sqlite"


def fingerprint(path: Path) -> tuple[Bits, Tiny]:
    """The hash (8 bytes) and the tiny picture of one file; ShelfHelpError when it is no picture."""
    try:
        import imagehash
    except ImportError as error:
        message = "the leak check needs ImageHash; install it with: pip install 'shelfhelp[training]'"
        raise ShelfHelpError(message) from error
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", DRAFT)
            colour = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ShelfHelpError(f"{path} cannot be read as a picture; remove it, or fetch it again") from error
    bits = np.packbits(imagehash.phash(colour).hash.ravel())
    return bits, np.asarray(colour.resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.uint8)


def fingerprints(paths: Sequence[Path], cache: Path | None = None) -> Fingerprints:
    """The fingerprints of pictures, each file taken once, in the order of first mention; from the cache where known.

    A file counts as known while its path, size and time of change are the same.
    """
    files = tuple(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))
    keys = [_key(file) for file in files]
    with _Cache(cache or cache_file()) as known:
        found = known.read(keys)
        new = [index for index, key in enumerate(keys) if key not in found]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            made = pool.map(lambda index: fingerprint(files[index]), new)
            fresh = dict(
                zip(
                    (keys[index] for index in new),
                    tqdm(made, "fingerprints", len(new), unit="picture", mininterval=1, disable=len(new) < 200),
                    strict=True,
                )
            )
        known.write(fresh)
    every = {**found, **fresh}
    bits = np.array([every[key][0] for key in keys], np.uint8).reshape(-1, 8)
    tiny = np.array([every[key][1] for key in keys], np.uint8).reshape(-1, SIDE, SIDE, 3)
    return Fingerprints(files, bits, tiny)


def near_duplicates(
    first: Fingerprints, second: Fingerprints, distance: int = DISTANCE, likeness: float = LIKENESS
) -> list[Pair]:
    """The pairs of a picture of ``first`` and one of ``second`` that show nearly the same."""
    import faiss

    if not len(first.bits) or not len(second.bits):
        return []
    index = faiss.IndexBinaryFlat(64)
    index.add(second.bits)
    # The search finds what is nearer than its radius.
    limits, distances, numbers = index.range_search(first.bits, distance + 1)
    rows = np.repeat(np.arange(len(first.bits)), limits[1:].astype(np.int64) - limits[:-1].astype(np.int64))
    return [
        Pair(int(row), int(number), int(away))
        for row, number, away in zip(rows, numbers, distances, strict=True)
        if alike(first.tiny[row], second.tiny[number], likeness)
    ]


def alike(first: Tiny, second: Tiny, likeness: float = LIKENESS) -> bool:
    """Whether two tiny pictures agree in brightness (correlation) and in colour (cosine of the opponent colours)."""
    if np.array_equal(first, second):
        return True
    grey_first, grey_second = (_centred(tiny @ np.array([0.299, 0.587, 0.114])) for tiny in (first, second))
    if float((grey_first * grey_second).sum()) < likeness:
        return False
    colours = [_opponents(tiny) for tiny in (first, second)]
    strengths = [float(np.sqrt((colour**2).mean())) for colour in colours]
    if min(strengths) < GREY:
        return max(strengths) < 2 * GREY
    cosine = float((colours[0] * colours[1]).sum() / np.prod([np.linalg.norm(colour) for colour in colours]))
    return cosine >= COLOUR_LIKENESS


def _centred(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    grey = grey - grey.mean()
    return np.asarray(grey / max(float(np.linalg.norm(grey)), 1e-6))


def _opponents(tiny: Tiny) -> npt.NDArray[np.float64]:
    """Red against green and yellow against blue."""
    red, green, blue = np.moveaxis(tiny.astype(np.float64), -1, 0)
    return np.stack([red - green, (red + green) / 2 - blue])


Key = tuple[str, int, int]


def _key(path: Path) -> Key:
    try:
        facts = path.stat()
    except OSError as error:
        raise ShelfHelpError(f"{path} is missing; the configuration or the annotations name it") from error
    return str(path), facts.st_size, facts.st_mtime_ns


class _Cache:
    """Fingerprints in SQLite. One that cannot be opened or written to is done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> _Cache:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=10)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS fingerprint"
                " (path TEXT, size INTEGER, changed INTEGER, version INTEGER, bits BLOB, tiny BLOB, PRIMARY KEY (path))"
            )
        except (OSError, sqlite3.Error):
            self._database = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def read(self, keys: Sequence[Key]) -> dict[Key, tuple[Bits, Tiny]]:
        """What is known of the files."""
        found: dict[Key, tuple[Bits, Tiny]] = {}
        if self._database is None:
            return found
        query = "SELECT bits, tiny FROM fingerprint WHERE path = ? AND size = ? AND changed = ? AND version = ?"
        try:
            for key in keys:
                row = self._database.execute(query, (*key, VERSION)).fetchone()
                if row is not None:
                    bits, tiny = (np.frombuffer(part, np.uint8) for part in row)
                    found[key] = bits, tiny.reshape(SIDE, SIDE, 3)
        except (sqlite3.Error, ValueError):
            return {}
        return found

    def write(self, made: dict[Key, tuple[Bits, Tiny]]) -> None:
        """Keep what is new."""
        if self._database is None:
            return
        rows = [(*key, VERSION, bits.tobytes(), tiny.tobytes()) for key, (bits, tiny) in made.items()]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO fingerprint VALUES (?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error:
            self._database = None
