"""Distances in words: of a few round amounts, the one on which people move just as far as is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from shelfhelp_ros.guidance.listener import (
    FAR_MOVEMENT,
    LITTLE_MOVEMENT,
    PLAIN_MOVEMENT,
    SCATTER,
    VAGUE_SCATTER,
    expected_movement,
)

Units = Literal["imperial", "metric", "hands"]
UNITS: tuple[Units, ...] = get_args(Units)

INCH, FOOT = 0.0254, 0.3048

#: A finger's breadth, a hand's breadth at the knuckles (between the means of women and men), a step of one who feels
#: their way, metres.
FINGER, HAND, STEP = 0.02, 0.085, 0.6


@dataclass(frozen=True)
class Amount:
    """A key of the phrase file's ``distance`` section, its count, and how far people move on hearing it, metres.

    ``scatter`` is the standard deviation of the logarithm of that movement for one person. PLAIN and FAR are words
    without an amount.
    """

    key: str
    count: int
    movement: float
    scatter: float = SCATTER


def _counted(key: str, unit: float, counts: tuple[int, ...]) -> tuple[Amount, ...]:
    return tuple(Amount(key, count, expected_movement(count * unit)) for count in counts)


_LITTLE = Amount("little", 1, LITTLE_MOVEMENT)

#: "To the left." and "Far left.", which the user study measured for left and right.
PLAIN = Amount("plain", 1, PLAIN_MOVEMENT, VAGUE_SCATTER)
FAR = Amount("far", 1, FAR_MOVEMENT, VAGUE_SCATTER)
_AMOUNTS: dict[Units, tuple[Amount, ...]] = {
    "imperial": (
        _LITTLE,
        *_counted("inches", INCH, (1, 2, 3, 4, 6, 8, 10)),
        *_counted("feet", FOOT, tuple(range(1, 31))),
        Amount("foot_and_half", 1, 1.5 * FOOT),
    ),
    "metric": (
        _LITTLE,
        *_counted("centimetres", 0.01, (2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 80)),
        *_counted("metres", 1.0, tuple(range(1, 10))),
        Amount("metre_and_half", 1, 1.5),
    ),
    "hands": (
        _LITTLE,
        *_counted("fingers", FINGER, (1, 2, 3)),
        *_counted("hands", HAND, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)),
        *_counted("steps", STEP, tuple(range(2, 16))),
    ),
}

#: What one of each counted amount measures, metres.
_MEASURES = {
    "inches": INCH,
    "feet": FOOT,
    "foot_and_half": 1.5 * FOOT,
    "centimetres": 0.01,
    "metres": 1.0,
    "metre_and_half": 1.5,
    "fingers": FINGER,
    "hands": HAND,
    "steps": STEP,
}


def amounts_within(metres: float, units: Units) -> tuple[Amount, ...]:
    """Every amount on which people move at most ``metres``, the shortest movement first."""
    return tuple(sorted((a for a in _AMOUNTS[units] if a.movement <= metres), key=lambda amount: amount.movement))


def spoken_amount(metres: float, units: Units) -> Amount:
    """The amount that moves people nearest to a finite distance; its sign does not matter."""
    return min(_AMOUNTS[units], key=lambda amount: abs(amount.movement - abs(metres)))


def measured_amount(metres: float, units: Units) -> Amount:
    """The amount that measures nearest to a finite distance: for what is told of a place, and not as a movement."""
    counted = [amount for amount in _AMOUNTS[units] if amount.key in _MEASURES]
    return min(counted, key=lambda amount: abs(amount.count * _MEASURES[amount.key] - abs(metres)))
