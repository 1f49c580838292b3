"""A second look: is it the wanted product, or one of its family that only looks like it?

The encoder finds the family and leaves the variety open. Here the reference is laid over the crop and compared with it
place by place, and the words on both are read. What comes out are the log odds that the crop is the very product, given
that it is that or a look-alike. Where the look-alike is known, the crop is held against both at once, in the places in
which they differ. Each kind of evidence is fitted by logistic regression on pairs of products that are easily confused
(`shelfhelp-evaluate lookalikes --fit all`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import grown
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.perception.encoder import crop_edges
from shelfhelp_ros.perception.likeness import Likeness, compare, overlay
from shelfhelp_ros.perception.local_features import Alignment, Homography, LocalFeatures, align
from shelfhelp_ros.perception.telling_apart import Comparison, tell_apart
from shelfhelp_ros.perception.text import Agreement, TextReader, Word, agreement
from shelfhelp_ros.resources import PACKAGE
from shelfhelp_ros.sightings import FloatArray, ImageArray

CARD = "verifier.json"
# What a second look can be made with; text: likeness and the words.
SECOND_LOOKS = ("likeness", "text", "off")


@dataclass(frozen=True)
class Evidence:
    """Log odds as a linear function of named features, at most ``limit`` to either side."""

    coefficients: dict[str, float]
    intercept: float
    limit: float

    def log_odds(self, features: Mapping[str, float]) -> float:
        value = self.intercept + sum(weight * features[name] for name, weight in self.coefficients.items())
        return min(max(value, -self.limit), self.limit)


@dataclass(frozen=True)
class VerifierCard:
    """What was fitted: the evidence of ``likeness``, of ``text``, and of a detailed reference that cannot be laid over
    a detailed crop (``apart``), that it is one of two products rather than the other (``between``), and the log odds
    from which a look counts as a ``yes`` and below which as a ``no``. ``fitted_on`` names the pairs, ``figures`` what
    came of it."""

    likeness: Evidence
    text: Evidence
    apart: Evidence
    between: Evidence
    yes: float
    no: float
    fitted_on: str = ""
    figures: tuple[dict[str, Any], ...] = ()

    @classmethod
    def load(cls, folder: Path | None = None) -> VerifierCard:
        """The card in a model folder (None: the default one), or the package's own where the folder has none: what it
        holds depends on no network. Raises ShelfHelpError when it is damaged."""
        path = (folder if folder is not None else default_model_folder()) / CARD
        path = path if path.is_file() else PACKAGE / "models" / CARD
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            parts: dict[str, Any] = {name: Evidence(**raw.pop(name)) for name in EVIDENCE}
            card = cls(**{**raw, **parts, "figures": tuple(raw.get("figures", ()))})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ShelfHelpError(f"{path} is not the card of a verifier ({error}); reinstall shelfhelp") from error
        unknown = {
            name for part, known in EVIDENCE.items() for name in getattr(card, part).coefficients if name not in known
        }
        if unknown:
            raise ShelfHelpError(f"{path} asks for {', '.join(sorted(unknown))}, which this version does not compute")
        return card


@dataclass(frozen=True)
class Surroundings:
    """The wider ``picture`` (H×W×3 BGR) that a crop was cut from, and the ``corner`` (x, y) of the crop in it."""

    picture: ImageArray
    corner: tuple[int, int]

    @classmethod
    def of(cls, image: ImageArray, box: FloatArray, margin: float = 0.5) -> Surroundings | None:
        """A copy of what a ``box`` covers in a picture, with ``margin`` of its sides about it; None where that is
        nothing."""
        inner, outer = crop_edges(image, box), crop_edges(image, grown(box, margin))
        if inner is None or outer is None:
            return None
        picture = image[outer[1] : outer[3], outer[0] : outer[2]].copy()
        return cls(picture, (inner[0] - outer[0], inner[1] - outer[1]))


class View:
    """One picture of a product (H×W×3 BGR) and what was found in it, each when first asked for. For one thread.

    ``around``: what it was cut from, where the cut may have left out some of the product.
    """

    def __init__(self, image: ImageArray, around: Surroundings | None = None) -> None:
        self.image = image
        self.around = around or Surroundings(image, (0, 0))
        self._features: LocalFeatures | None = None
        self._words: tuple[Word, ...] | None = None
        self._places: WeakKeyDictionary[View, Alignment | None] = WeakKeyDictionary()

    @property
    def features(self) -> LocalFeatures:
        if self._features is None:
            self._features = LocalFeatures.of(self.image)
        return self._features

    def place_of(self, other: View) -> Alignment | None:
        """Where another picture lies in this one, by the pixels of both features' images; None where it does not."""
        if other not in self._places:
            self._places[other] = align(other.features, self.features)
        return self._places[other]

    def words(self, reader: TextReader) -> tuple[Word, ...]:
        """The words on it, read once."""
        if self._words is None:
            self._words = reader.read(self.image)
        return self._words


@dataclass(frozen=True)
class SecondLook:
    """What a second look says of a crop and one product.

    ``log_odds`` that it is the product rather than a look-alike; None when nothing could be told: too small or smooth,
    turned away, nothing to read. ``verified`` is yes, no, or None between the two. ``words`` were read on the crop.
    """

    log_odds: float | None
    verified: bool | None
    words: tuple[str, ...] = ()


