"""Where a hand that is on its way will come to rest.

A reach has the course of a minimum-jerk movement. When a person begins, how fast they move and how far is uncertain. So
a few thousand such movements are drawn, and weighed with every place at which the hand is seen, older ones less and
less. What is left of them, by their weights, is what is left of the hand's way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.gains import AXES, Gains
from shelfhelp_ros.guidance.listener import SETTLE, minimum_jerk
from shelfhelp_ros.guidance.planner import Course, Move, Offset

Floats = npt.NDArray[np.float64]

_MANY = 4000

#: How people differ in reaction and in speed: standard deviations of logarithms.
_REACTION_SPREAD, _SPEED_SPREAD = 0.35, 0.25

#: How often people begin before the last word, and how many seconds; how often only after a pause, and how long it is.
_EARLY, _EARLIER = 0.15, 0.7
_PAUSING, _PAUSE = 0.05, (0.3, 2.0)

#: Seconds between two movements.
_BETWEEN = (0.1, 0.4)

#: How exactly the hand is seen and keeps to its way, and how exactly its start is known (one sigma), metres.
_SEEN, _START = 0.02, 0.015

#: What a place of the hand counts when the next one is seen; those that come sooner than this many seconds after each
#: other tell less anew, since they err alike.
_REMEMBERED, _ANEW = 0.75, 0.1

#: Movements that miss the hand by more than this, metres, are not what it does.
_FITS = 0.04

#: Where it comes to rest is known when no more than this is uncertain, metres, and it is there within so many seconds.
_KNOWN, _SOON = 0.02, 0.5

#: A hand moves that has gone so far, and has more than the second to go, metres.
_BEGUN, _TO_GO = 0.015, 0.03


@dataclass(frozen=True)
class _Stroke:
    """One of the movements asked for, along an axis: how far, from when on and for how long, in each draw (N,)."""

    axis: int
    way: Floats
    begins: Floats
    seconds: Floats

    def share(self, since: float) -> Floats:
        """The share of its time that has passed."""
        return np.clip((since - self.begins) / self.seconds, 0.0, 1.0)


class Landing:
    """Follows a hand from ``start``, which has x, y and z, that was told to ``move`` by amounts.

    ``gains`` are the person's, ``reaction`` seconds, ``speed`` metres a second. The same arguments and places give the
    same answers.
    """

    def __init__(self, start: Offset, move: Move, gains: Gains, reaction: float, speed: float) -> None:
        normal, uniform = _draws()
        self._start = np.array([start.x, start.y, start.z])[:, None] + _START * normal[:3]
        begins = reaction * np.exp(_REACTION_SPREAD * normal[3])
        begins = np.where(uniform[0] < _EARLY, begins - _EARLIER, begins)
        begins = np.where(uniform[1] < _PAUSING, begins + _between(_PAUSE, uniform[2]), begins)
        speeds = speed * np.exp(_SPEED_SPREAD * normal[4])
        self._strokes: list[_Stroke] = []
        for half, lengths in zip(_halves(move), normal[5:], strict=False):
            mean, spread = gains.of(half.axis)
            expected, scatter = (half.amount.movement, half.amount.scatter) if half.amount else (0.0, 0.0)
            way = expected * np.exp(mean + math.hypot(spread, scatter) * lengths)
            stroke = _Stroke(AXES.index(half.axis), way if half.positive else -way, begins, SETTLE + way / speeds)
            self._strokes.append(stroke)
            begins = begins + stroke.seconds + _between(_BETWEEN, uniform[3])
        self._ends = self._strokes[-1].begins + self._strokes[-1].seconds
        self._log_weights = np.zeros(_MANY)
        self._newest = -math.inf
        self._left: Floats | None = None
        self._moving = False

    def see(self, offset: Offset, since: float) -> Course:
        """What is foreseen of a hand that is at ``offset``, ``since`` seconds after the last word."""
        if since > self._newest:
            anew = min(1.0, (since - self._newest) / _ANEW)
            self._newest = since
            self._weigh(np.array([offset.x, offset.y, offset.z]), since, anew)
        if self._left is None:
            return Course(moving=self._moving)
        x, y, z = (float(value) for value in self._left)
        rest = replace(offset, x=offset.x - x, y=offset.y - y, z=offset.z - z)
        return Course(rest, self._moving)

    def _weigh(self, at: Floats, since: float, anew: float) -> None:
        gone, left = np.zeros((3, _MANY)), np.zeros((3, _MANY))
        for stroke in self._strokes:
            share = stroke.share(since)
            done = minimum_jerk(share)
            gone[stroke.axis] += stroke.way * done
            left[stroke.axis] += stroke.way * (1 - done)
        axes = sorted({stroke.axis for stroke in self._strokes})
        squares = (self._start - at[:, None] - gone)[axes] ** 2
        likelihood = -squares.sum(axis=0) / (2 * _SEEN**2)
        self._log_weights = _REMEMBERED**anew * self._log_weights + anew * likelihood
        weights = np.exp(self._log_weights - self._log_weights.max())
        weights = weights / weights.sum()
        fits = float((squares @ weights).max()) <= _FITS**2
        mean = left @ weights
        variances = ((left - mean[:, None]) ** 2) @ weights
        soon = float(np.clip(self._ends - since, 0.0, None) @ weights) <= _SOON
        self._left = mean if fits and soon and float(variances.max()) <= _KNOWN**2 else None
        under_way = (np.abs(gone).max(axis=0) > _BEGUN) & (np.abs(left).max(axis=0) > _TO_GO)
        self._moving = fits and float(under_way @ weights) > 0.5


def _halves(move: Move) -> tuple[Move, ...]:
    return (move,) if move.then is None else (move, move.then)


def _between(limits: tuple[float, float], share: Floats) -> Floats:
    return limits[0] + (limits[1] - limits[0]) * share


@lru_cache(maxsize=1)
def _draws() -> tuple[Floats, Floats]:
    """Standard normal (7, N) and uniform (4, N) numbers."""
    rng = np.random.default_rng(7)
    return rng.standard_normal((7, _MANY)), rng.random((4, _MANY))
