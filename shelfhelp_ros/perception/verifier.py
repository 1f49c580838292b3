"""A second look: is it the wanted product, or one of its family that only looks like it?

The encoder finds the family and leaves the variety open. Here the reference is laid over the crop and compared with it
place by place, and the words on both are read. What comes out are the log odds that the crop is the very product, given
that it is that or a look-alike; each kind of evidence adds its own, fitted by logistic regression on pairs of products
that are easily confused (`shelfhelp-evaluate lookalikes --fit`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.perception.likeness import Likeness, compare, overlay
from shelfhelp_ros.perception.local_features import Alignment, LocalFeatures, align
from shelfhelp_ros.perception.text import Agreement, TextReader, Word, agreement
from shelfhelp_ros.resources import PACKAGE
from shelfhelp_ros.sightings import ImageArray

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
    a detailed crop (``apart``), and the log odds from which a look counts as a ``yes`` and below which as a ``no``.
    ``fitted_on`` names the pairs, ``figures`` what came of it."""

    likeness: Evidence
    text: Evidence
    apart: Evidence
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
            parts: dict[str, Any] = {name: Evidence(**raw.pop(name)) for name in ("likeness", "text", "apart")}
            card = cls(**{**raw, **parts, "figures": tuple(raw.get("figures", ()))})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ShelfHelpError(f"{path} is not the card of a verifier ({error}); reinstall shelfhelp") from error
        unknown = (set(card.likeness.coefficients) - set(LIKENESS)) | (set(card.text.coefficients) - set(TEXT))
        if unknown:
            raise ShelfHelpError(f"{path} asks for {', '.join(sorted(unknown))}, which this version does not compute")
        return card


class View:
    """One picture of a product (H×W×3 BGR) and what was found in it, each when first asked for. For one thread."""

    def __init__(self, image: ImageArray) -> None:
        self.image = image
        self._features: LocalFeatures | None = None
        self._words: tuple[Word, ...] | None = None

    @property
    def features(self) -> LocalFeatures:
        if self._features is None:
            self._features = LocalFeatures.of(self.image)
        return self._features

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

    def _log_odds(self, crop: View, reference: View) -> float | None:
        odds = []
        alignment = align(reference.features, crop.features) if self._likeness and clear(crop) else None
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


# Pixels of the shorter side as photographed, and local features.
_CLEAR = 96
_WIDE, _RICH = 140, 300


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


LIKENESS = ("inliers", "structure", "colour", "colour_worst")
TEXT = ("other", "replaced")
