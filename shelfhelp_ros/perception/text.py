"""The words on a pack: what a crop says against what the reference says.

PP-OCR (Du et al., "PP-OCR: A Practical Ultra Lightweight OCR System", 2020) through RapidOCR and ONNX Runtime; words
are compared by their edit distance. Both come with the extra ``text``.
"""

from __future__ import annotations

import importlib.util
import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray

INSTALL = "pip install 'shelfhelp[text]'"
LIBRARIES = ("rapidocr", "rapidfuzz")

# Read at one size: larger costs more, smaller loses the flavour.
_LONGEST, _ENLARGE = 480, 2.0
# Surer than this, and long enough not to be a scrap of the artwork.
_SURE, _SHORTEST = 0.75, 3
# What is smaller on the reference than this share of the smallest word read on the crop cannot be asked for.
_LEGIBLE = 0.7
# Two readings of one word, of which some letters may be wrong; what is less alike than `_DIFFERENT` is another word.
_ALIKE, _DIFFERENT, _PART, _JOINED = 80.0, 60.0, 88.0, 95.0


@dataclass(frozen=True)
class Word:
    """A word as read, in lower case without accents; ``height`` of its line as a share of the picture's height."""

    text: str
    height: float


@dataclass(frozen=True)
class Agreement:
    """Words of a crop against those of a reference; each counts by its height.

    ``both``, ``missing`` and ``other`` are shares, 0..1: of the reference's words those that the crop has, of the
    reference's words those unlike any of the crop's, of the crop's words those unlike any of the reference's.
    ``read`` and ``asked``: how many words the crop and the reference have.
    """

    both: float
    missing: float
    other: float
    read: int
    asked: int

    @property
    def telling(self) -> bool:
        """Whether both sides have words to compare."""
        return self.read > 0 and self.asked > 0

    @property
    def replaced(self) -> float:
        """How much of the print is there in other words: a word missing alone may be hidden, one more alone may stand
        on a neighbour."""
        return min(self.missing, self.other)


class TextReader:
    """Reads packs. Loading takes a fraction of a second, a crop about half a second of two cores."""

    def __init__(self, threads: int = 2) -> None:
        """Raises ShelfHelpError when the extra ``text`` is not installed."""
        if not available():
            raise ShelfHelpError(f"reading the words on packs needs the extra `text`: {INSTALL}")
        from rapidocr import RapidOCR

        settings = {
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        self._engine: Any = RapidOCR(params=settings)
        self._lock = threading.Lock()

    def read(self, image: ImageArray) -> tuple[Word, ...]:
        """The words on an H×W×3 BGR picture of one product, from top to bottom."""
        scale = min(_LONGEST / max(image.shape[:2]), _ENLARGE)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
        with self._lock:
            result = self._engine(picture, use_cls=False)
        if result.txts is None:
            return ()
        lines = zip(result.boxes, result.txts, result.scores, strict=True)
        return tuple(
            Word(text, _line_height(np.asarray(box)) / picture.shape[0])
            for box, line, score in lines
            if score >= _SURE
            for text in words_of(line)
        )


def available() -> bool:
    """Whether the libraries of the extra ``text`` are installed."""
    return all(importlib.util.find_spec(name) for name in LIBRARIES)


def words_of(line: str) -> Iterator[str]:
    """The words of a line in lower case without accents; numbers and scraps are left out."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", line.lower()) if not unicodedata.combining(c))
    yield from (word for word in re.findall(r"[^\W\d_]+", plain) if len(word) >= _SHORTEST)


def agreement(reference: Sequence[Word], crop: Sequence[Word]) -> Agreement:
    """Compare what is read on a crop with what is read on the reference.

    A word counts once, at its largest, by the square of its height. Words may run together ("greentea"), so a word that
    is part of another counts as there.
    """
    legible = _LEGIBLE * min((word.height for word in crop), default=0.0)
    asked, read = _weights(reference, legible), _weights(crop)
    return Agreement(
        both=_share(asked, read, _ALIKE, above=True),
        missing=_share(asked, read, _DIFFERENT, above=False),
        other=_share(read, asked, _DIFFERENT, above=False),
        read=len(read),
        asked=len(asked),
    )


def _weights(words: Sequence[Word], smallest: float = 0.0) -> dict[str, float]:
    """What each word counts: the square of its height, so that small print hardly does."""
    weights: dict[str, float] = {}
    for word in words:
        if word.height < smallest:
            continue
        weights[word.text] = max(word.height**2, weights.get(word.text, 0.0))
    return weights


def _share(words: dict[str, float], among: dict[str, float], level: float, above: bool) -> float:
    """The share of ``words``, by height, whose likeness to the best of ``among`` is at least (or below) a level."""
    if not words:
        return 0.0
    chosen = [height for word, height in words.items() if (_likeness(word, among) >= level) is above]
    return sum(chosen) / sum(words.values())


def _likeness(word: str, among: dict[str, float]) -> float:
    """How like a word is to the most similar of others, or to a part of one, 0..100."""
    from rapidfuzz import fuzz

    best = 0.0
    for other in among:
        shorter, longer = sorted((word, other), key=len)
        joined = longer.startswith(shorter) or longer.endswith(shorter)
        best = max(best, _JOINED if joined else fuzz.ratio(word, other))
        if min(len(word), len(other)) > _SHORTEST and (part := fuzz.partial_ratio(word, other)) >= _PART:
            best = max(best, part)
    return best


def _line_height(box: Any) -> float:
    """The shorter side of a line's quadrilateral (4×2), pixels."""
    sides = np.linalg.norm(box - np.roll(box, -1, axis=0), axis=1)
    return float(min(sides[0] + sides[2], sides[1] + sides[3]) / 2)
