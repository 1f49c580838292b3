"""Which way to send the hand, or the camera, next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from shelfhelp_ros.guidance.distances import Amount
from shelfhelp_ros.guidance.settings import GuidanceSettings

Axis = Literal["x", "y", "z"]


@dataclass(frozen=True)
class Offset:
    """What separates the person from the product, along the axes of the optical frame (x right, y down, z forward).

    ``reference`` hand: ``x, y, z`` are metres from where the palm is to where it has to stop, and ``z`` is NaN when the
    product's depth is unknown, in which case ``x`` and ``y`` hold only as directions. ``reference`` camera: ``x`` and
    ``y`` are degrees from the optical axis to the product, ``z`` its distance in metres or NaN. ``product`` is
    where the product is from the camera, ``front`` half the width and height of its front, metres, if known.
    ``takeable``: it is known well enough to be taken as soon as the hand comes to it.
    """

    reference: Literal["hand", "camera"]
    x: float
    y: float
    z: float
    product: tuple[float, float, float] | None = None
    front: tuple[float, float] | None = None
    takeable: bool = False


@dataclass(frozen=True)
class Move:
    """One movement to ask for: along ``axis`` (x, y, z), to its positive side or not.

    ``size`` is its length in the units of the offset (NaN when unknown), ``metres`` the signed length or NaN. A planner
    may choose the words too: ``amount`` is what is said of the length, ``then`` a second movement to ask for in the
    same sentence, ``take`` whether the product is to be taken after it, ``text`` a whole sentence of its own.
    ``seconds`` is the time that the person needs to act on it; None leaves it to the settings.
    """

    axis: Axis
    positive: bool
    size: float
    metres: float
    amount: Amount | None = None
    then: Move | None = None
    take: bool = False
    text: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Course:
    """Foreseen of a hand: where it comes to ``rest``, None while that is not known; and whether it is ``moving``."""

    rest: Offset | None = None
    moving: bool = False


class Planner(Protocol):
    """Chooses the next movement. It may remember what it chose before; ``reset`` forgets it.

    It is asked more often than its answer is spoken, so the same offset asked again has to get the same answer.
    """

    def choose(self, offset: Offset) -> Move | None:
        """The next movement, or None when the hand is where it has to be."""

    def told(self, offset: Offset | None, move: Move | None) -> None:
        """Something is being said now: ``move``, or None for what is no direction.

        ``offset`` is where the hand is, at rest after what was said before; None when that is not known.
        """

    def watch(self, offset: Offset, since: float) -> Course:
        """The hand is at ``offset``, ``since`` seconds after the last word of what was said; less than 0 before it."""

    def reset(self) -> None: ...


class WorstAxisFirst:
    """In line first, the worse of the two sideways axes before the other; then forward.

    A hand that is deeper than the product is drawn back before it is moved sideways. An axis counts as in line within
    its tolerance, and stays so until ``leave_factor`` times that; the axis in hand is kept until the other is half as
    bad again. Both keep the noise of perception from turning into chatter.
    """

    _KEEP = 1.5

    def __init__(self, settings: GuidanceSettings, phrases: object = None) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        self._inside: set[str] = set()
        self._axis = ""
        self._reference = ""

    def told(self, offset: Offset | None, move: Move | None) -> None:
        """Nothing is learnt from it."""

    def watch(self, offset: Offset, since: float) -> Course:
        """Nothing is foreseen."""
        return Course()

    def choose(self, offset: Offset) -> Move | None:
        if offset.reference != self._reference:
            self.reset()
            self._reference = offset.reference
        by_hand = offset.reference == "hand"
        side = self._settings.side_tolerance if by_hand else self._settings.aim_tolerance
        off_x, off_y = self._off("x", offset.x, side), self._off("y", offset.y, side)
        off_z = self._off("z", offset.z, self._settings.forward_tolerance) if by_hand else True
        if by_hand and off_z and offset.z < 0:
            self._axis = "z"
            return Move("z", False, abs(offset.z), offset.z)
        if off_x or off_y:
            return self._sideways(offset, off_x, off_y)
        self._axis = "z"
        return Move("z", True, abs(offset.z), offset.z) if off_z else None

    def _off(self, axis: str, value: float, tolerance: float) -> bool:
        """Whether the axis is out of line; an unknown value always is."""
        limit = tolerance * (self._settings.leave_factor if axis in self._inside else 1.0)
        inside = abs(value) <= limit
        (self._inside.add if inside else self._inside.discard)(axis)
        return not inside

    def _sideways(self, offset: Offset, off_x: bool, off_y: bool) -> Move:
        x, y = abs(offset.x) if off_x else 0.0, abs(offset.y) if off_y else 0.0
        horizontal = x >= y
        if self._axis == "x" and off_x:
            horizontal = x * self._KEEP >= y
        elif self._axis == "y" and off_y:
            horizontal = x > y * self._KEEP
        axis: Axis = "x" if horizontal else "y"
        value = offset.x if horizontal else offset.y
        measured = offset.reference == "hand" and math.isfinite(offset.z)
        self._axis = axis
        return Move(axis, value > 0, abs(value), value if measured else math.nan)