class Verifier:
    """Looks twice: at the pictures, and at the words when it has a reader."""

    def __init__(self, card: VerifierCard, reader: TextReader | None = None, likeness: bool = True) -> None:
        """``reader`` None leaves the words out; ``likeness`` False leaves the pictures out (to measure their share)."""
        self.card = card
        self.reader = reader
        self._likeness = likeness

    @classmethod
    def load(cls, folder: Path | None = None, threads: int = 2, text: bool = False) -> Verifier:
        """The verifier of a model folder; with ``text`` it also reads the words.

        Raises ShelfHelpError when its card cannot be used, or when the extra `text` is asked for and not installed.
        """
        return cls(VerifierCard.load(folder), TextReader(threads) if text else None)

    def look(self, crop: View, references: Sequence[View]) -> SecondLook:
        """Look at a crop with the references of one product beside it; the one that agrees best counts."""
        told = [odds for odds in (self._log_odds(crop, reference) for reference in references) if odds is not None]
        words = tuple(word.text for word in crop.words(self.reader)) if self.reader is not None else ()
        if not told:
            return SecondLook(None, None, words)
        log_odds = max(told)
        verified = True if log_odds >= self.card.yes else False if log_odds <= self.card.no else None
        return SecondLook(log_odds, verified, words)

    def between(self, crop: View, target: Sequence[View], rival: Sequence[View]) -> float | None:
        """Log odds that a crop shows the target rather than the rival, each by its references, given that it is one of
        the two: none between the card's yes and no, for a shade would choose. None when they cannot be told apart
        there. Unlike `look` it needs no clear picture: both are blurred as the crop is."""
        compared = compare_pair(crop, target, rival) if self._likeness else None
        if compared is None:
            return None
        log_odds = self.card.between.log_odds(between_features(compared))
        return log_odds if log_odds >= self.card.yes or log_odds <= self.card.no else 0.0

    def _log_odds(self, crop: View, reference: View) -> float | None:
        odds = []
        alignment = crop.place_of(reference) if self._likeness and clear(crop) else None
        likeness = compare(overlay(reference.features, crop.features, alignment)) if alignment is not None else None
        if alignment is not None and likeness is not None:
            odds.append(self.card.likeness.log_odds(likeness_features(alignment, likeness)))
        elif self._likeness and detailed(reference) and detailed(crop):
            odds.append(self.card.apart.log_odds({}))
        if self.reader is not None:
            read = agreement(reference.words(self.reader), crop.words(self.reader))
            # Words in common are those of the family; only words that contradict tell a variety.
            against = self.card.text.log_odds(text_features(read)) if read.telling else 0.0
            odds += [against] if against < 0 else []
        return sum(odds) if odds else None


def clear(view: View) -> bool:
    """Whether a picture has pixels enough to be laid over another one: the print of a distant pack is blurred away, and
    agrees with its own reference no better than with a look-alike's."""
    return bool(min(view.image.shape[:2]) >= _CLEAR)


def detailed(view: View) -> bool:
    """Whether a picture shows so much of a pack that it can be laid over another one of the same pack: not the few
    pixels of a distant or slim one."""
    return bool(min(view.image.shape[:2]) >= _WIDE) and len(view.features) >= _RICH


def compare_pair(crop: View, first: Sequence[View], second: Sequence[View]) -> Comparison | None:
    """A crop beside the references of two products: of one each, those that are most alike of what lies in the crop."""
    pairs = [(one.place_of(other), one, other) for one in first for other in second]
    alike = sorted(((a, one, other) for a, one, other in pairs if a is not None), key=lambda pair: -pair[0].inliers)
    for between, one, other in alike[:_PAIRS]:
        back = np.linalg.inv(between.homography)
        places = ((crop.place_of(one), np.eye(3)), (crop.place_of(other), back))
        found = [(alignment.inliers, alignment.homography @ to) for alignment, to in places if alignment is not None]
        if not found:
            continue
        _, place = max(found, key=lambda one: one[0])
        compared = tell_apart(
            crop.around.picture, _to_surroundings(crop) @ place, one.features, other.features, between.homography
        )
        if compared is not None:
            return compared
    return None


def _to_surroundings(crop: View) -> Homography:
    """From pixels of a crop's features to those of what it was cut from (3×3)."""
    width, height = crop.features.size
    (x, y), shape = crop.around.corner, crop.image.shape
    return np.array([[shape[1] / width, 0.0, x], [0.0, shape[0] / height, y], [0.0, 0.0, 1.0]])


# Pixels of the shorter side as photographed, and local features.
_CLEAR = 96
_WIDE, _RICH = 140, 300
# How many pairs of references are tried.
_PAIRS = 3


def likeness_features(alignment: Alignment, likeness: Likeness) -> dict[str, float]:
    """What the evidence of the laid-over pictures is a function of."""
    return {
        "inliers": math.log(alignment.inliers),
        "structure": likeness.structure,
        "colour": math.log1p(likeness.colour),
        "colour_worst": math.log1p(likeness.colour_worst),
    }


def text_features(read: Agreement) -> dict[str, float]:
    """What the evidence of the words is a function of."""
    return {"other": read.other, "replaced": read.replaced}


def between_features(compared: Comparison) -> dict[str, float]:
    """What the evidence of two products laid beside each other is a function of."""
    return {"agreement": compared.agreement}


LIKENESS = ("inliers", "structure", "colour", "colour_worst")
TEXT = ("other", "replaced")
BETWEEN = ("agreement",)
#: Each kind of evidence and what it may be a function of.
EVIDENCE = {"likeness": LIKENESS, "text": TEXT, "apart": (), "between": BETWEEN}
