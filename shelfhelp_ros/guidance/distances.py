"""Distances in words: of a few round amounts, the one on which people move just as far as is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shelfhelp_ros.guidance.listener import LITTLE_MOVEMENT, expected_movement

Units = Literal["imperial", "metric"]

INCH, FOOT = 0.0254, 0.3048


@dataclass(frozen=True)
class Amount:
    """A key of the phrase file's ``distance`` section, its count, and how far people move on hearing it, metres."""

    key: str
    count: int
    movement: float


def _counted(key: str, unit: float, counts: tuple[int, ...]) -> tuple[Amount, ...]:
    return tuple(Amount(key, count, expected_movement(count * unit)) for count in counts)


_LITTLE = Amount("little", 1, LITTLE_MOVEMENT)
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
}


def spoken_amount(metres: float, units: Units) -> Amount:
    """The amount that moves people nearest to a finite distance; its sign does not matter."""
    return min(_AMOUNTS[units], key=lambda amount: abs(amount.movement - abs(metres)))
