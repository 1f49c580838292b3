"""People who hear and move: drawn from a population, each with traits of their own, and the hand they move.

Everything is metres and seconds. Axes are those of the optical frame of a camera that looks straight at the shelf: x to
the right, y down, z towards the shelf.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.gains import AXIS_SPREAD, PERSON_SPREAD
from shelfhelp_ros.guidance.listener import minimum_jerk
from shelfhelp_ros.simulation.hearing import Asked, Gesture, gesture_asked_for, movements_asked_for
from shelfhelp_ros.simulation.racks import Rack
from shelfhelp_ros.simulation.shopper import STOPPING_PHASES

Vector = npt.NDArray[np.float64]

#: Words that make a hand creep until the next one.
CREEPS = {
    "left.": (0, -1), "right.": (0, 1), "up.": (1, -1), "down.": (1, 1), "forward.": (2, 1), "back.": (2, -1)
}  # fmt: skip
STOP_WORD = "stop."
#: A creeping hand waits when no word has come for this long.
_PATIENCE = 1.6
_FINAL_REACH = 0.2
#: Seconds that a movement takes however short it is.
_SETTLE = 0.2
_BETWEEN_HALVES = 0.2
#: Seconds to close the fingers around a pack, or to let it go; metres that the hand goes back then, or is lowered.
_GRASP, _BACK, _LOWERED = 0.5, 0.05, 0.15
#: How exactly a pack or a hand is held where the camera sees it, metres.
_SHOWING = 0.05


@dataclass(frozen=True)
class Population:
    """What people are like: medians, and spreads as standard deviations of logarithms unless a unit says otherwise.

    ``gain`` is how far they move compared with the user study's medians, ``person_spread`` and ``axis_spread`` how much
    people, and the axes of one person, differ in it; ``scatter`` multiplies that of a single movement. ``drift`` is a
    random walk of the hand in metres by the root of a second, ``astray`` the share of a movement that goes sideways,
    ``tilt`` degrees between the person's axes and the camera's. The rest are chances: that a sentence is ``misheard``,
    its second half missed, acted on ``early``, or only after a ``pause``; that the hand is ``hidden`` from the camera
    within a second. ``sway`` is the camera's, metres.
    """

    gain: float = 1.0
    person_spread: float = PERSON_SPREAD
    axis_spread: float = AXIS_SPREAD
    scatter: float = 1.0
    scatter_spread: float = 0.2
    reaction: float = 0.45
    reaction_spread: float = 0.25
    speed: float = 0.32
    speed_spread: float = 0.2
    creep: float = 0.13
    drift: float = 0.004
    astray: float = 0.05
    tilt: float = 3.0
    misheard: float = 0.02
    half_missed: float = 0.05
    early: float = 0.15
    pause: float = 0.03
    hidden: float = 0.01
    sway: float = 0.012


POPULATIONS = {
    "fitted": Population(),
    "wild": Population(
        gain=1.1, person_spread=0.4, axis_spread=0.2, scatter=1.5, scatter_spread=0.3, reaction=0.6,
        reaction_spread=0.4, speed=0.28, speed_spread=0.35, creep=0.12, drift=0.01, astray=0.1, tilt=8.0, misheard=0.06,
        half_missed=0.12, early=0.3, pause=0.1, hidden=0.04, sway=0.03,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One person's traits; see ``Population``. ``gains`` (3,) multiply movements along x, y and z; ``axes`` (3, 3)
    turns what the camera's frame calls x, y, z into the person's; ``voice`` is how much longer speech takes than
    reckoned.
    """

    population: Population
    gains: Vector
    scatter: float
    reaction: float
    speed: float
    axes: Vector
    voice: float


def draw_person(population: Population, seed: int, number: int) -> Person:
    """The person of this number; the same arguments give the same person."""
    rng = np.random.default_rng([seed, number, 0x9E])
    common = rng.normal(0, population.person_spread)
    tilts = np.radians(rng.normal(0, population.tilt, 3))
    return Person(
        population=population,
        gains=population.gain * np.exp(common + rng.normal(0, population.axis_spread, 3)),
        scatter=population.scatter * float(np.exp(rng.normal(0, population.scatter_spread))),
        reaction=population.reaction * float(np.exp(rng.normal(0, population.reaction_spread))),
        speed=population.speed * float(np.exp(rng.normal(0, population.speed_spread))),
        axes=rotation(*tilts),
        voice=float(rng.uniform(0.92, 1.08)),
    )


