"""What is reckoned of the listener: how long a sentence lasts, how far and how long a person moves on hearing it."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Share = TypeVar("Share", float, npt.NDArray[np.float64])

#: Seconds a character takes at one word a minute: espeak-ng's English, 80 to 600 words a minute, measured within 15 %.
_SECONDS_PER_CHARACTER = 10.8

#: A digit is read as a word of its own.
_CHARACTERS_PER_DIGIT = 5

#: From the movements of 15 blindfolded people (ShelfHelp user study): 3 inches 0.12 m, 6 inches 0.20 m, a foot 0.30 m.
_SCALE, _EXPONENT, _TRUE_FROM = 0.658, 0.661, 0.30

#: What the same people moved on "a little bit", "to the left" and "far left", metres.
LITTLE_MOVEMENT, PLAIN_MOVEMENT, FAR_MOVEMENT = 0.10, 0.22, 0.42

#: How much one movement differs from another of the same person on the same words: standard deviation of its logarithm,
#: for words with an amount and for words without. Assumed: the study shows medians only.
SCATTER, VAGUE_SCATTER = 0.18, 0.30

#: Seconds that a movement takes however short it is.
SETTLE = 0.2

_LONGEST_MOVE = 2.5
_UNKNOWN_MOVE = 1.0


def speech_seconds(text: str, rate_wpm: float) -> float:
    """How long ``text`` takes to say at ``rate_wpm`` words a minute; an empty text takes no time."""
    digits = sum(character.isdigit() for character in text)
    return _SECONDS_PER_CHARACTER * (len(text) + (_CHARACTERS_PER_DIGIT - 1) * digits) / rate_wpm


def expected_movement(said: float) -> float:
    """How far people move, in metres, when told to move ``said`` metres: small distances are overshot."""
    return said if said >= _TRUE_FROM else float(_SCALE * said**_EXPONENT)


def minimum_jerk(share: Share) -> Share:
    """How far a reach is after a share of its time, 0 to 1 (Flash and Hogan, Journal of Neuroscience 5(7), 1985)."""
    return share**3 * (10 - 15 * share + 6 * share**2)


def movement_seconds(metres: float, speed: float) -> float:
    """How long a movement of ``metres`` takes at ``speed`` metres a second; a typical time when metres is not known."""
    if not math.isfinite(metres):
        return _UNKNOWN_MOVE
    return min(_LONGEST_MOVE, SETTLE + abs(metres) / speed)
