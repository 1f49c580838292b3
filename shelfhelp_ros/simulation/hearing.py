"""What a person makes of the guide's English sentences: the movements that are asked for, in metres."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from shelfhelp_ros.guidance.distances import FAR, PLAIN
from shelfhelp_ros.guidance.listener import LITTLE_MOVEMENT, SCATTER, expected_movement

UNITS = {
    "inch": 0.0254,
    "inches": 0.0254,
    "foot": 0.3048,
    "feet": 0.3048,
    "centimetre": 0.01,
    "centimetres": 0.01,
    "metre": 1.0,
    "metres": 1.0,
}
WAYS = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1), "forward": (2, 1), "back": (2, -1)}

_BETWEEN_HALVES = re.compile(rf",? then |,? and (?={'|'.join(WAYS)})|, (?={'|'.join(WAYS)})")
_OF_THE_HAND = re.compile(r"(up|down|left|right|forward|back|reach|pull|far|to the|an?|about|\d+)\b")
#: People take a step when they are told no amount.
_STEP = 0.10


class Gesture(Enum):
    """What else a person is asked to do with the hand, by words of the sentence."""

    SHOW_HAND = "in front of the camera"
    TAKE = "and show me"
    TURN = "turn its front"
    CLOSER = "closer to the camera"
    AT_TOP = "at its top"
    PUT_BACK = "put it back"
    LOWER = "lower your hand"
    STEP = "take a step closer"


def gesture_asked_for(text: str) -> Gesture | None:
    """The gesture that a sentence asks for; None when it asks for none."""
    sentence = text.lower()
    return next((gesture for gesture in Gesture if gesture.value in sentence), None)


@dataclass(frozen=True)
class Asked:
    """One movement: ``axis`` 0 to 2 of the optical frame, ``sign``, how far people move on the words, metres, and how
    much one movement differs from the next (standard deviation of the logarithm).
    """

    axis: int
    sign: int
    metres: float
    scatter: float


def movements_asked_for(text: str) -> tuple[Asked, ...]:
    """The movements of the hand that a sentence asks for, in their order; none when it asks for something else.

    A product may have to be taken after them, see ``gesture_asked_for``.
    """
    sentence = text.rstrip(". ").split(". ")[-1].lower()
    if not _OF_THE_HAND.match(sentence):
        return ()
    halves = [_half(half.split()) for half in _BETWEEN_HALVES.split(sentence) if Gesture.TAKE.value not in half]
    return tuple(half for half in halves if half is not None)


def _half(words: list[str]) -> Asked | None:
    ways = [word for word in words if word in WAYS]
    if len(ways) != 1:
        return None
    axis, sign = WAYS[ways[0]]
    if "little" in words:
        return Asked(axis, sign, LITTLE_MOVEMENT, SCATTER)
    unit = next((UNITS[word] for word in words if word in UNITS), math.nan)
    if math.isfinite(unit):
        count = next((float(word) for word in words if word.isdigit()), 1.0) + 0.5 * ("half" in words)
        return Asked(axis, sign, expected_movement(count * unit), SCATTER)
    if axis == 0:
        return Asked(axis, sign, *((FAR if "far" in words else PLAIN).movement, PLAIN.scatter))
    return Asked(axis, sign, _STEP, PLAIN.scatter)