def rotation(about_x: float, about_y: float, about_z: float) -> Vector:
    """Rotation (3, 3) about x, then y, then z; radians."""
    cx, sx, cy, sy, cz, sz = (f(a) for a in (about_x, about_y, about_z) for f in (math.cos, math.sin))
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


@dataclass
class _Stroke:
    """A movement by ``shift`` (3,) from ``start`` seconds on, with the speed of a minimum-jerk reach."""

    start: float
    seconds: float
    shift: Vector
    done: float = 0.0


class Hand:
    """The hand of a person: hears sentences, moves after a while, drifts, and is stopped by what it touches.

    ``touched`` and ``held`` are indices of packs; ``shows`` is how it went to where the camera sees it, with or without
    a pack: as Gesture SHOW_HAND, TAKE, CLOSER or AT_TOP; None while it did not.
    """

    def __init__(self, person: Person, position: Vector, rng: np.random.Generator) -> None:
        self.person = person
        self.position: Vector = np.array(position, np.float64)
        self.path = 0.0
        self.touched: int | None = None
        self.held: int | None = None
        self.shows: Gesture | None = None
        self._shown: Mapping[Gesture, Vector] = {}
        self._grip: Vector = self.position
        self._taking_from: float | None = None
        self._returning = False
        self._rng = rng
        self._strokes: list[_Stroke] = []
        self._creep: Vector | None = None
        self._creep_from = self._creep_until = 0.0
        self._heard: tuple[float, str, str, Vector] | None = None

    def hear(
        self, text: str, phase: str, camera: Vector, begins: float, ends: float, shown: Mapping[Gesture, Vector]
    ) -> None:
        """A sentence sounds from ``begins`` to ``ends``; ``camera`` (3, 3) turns its frame into the world's.

        ``shown``: where (3,) the hand goes that is to be shown, that shows a pack, and that shows it otherwise.
        """
        self._shown = shown
        population, person = self.person.population, self.person
        word = text.lower() in CREEPS or text.lower() == STOP_WORD
        late = person.reaction * float(np.exp(self._rng.normal(0, 0.15)))
        if not word and self._rng.random() < population.early:
            ends = begins + 0.7 * (ends - begins)
        if not word and self._rng.random() < population.pause:
            late += float(self._rng.uniform(0.5, 2.0))
        self._heard = (ends + (0.6 * late if word else late), text, phase, camera @ person.axes)

    def cut(self) -> None:
        """What was being said broke off: it is not acted on."""
        self._heard = None

    def step(self, now: float, seconds: float, rack: Rack) -> None:
        """Let ``seconds`` pass until ``now``."""
        if self._heard is not None and now >= self._heard[0]:
            _, text, phase, axes = self._heard
            self._heard = None
            self._act(text.lower(), phase, axes, now)
        shift = self.person.population.drift * math.sqrt(seconds) * self._rng.standard_normal(3)
        if self._creep is not None and self._creep_from <= now:
            self._creep = self._creep if now < self._creep_until else None
            shift = shift + (0.0 if self._creep is None else self._creep * seconds)
        for stroke in self._strokes:
            if now > stroke.start:
                done = minimum_jerk(min(1.0, (now - stroke.start) / stroke.seconds))
                shift = shift + stroke.shift * (done - stroke.done)
                stroke.done = done
        self._strokes = [stroke for stroke in self._strokes if stroke.done < 1.0]
        moved, self.touched = rack.without(self.held).slide(self.position, shift)
        self.path += float(np.linalg.norm(moved - self.position))
        self.position = moved
        taking = self._taking_from is not None and now >= self._taking_from
        if taking and (self.touched is not None or not self._strokes):
            self._take(now)
        elif self._returning and not self._strokes:
            self.held, self._returning = None, False
            self._plan([np.array([0.0, 0.0, -_BACK])], now + _GRASP)

    def _take(self, now: float) -> None:
        """Close the fingers around what they touch, if anything, and lift it to where it was asked for."""
        self._taking_from, self.held, self._grip = None, self.touched, self.position.copy()
        self._go(Gesture.TAKE, now + _GRASP)

    def _go(self, gesture: Gesture, now: float) -> None:
        """Bring the hand to where the camera sees it."""
        if self.shows is not Gesture.AT_TOP or gesture is not Gesture.CLOSER:
            self.shows = gesture
        shift = self._shown[gesture] + _SHOWING * self._rng.standard_normal(3) - self.position
        self._plan([np.asarray(shift)], now)

    def _act(self, text: str, phase: str, axes: Vector, now: float) -> None:
        self._taking_from = None
        if text == STOP_WORD:
            self._strokes, self._creep = [], None
        elif text in CREEPS:
            self._strokes = []
            axis, sign = CREEPS[text]
            pace = self.person.population.creep * self.person.gains[axis] * self.person.speed
            pace = pace / self.person.population.speed
            self._creep, self._creep_from, self._creep_until = axes[:, axis] * sign * pace, now, now + _PATIENCE
        elif asked := movements_asked_for(text):
            self._creep = None
            self._move(self._understood(asked), gesture_asked_for(text), axes, now)
        elif (gesture := gesture_asked_for(text)) is not None:
            self._creep = None
            if self._rng.random() >= self.person.population.misheard:
                self._obey(gesture, axes, now)
        elif phase in STOPPING_PHASES:
            self._strokes, self._creep = [], None

    def _move(self, asked: tuple[Asked, ...], gesture: Gesture | None, axes: Vector, now: float) -> None:
        """Move as understood, and take what comes then if that was asked for and heard to the end."""
        taking = gesture is Gesture.TAKE and asked and self.held is None
        if taking and self._rng.random() >= self.person.population.half_missed:
            self._reach_and_take(asked, axes, now)
        else:
            self._plan([self._movement(one, axes) for one in asked], now)

    def _obey(self, gesture: Gesture, axes: Vector, now: float) -> None:
        if gesture is Gesture.TAKE and self.held is None:
            self._reach_and_take((), axes, now)
        elif gesture in (Gesture.TAKE, Gesture.CLOSER, Gesture.AT_TOP, Gesture.SHOW_HAND):
            self._go(gesture, now)
        elif gesture is Gesture.PUT_BACK:
            self._returning, self.shows = self.held is not None, None
            self._plan([self._grip - self.position] if self.held is not None else [], now)
        elif gesture is Gesture.LOWER:
            self._plan([axes[:, 1] * _LOWERED], now)

    def _reach_and_take(self, asked: tuple[Asked, ...], axes: Vector, now: float) -> None:
        """Move as asked and on forward until something is felt, and take that; what is touched on the way aside is not
        it."""
        forward = axes[:, 2] * _FINAL_REACH
        self._plan([*(self._movement(one, axes) for one in asked), forward], now)
        self._taking_from = self._strokes[len([one for one in asked if one.axis != 2])].start

    def _understood(self, asked: tuple[Asked, ...]) -> tuple[Asked, ...]:
        """What arrives of a sentence: all of it, the first half, nothing, or the wrong way."""
        population = self.person.population
        if self._rng.random() < population.misheard:
            wrong = Asked(asked[0].axis, -asked[0].sign, asked[0].metres, asked[0].scatter)
            return (wrong,) if self._rng.random() < 0.3 else ()
        return asked[:1] if self._rng.random() < population.half_missed else asked

    def _movement(self, asked: Asked, axes: Vector) -> Vector:
        error = math.exp(self._rng.normal(0, asked.scatter * self.person.scatter))
        shift = axes[:, asked.axis] * asked.sign * asked.metres * self.person.gains[asked.axis] * error
        length = float(np.linalg.norm(shift))
        return np.asarray(shift + self.person.population.astray * length * self._rng.standard_normal(3) * 0.7)

    def _plan(self, shifts: list[Vector], now: float) -> None:
        self._strokes = []
        for shift in shifts:
            seconds = _SETTLE + float(np.linalg.norm(shift)) / self.person.speed
            self._strokes.append(_Stroke(now, seconds, shift))
            now += seconds + _BETWEEN_HALVES
