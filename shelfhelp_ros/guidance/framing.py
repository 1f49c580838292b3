"""What is in the picture, what left it and by which side: whether the camera has to be turned, and where to.

Angles are degrees to the right and down of the picture's middle; places and bearings (3,) are in the optical frame.
"""

from __future__ import annotations

import math

from shelfhelp_ros.guidance.offsets import Vector, angles
from shelfhelp_ros.guidance.planner import Axis

#: A product that was seen last this far from the middle of the picture left it on that side.
_EDGE = 10.0

#: A hand sent to a product farther than this from the middle of the picture, across and down, soon leaves it; a product
#: that is brought in is brought well in.
_FRAME, _WELL_IN = (22.0, 16.0), 0.6

#: So many turns are asked for to bring one in.
_TURNS = 2

#: A hand that was seen last this far from the middle of the picture, across and down, went out of it there.
_HAND_EDGE = (17.0, 12.0)


class Framing:
    """What was asked of the camera in one search, for the product's sake and for the hand's."""

    def __init__(self, aim_tolerance: float) -> None:
        """A camera within ``aim_tolerance`` degrees of a product points at it."""
        self._aim_tolerance = aim_tolerance
        self._brings_in = False
        self._turns = 0
        self._turning_until = -math.inf
        self._hand_followed = False

    def out_of_frame(self, bearing: Vector) -> bool:
        """Whether a product is so near the edge of the picture that a hand at it would soon be out of it.

        A camera that was asked to turn to it, and does not, is left where it is.
        """
        across, down = map(abs, angles(bearing))
        outward = max(across / _FRAME[0], down / _FRAME[1])
        if outward <= _WELL_IN:
            self._brings_in, self._turns = False, 0
        elif outward > 1:
            self._brings_in = True
        return self._brings_in and self._turns < _TURNS

    def left_by(self, place: Vector | None, lost: float) -> str | None:
        """The side of the picture by which a product, seen last at ``place``, went out of it at ``lost`` seconds.

        None when it was in the middle, or while the camera was turned to it: then it is in the picture by now, or will
        be.
        """
        if place is None or lost <= self._turning_until:
            return None
        across, down = angles(place)
        if max(abs(across), abs(down)) < _EDGE:
            return None
        if abs(across) >= abs(down):
            return "right" if across > 0 else "left"
        return "down" if down > 0 else "up"

    def hand_left_by(self, hand: Vector, bearing: Vector) -> tuple[Axis, ...]:
        """The axes along which a hand, seen last at ``hand``, left the picture on the side of the product; none once
        the camera was turned after it."""
        if self._hand_followed:
            return ()
        axes: tuple[Axis, ...] = ("x", "y")
        sides = zip(axes, _HAND_EDGE, angles(bearing), angles(hand), strict=True)
        return tuple(
            axis
            for axis, edge, at, left in sides
            if abs(left) > edge and abs(at) > self._aim_tolerance and left * at > 0
        )

    def hand_seen(self) -> None:
        """The hand is in the picture."""
        self._hand_followed = False

    def told(self, turning_until: float | None, hand_away: bool) -> None:
        """A movement was asked for; ``turning_until``: of the camera, which has turned by then (seconds)."""
        self._turns += self._brings_in
        if turning_until is not None:
            self._turning_until = turning_until
        self._hand_followed = self._hand_followed or hand_away
