"""Where a product is, from the palm or from the camera, as far as the newest data say."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.planner import Offset
from shelfhelp_ros.sightings import TrackedProduct

Vector = npt.NDArray[np.float64]

#: Two places nearer to each other than this, metres, are on no side of each other; a hand that goes farther than this
#: while it should rest is on its way.
STILL = 0.05


def apart(one: Offset, other: Offset) -> float:
    """How far the hand went between two offsets, metres."""
    return math.dist((one.x, one.y, one.z), (other.x, other.y, other.z))


def side_of(place: Vector, goal: Vector | None) -> str:
    """On which side of a place (3,) another one is: left, right, up, down, or unknown when it is the same."""
    if goal is None:
        return "unknown"
    across, down = (float(value) for value in (goal - place)[:2])
    if max(abs(across), abs(down)) < STILL:
        return "unknown"
    if abs(across) >= abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def position_of(product: TrackedProduct | None) -> Vector | None:
    """A product's position (3,) when it is known, finite and in front of the camera."""
    if product is None or product.position is None:
        return None
    xyz = np.asarray(product.position.xyz, np.float64)
    return xyz if xyz.shape == (3,) and np.isfinite(xyz).all() and xyz[2] > 0 else None


def bearing_of(product: TrackedProduct) -> Vector | None:
    """The direction (3,) in which a product is seen, when it is finite and ahead of the camera."""
    bearing = np.asarray(product.bearing, np.float64)
    return bearing if bearing.shape == (3,) and np.isfinite(bearing).all() and bearing[2] > 0 else None


def front_of(product: TrackedProduct) -> tuple[float, float] | None:
    """Half the width and height of a product's front, when they are known and finite."""
    size = product.size
    return None if size is None or not np.isfinite(size).all() else (size[0] / 2, size[1] / 2)


def angles(place: Vector) -> tuple[float, float]:
    """Degrees to the right and down of the picture's middle at which a place or bearing (3,) is seen."""
    across, down = (math.degrees(math.atan2(value, place[2])) for value in place[:2])
    return across, down


def from_camera(bearing: Vector, product: Vector | None) -> Offset:
    """From the optical axis to a product, its position known or not."""
    x, y = angles(bearing)
    if product is None:
        return Offset("camera", x, y, math.nan)
    return Offset("camera", x, y, float(product[2]), _triple(product))


def _triple(xyz: Vector) -> tuple[float, float, float]:
    return float(xyz[0]), float(xyz[1]), float(xyz[2])


def from_hand(
    hand: Vector,
    bearing: Vector,
    product: Vector | None,
    standoff: float,
    front: tuple[float, float] | None,
) -> Offset:
    """From the palm to its goal in front of the product; without the product's depth, at the depth of the hand."""
    if product is not None:
        x, y, z = (float(value) for value in product - hand)
        return Offset("hand", x, y, z - standoff, _triple(product), front)
    x, y = (float(value) for value in bearing[:2] / bearing[2] * max(hand[2], 0.0) - hand[:2])
    return Offset("hand", x, y, math.nan)


def palm_at(offset: Offset, standoff: float, seen: Vector) -> Vector:
    """Where the palm (3,) is that is so far from its goal; where it was ``seen``, if that does not tell."""
    if offset.product is None:
        return seen
    return np.array(offset.product) - [offset.x, offset.y, offset.z + standoff]
