"""How likely a hand that is sent to a product, and takes what it comes to, takes the right one.

A movement is ``expected · exp(gain + scatter · n)`` with a standard normal n, see ``gains``. Where it ends is blurred
by what perception leaves uncertain and by how far a hand strays that moves along another axis. All arrays are
broadcast against each other; lengths are metres, ``at`` is where the hand is from the middle of the front.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

#: A hand this far within the edges of a front has hold of that pack; the most that counts.
_HOLD, _WIDEST = 0.02, 0.1

#: Half of a front that is not known, and of one that is usual.
UNKNOWN_FRONT, USUAL_FRONT = (0.05, 0.05), (0.06, 0.09)

#: Who takes something feels for it up to so far ahead, and stops at it; a palm that is at it may be measured so much
#: deeper.
_FELT_FOR, PRESSED = 0.15, 0.12

#: How much of a movement goes along each of the other axes (one sigma); assumed, as in the simulated people.
_ASTRAY = 0.06


def holds(front: tuple[float, float]) -> tuple[float, float]:
    """How far from its middle, across and down, a hand still takes a pack; ``front`` is half its size."""
    across, down = (min(max(half - _HOLD, 0.01), _WIDEST) for half in front)
    return across, down


def strayed(still: float, moved: Floats) -> Floats:
    """How uncertain an axis is (one sigma) along which a hand did not go while it ``moved`` along others."""
    return np.asarray(np.hypot(still, _ASTRAY * moved))


def stays_within(at: Floats, limit: float, blur: Floats) -> Floats:
    """The chance of being within ``limit`` of the middle without a movement along this axis."""
    return np.asarray(ndtr((limit - at) / blur) - ndtr((-limit - at) / blur))


def lands_within(at: Floats, limit: float, expected: Floats, gain: float, scatter: Floats, blur: Floats) -> Floats:
    """The chance of being within ``limit`` of the middle after a movement towards it, from ``at`` > 0; whoever is there
    already is not sent away from it."""
    spread = np.hypot(scatter, blur / expected)
    with np.errstate(divide="ignore"):
        short, far = (np.log(np.maximum(way, 0.0) / expected) - gain for way in (at - limit, at + limit))
    return np.asarray(np.where(at > 0, ndtr(far / spread) - ndtr(short / spread), 0.0))


def reaches(at: Floats) -> Floats:
    """Whether a hand comes to a front ``at`` metres ahead by feeling for it: 1 or 0."""
    return np.asarray((at <= _FELT_FOR) & (at >= -PRESSED), np.float64)


def reaches_after(at: Floats, expected: Floats, gain: float, scatter: Floats) -> Floats:
    """The chance that it does after a movement forward. It cannot go too far: it stops at what it touches."""
    with np.errstate(divide="ignore"):
        needed = np.log(np.maximum(at - _FELT_FOR, 0.0) / expected) - gain
    return np.asarray(np.where(at > 0, 1 - ndtr(needed / scatter), 0.0))
