"""A simulated person's hand, which follows what is said after a while and not exactly.

A first, simple model: movements are asked for along the axes of the camera's optical frame; after a reaction time the
hand makes one after the other with a gain and a scatter of its own, no faster than a person reaches without seeing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.simulation.contact import PackBodies
from shelfhelp_ros.simulation.hearing import Asked

Vector = npt.NDArray[np.float64]

AXES = {"x": 0, "y": 1, "z": 2}
NEGATIVE = frozenset({"left", "up", "back"})
# Degrees to the right and up that the head turns for a word, unless "a little" or "far" is said with it.
TURN_DEGREES = 12.0
TURN_WORDS = {"left": (-1, 0), "right": (1, 0), "higher": (0, 1), "lower": (0, -1)}
TURN_SIZES = {"little": 0.4, "far": 2.0, "much": 2.0}
# A slow turn goes on for longer.
SWEEP = 1.7
# How far a hand goes on that feels for something, metres: forward as in everything it is told, as the camera looks.
_REACH = 0.2
# Metres from its goal at which one movement passes into the next.
_ARRIVED = 0.01
STOPPING_PHASES = (
    "contact", "confirm", "lost", "ambiguous", "blocked", "wrong_item", "absent", "stale", "stopped"
)  # fmt: skip


def turn_asked_for(text: str) -> tuple[float, float] | None:
    """Degrees to the right and up that an English sentence asks the camera to turn; None when it asks for nothing
    such."""
    words = re.findall(r"[a-z]+", text.lower())
    if not words or words[0] not in ("turn", "point"):
        return None
    size = TURN_DEGREES * next((TURN_SIZES[word] for word in words if word in TURN_SIZES), 1.0)
    size *= SWEEP if "slowly" in words else 1.0
    return next(((right * size, up * size) for word, (right, up) in TURN_WORDS.items() if word in words), None)


@dataclass(frozen=True)
class HandSettings:
    """How a person moves. ``reaction`` seconds and its spread; ``gain`` moved per asked metre and its spread (a
    standing trait of the person), ``scatter`` relative error of every single movement; ``speed`` metres a second;
    ``tremor`` metres; ``blind_step`` metres moved when no distance is told; ``radius`` of the fingertips in metres.
    """

    reaction: float = 0.45
    reaction_spread: float = 0.1
    gain: float = 0.95
    gain_spread: float = 0.1
    scatter: float = 0.12
    speed: float = 0.4
    settle: float = 0.12
    tremor: float = 0.0015
    blind_step: float = 0.1
    radius: float = 0.009


@dataclass(frozen=True)
class _Intention:
    """Movements of which the first begins at ``due`` seconds: each (3,) metres in the world; none is to stand still."""

    due: float
    shifts: tuple[Vector, ...]


class SimulatedHand:
    """The fingertips of a person who hears. The same seed and the same calls give the same movements."""

    def __init__(self, position: Vector, seed: int = 0, settings: HandSettings | None = None) -> None:
        self.settings = settings or HandSettings()
        self._rng = np.random.default_rng([seed, 0x4A])
        self._gain = max(0.3, self.settings.gain + self.settings.gain_spread * float(self._rng.standard_normal()))
        self.position: Vector = np.array(position, float)
        self._goal: Vector = self.position.copy()
        self._intention: _Intention | None = None
        self._next: tuple[Vector, ...] = ()
        self._touched: int | None = None
        self._felt_for = 0

    @property
    def touched(self) -> int | None:
        """The number of the pack that the fingertips touch, or None."""
        return self._touched

    @property
    def feels(self) -> bool:
        """Whether it is on its way to the shelf to take what it comes to, and not on its way aside any more."""
        return self._intention is None and len(self._next) < self._felt_for

    def hear(self, axis: str, distance: float, rotation: npt.NDArray[np.float64], now: float, phase: str = "") -> None:
        """Something was said at ``now`` seconds; the newest thing said replaces what was to be done before.

        ``axis`` x, y or z of the optical frame with a signed ``distance`` in metres (NaN: a short step to the positive
        side); empty when it is no direction. ``rotation`` 3×3 turns the optical frame into the world. Phase *done*
        makes the hand reach on until it touches something, *stopped* and the like make it stand still.
        """
        if axis in AXES:
            length = self.settings.blind_step if math.isnan(distance) else distance
            self._intend(now, rotation[:, AXES[axis]] * length * self._error())
        elif phase == "done":
            self._intend(now, rotation[:, 2] * _REACH)
        elif phase in STOPPING_PHASES:
            self._intend(now)

    def follow(
        self, asked: tuple[Asked, ...], rotation: npt.NDArray[np.float64], now: float, reach: bool = False
    ) -> None:
        """Movements were asked for in words at ``now`` seconds, with ``reach`` to go on after them and feel for a pack;
        otherwise as ``hear``."""
        shifts = [rotation[:, a.axis] * a.sign * a.metres * self._error() for a in asked]
        self._intend(now, *shifts, *([rotation[:, 2] * _REACH] if reach else []))
        self._felt_for = 1 + sum(a.axis == 2 for a in asked) if reach else 0

    def place(self, point: Vector) -> None:
        """Be at ``point`` (3,) in the world at once, with no movement left to make."""
        self.position, self._goal = np.array(point, float), np.array(point, float)
        self._next, self._intention = (), None

    def go_to(self, point: Vector, now: float) -> None:
        """Set out for ``point`` (3,) in the world, as for something that was said at ``now``."""
        self._intend(now, point - self.position)

    def _intend(self, now: float, *shifts: Vector) -> None:
        late = self.settings.reaction + self.settings.reaction_spread * abs(float(self._rng.standard_normal()))
        self._intention, self._felt_for = _Intention(now + late, shifts), 0

    def _error(self) -> float:
        """How far this movement goes, as a multiple of what was asked for."""
        return self._gain * (1 + self.settings.scatter * float(self._rng.standard_normal()))

    def step(self, seconds: float, now: float, bodies: PackBodies) -> None:
        """Let ``seconds`` pass until ``now``; the hand stops at the packs and remembers which one it touches."""
        if self._intention is not None and now >= self._intention.due:
            self._goal = self.position.copy()
            self._next, self._intention = self._intention.shifts, None
        remaining = self._goal - self.position
        length = float(np.linalg.norm(remaining))
        if self._next and length < _ARRIVED:
            self._goal, self._next = self.position + self._next[0], self._next[1:]
            remaining = self._goal - self.position
            length = float(np.linalg.norm(remaining))
        # An exponential approach, cut off at the top speed, slows down before the goal as a reach does.
        travel = min(length * (1 - math.exp(-seconds / self.settings.settle)), self.settings.speed * seconds)
        if length > 1e-9:
            before = self.position
            self._slide(remaining / length * travel, bodies)
            if self._next and float(np.linalg.norm(self.position - before)) < 0.1 * travel:
                self._goal = self.position.copy()
        self._slide(self.settings.tremor * math.sqrt(seconds) * self._rng.standard_normal(3), bodies)
        near = bodies.clearance(self.position) < self.settings.radius + 0.003
        self._touched = int(np.argmin(bodies.distances(self.position))) if near else None

    def _slide(self, shift: Vector, bodies: PackBodies) -> None:
        """Move by ``shift`` (3,) metres, axis by axis, each as far as it does not push into a pack."""
        for axis in range(3):
            clearance = bodies.clearance(self.position)
            for share in (1.0, 0.5, 0.25, 0.125):
                moved = self.position.copy()
                moved[axis] += share * shift[axis]
                after = bodies.clearance(moved)
                if after >= self.settings.radius or after >= clearance:
                    self.position = moved
                    break
