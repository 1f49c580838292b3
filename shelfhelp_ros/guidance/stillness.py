"""How long the hand has been where it is."""

from __future__ import annotations

import math

from shelfhelp_ros.guidance.offsets import Vector

#: A hand that goes no farther than this, metres, stays where it is: cameras sway, and so do hands.
_SAME = 0.03


class Stillness:
    """Follows one hand; positions (3,) are metres in the optical frame, stamps nanoseconds."""

    def __init__(self) -> None:
        self._anchor: Vector | None = None
        self._at: Vector | None = None
        self._since_ns = self._newest_ns = 0

    def add(self, xyz: Vector, stamp_ns: int) -> None:
        """The hand is at ``xyz``."""
        if self._anchor is None or stamp_ns < self._since_ns or math.dist(xyz, self._anchor) > _SAME:
            self._anchor, self._since_ns = xyz, stamp_ns
        self._at, self._newest_ns = xyz, stamp_ns

    @property
    def seconds(self) -> float:
        """For how long it has been where it is."""
        return (self._newest_ns - self._since_ns) / 1e9

    def apart(self, place: Vector | None) -> float:
        """Metres from a place to where it is; infinite when either is not known."""
        return math.inf if place is None or self._at is None else math.dist(place, self._at)
