"""Which words next: the sentence with which the hand is expected to arrive soonest.

A Markov decision process. States are the hand's offsets from its goal along the three axes of the optical frame, on a
grid; x and y by their size alone. Actions are sentences: an amount along one axis, or amounts along two. A sentence
costs the time to say it, to react, to move and to be seen again, a price for having been said, and a price for touching
a neighbour. Where it leads is the listener's model: ``movement · exp(gain + scatter)``, see ``gains``, blurred by what
perception and the hand's drift leave uncertain, and sometimes nowhere, since words are misheard.

A sentence may end in "then take it": the hand then goes on until it feels a pack, and the search needs no sentence for
that. It costs what taking another product costs, by the chance that the hand comes to one, see ``taking``.

The process is solved once for a typical person; from then on the next sentence is the best by one step of looking ahead
with the gains as they are believed to be now, from the very offset that is seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.distances import FAR, PLAIN, Amount, amounts_within
from shelfhelp_ros.guidance.gains import AXES, Gains
from shelfhelp_ros.guidance.landing import Landing
from shelfhelp_ros.guidance.listener import SCATTER, movement_seconds, speech_seconds
from shelfhelp_ros.guidance.mdp import Solution, value_iteration
from shelfhelp_ros.guidance.people import load_gains, save_gains
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Axis, Course, Move, Offset, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.guidance.taking import (
    PRESSED,
    UNKNOWN_FRONT,
    USUAL_FRONT,
    holds,
    lands_within,
    reaches,
    reaches_after,
    stays_within,
    strayed,
)
from shelfhelp_ros.guidance.wording import direction, part

Floats = npt.NDArray[np.float64]

#: Longest movement that is asked for at once, metres, and the longest of two in one sentence.
_REACH, _PAIR_REACH = 0.65, 0.5

#: What perception, and the drift of a hand that goes elsewhere, leave uncertain of an offset (one sigma), metres.
_BLUR = 0.012

#: Chance that a sentence is not understood; that the second half of one is not.
_MISHEARD, _HALF_HEARD = 0.03, 0.06

#: Seconds from the end of a movement to the next word, which is often foreseen; seconds more that two movements take to
#: think of.
_LOOK, _THINK = 0.1, 0.2

#: A palm this much deeper than its goal, metres, is among the packs; within this of the product's middle, before it.
_DEEP, _HALF_WIDTH = 0.02, 0.06

#: A hand this far within the edges of a front takes that pack and not its neighbour; the most that counts, metres.
_EDGE, _WIDEST = 0.045, 0.08

#: A hand comes in line with a narrow pack this far within its edges, and is out of line where it is nearer to them than
#: the second; a pack is taken to be no narrower than this to either side, metres.
_ENTER, _HOLD, _NARROWEST = 0.015, 0.007, 0.02

#: Whoever takes a pack reaches over so much that is left before its front, metres.
_REACHED = 0.1

#: A product is taken on the way only where it will be the right one with this chance at least.
_LIKELY = 0.5

#: How a product is taken after one movement, and after two.
_TAKING = {"take.one": {"first": ""}, "take.two": {"first": "", "second": ""}}

_PAIRS: tuple[tuple[Axis, Axis], ...] = (("x", "y"), ("x", "z"), ("y", "z"))

#: Movements after which a product can be taken in the same sentence.
_BEFORE_TAKING: tuple[tuple[Axis, ...], ...] = (("x",), ("y",), ("z",), *_PAIRS)

# Gauss-Hermite nodes and weights of a standard normal.
_NODES, _WEIGHTS = (array for array in np.polynomial.hermite_e.hermegauss(5))
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class PhrasePlanner:
    """The planner that plans words. Without a hand, or without the product's depth, ``WorstAxisFirst`` takes over."""

    def __init__(self, settings: GuidanceSettings, phrases: Phrases | None = None, gains: Gains | None = None) -> None:
        self._settings = settings
        self._model = _model(settings, phrases or Phrases.load())
        self._axis_first = WorstAxisFirst(settings)
        self.gains = gains or (load_gains(settings.person) if settings.person else Gains.prior())
        self.reset()

    def reset(self) -> None:
        self._axis_first.reset()
        self._values = {take: self._model.solve(*_typical(self.gains), take).values for take in (False, True)}
        self._inside: set[str] = set()
        self._said: tuple[Offset, Move] | None = None
        self._asked: tuple[Offset, Move] | None = None
        self._landing: Landing | None = None

    def choose(self, offset: Offset) -> Move | None:
        if offset.reference != "hand" or not math.isfinite(offset.z):
            return self._axis_first.choose(offset)
        if self._arrived(offset):
            return None
        if self._asked is None or self._asked[0] != offset:
            self._asked = offset, self._model.best(self._left(offset), self.gains, self._values[offset.takeable])
        return self._asked[1]

    def _left(self, offset: Offset) -> Offset:
        """What is left of an offset to be planned for: nothing along a sideways axis that is in line."""
        across, down = (0.0 if axis in self._inside else getattr(offset, axis) for axis in ("x", "y"))
        return replace(offset, x=across, y=down)

    def told(self, offset: Offset | None, move: Move | None) -> None:
        """Learn from where the hand came to rest after the sentence before this one."""
        before, self._said = self._said, None
        self._landing = None
        if offset is None or offset.reference != "hand" or not math.isfinite(offset.z):
            return
        if before is not None:
            self._learn(before[0], offset, before[1])
        # Where a hand is that was sent to take something tells of what it met.
        if move is not None and not move.take:
            self._said = offset, move
            self._landing = Landing(offset, move, self.gains, self._settings.reaction, self._settings.movement_speed)

    def watch(self, offset: Offset, since: float) -> Course:
        """Foresee where a hand that was told to move comes to rest."""
        if self._landing is None or offset.reference != "hand" or not math.isfinite(offset.z):
            return Course()
        return self._landing.see(offset, since)

    def _learn(self, start: Offset, end: Offset, move: Move) -> None:
        half: Move | None = move
        known = self.gains
        while half is not None:
            if half.amount is not None:
                moved = (getattr(start, half.axis) - getattr(end, half.axis)) * (1 if half.positive else -1)
                expected = half.amount.movement
                scatter = math.hypot(half.amount.scatter, math.sqrt(2) * _BLUR / expected)
                self.gains = self.gains.after(half.axis, expected, moved, scatter)
            half = half.then
        if self.gains is not known:
            self._asked = None
            if self._settings.person:
                save_gains(self._settings.person, self.gains)

    def _arrived(self, offset: Offset) -> bool:
        """Whether the hand is where it has to be. An axis once in line stays so until well beyond its tolerance."""
        for axis in AXES:
            near, far = self._within(axis, offset)
            inside = -near <= getattr(offset, axis) <= far
            (self._inside.add if inside else self._inside.discard)(axis)
        return len(self._inside) == len(AXES)

    def _within(self, axis: Axis, offset: Offset) -> tuple[float, float]:
        """How far a hand may be to either side of its goal along an axis, and still take the product, metres.

        Anywhere before the front of a large pack will do; there, a palm that seems to be in the pack is at it, and one
        a little before it reaches it on taking it. Beyond the edges of a narrow one its neighbour is taken.
        """
        settings = self._settings
        factor = settings.leave_factor if axis in self._inside else 1.0
        if axis == "z":
            before = {"x", "y"} <= self._inside
            near, far = (PRESSED, _REACHED) if before else (settings.forward_tolerance, settings.forward_tolerance)
            return near * factor, far * factor
        if offset.front is None:
            return settings.side_tolerance * factor, settings.side_tolerance * factor
        half = offset.front["xy".index(axis)]
        limit = max(settings.side_tolerance, min(half - _EDGE, _WIDEST)) * factor
        limit = min(limit, max(half - (_HOLD if factor > 1 else _ENTER), _NARROWEST))
        return limit, limit


def _typical(gains: Gains) -> tuple[float, float]:
    """Mean and spread of the gains, rounded, so that few processes have to be solved."""
    spread = math.sqrt(float(np.trace(np.array(gains.covariance))) / 3)
    return round(float(np.mean(gains.mean)) / 0.15) * 0.15, 0.1 if spread < 0.15 else 0.22


class PhraseModel:
    """Grid, sentences, what they cost and where they lead. Arrays over states are (X, Y, Z)."""

    def __init__(self, settings: GuidanceSettings, phrases: Phrases) -> None:
        self._settings, self._phrases = settings, phrases
        side, forward = settings.side_tolerance, settings.forward_tolerance
        wide, deep = _grid(side, 0.8), _grid(forward, 0.95)
        self.grid: dict[Axis, Floats] = {
            "x": wide,
            "y": wide,
            "z": np.concatenate([-deep[(deep > 0) & (deep <= 0.2)][::-1], deep]),
        }
        within = [np.abs(self.grid[a]) <= t + 1e-9 for a, t in zip(AXES, (side, side, forward), strict=True)]
        self.end = within[0][:, None, None] & within[1][None, :, None] & within[2][None, None, :]
        off = (wide > _HALF_WIDTH)[:, None] | (wide > _HALF_WIDTH)[None, :]
        deeper = self.grid["z"] < -_DEEP
        self._touching = settings.touch_price * (off[:, :, None] & deeper)
        self._sweeping = settings.touch_price * deeper.astype(float)
        amounts = amounts_within(_REACH, settings.units)
        self.paired = len(amounts_within(_PAIR_REACH, settings.units))
        self.amounts: dict[Axis, tuple[Amount, ...]] = {"x": (*amounts, PLAIN, FAR), "y": amounts, "z": amounts}
        self._speech = {(axis, way): self._speech_seconds(axis, way) for axis in AXES for way in (True, False)}
        self._joints = {axis: self._joint(axis) for axis in AXES}
        self._taking_words = tuple(self._seconds_of(key, **halves) for key, halves in _TAKING.items())
        # Whoever has arrived is told to take it in a sentence of its own.
        self._taking_later = self._shared + self._seconds_of("confirm.lift")
        self._solved: dict[tuple[float, float, bool], Solution] = {}

    def solve(self, gain: float, spread: float, take: bool) -> Solution:
        """Expected cost in seconds to the end from every state, for a person of such log gains.

        ``take``: the product may be taken on the way.
        """
        key = (round(gain, 3), round(spread, 3), take)
        if key not in self._solved:
            self._solved[key] = self._solve(*key)
        return self._solved[key]

    def best(self, offset: Offset, gains: Gains, values: Floats) -> Move:
        """The sentence with the least expected cost from an offset with finite x, y, z."""
        at: dict[Axis, float] = {"x": offset.x, "y": offset.y, "z": offset.z}
        state = {axis: np.array([at[axis] if axis == "z" else abs(at[axis])]) for axis in AXES}
        stay = {axis: self._staying(axis, state[axis])[0] for axis in AXES}
        costs = {axis: self._costs(axis, gains.of(axis)[0], (at[axis] > 0,)) for axis in AXES}
        moves = {axis: self._landing(axis, state[axis], *gains.of(axis))[:, 0] for axis in AXES}
        ahead = values + self._touching
        sweeping = self._settings.touch_price * bool(at["z"] < -_DEEP)
        best = math.inf
        chosen: list[tuple[Axis, int]] = []
        for single in AXES:
            rest = _contract(ahead, {axis: stay[axis] for axis in AXES if axis != single})
            landed = _missed(moves[single], stay[single], _MISHEARD)
            total = landed @ rest + costs[single].alone + (sweeping if single != "z" else 0.0)
            index = int(np.argmin(total))
            if total[index] < best:
                best, chosen = float(total[index]), [(single, index)]
        for first, second in _PAIRS:
            rest = _contract(ahead, {axis: stay[axis] for axis in AXES if axis not in (first, second)})
            landed = _missed(moves[first][: self.paired], stay[first], _MISHEARD)
            halves = _missed(moves[second][: self.paired], stay[second], _MISHEARD + _HALF_HEARD)
            total = landed @ rest @ halves.T
            total = total + costs[first].half[:, None] + costs[second].half + self._joints[second] + sweeping
            index = int(np.argmin(total))
            if total.flat[index] < best:
                best = float(total.flat[index])
                chosen = [(first, index // self.paired), (second, index % self.paired)]
        take = False
        if offset.takeable:
            for axes, taking in self._taking(state, gains.of, costs, offset.front or UNKNOWN_FRONT).items():
                total = taking[..., 0, 0, 0] + (sweeping if axes[0] != "z" else 0.0)
                index = int(np.argmin(total))
                if total.flat[index] < best:
                    best, take = float(total.flat[index]), True
                    chosen = list(zip(axes, map(int, np.unravel_index(index, total.shape)), strict=True))
        return replace(self._move(chosen, at, gains), take=take)

    def _taking(
        self,
        at: dict[Axis, Floats],
        gains: Callable[[Axis], tuple[float, float]],
        costs: dict[Axis, _Costs],
        front: tuple[float, float],
    ) -> dict[tuple[Axis, ...], Floats]:
        """Seconds to the end for each one or two movements after which the product is taken: (A, X, Y, Z) from offsets
        ``at`` (X,), (Y,) and (Z,), or (A, A, X, Y, Z) for two."""
        limits: dict[str, float] = dict(zip("xy", holds(front), strict=True))
        shaped = {axis: at[axis].reshape([-1 if other == axis else 1 for other in AXES]) for axis in AXES}
        result: dict[tuple[Axis, ...], Floats] = {}
        for axes in _BEFORE_TAKING:
            ways = {
                axis: np.array([amount.movement for amount in self.amounts[axis][: self.paired]]).reshape(
                    [-1 if other == axis else 1 for other in axes] + [1, 1, 1]
                )
                for axis in axes
            }
            chance = self._chance(shaped, gains, ways, limits)
            spent = sum(costs[axis].half.reshape(ways[axis].shape) for axis in axes)
            words = self._taking_words[len(axes) - 1] + self._shared + _THINK * (len(axes) - 1) - self._taking_later
            price = np.where(chance >= _LIKELY, self._settings.wrong_price * (1 - chance), math.inf)
            result[axes] = np.asarray(spent + words + price)
        return result

    def _chance(
        self,
        at: dict[Axis, Floats],
        gains: Callable[[Axis], tuple[float, float]],
        ways: dict[Axis, Floats],
        limits: dict[str, float],
    ) -> Floats:
        """That a hand takes the product after moving by ``ways``: heard, within the front's edges, and up to it."""
        chance: Floats = np.asarray(1 - _MISHEARD - _HALF_HEARD * (len(ways) - 1))
        for axis in AXES:
            gain, spread = gains(axis)
            scatter = np.float64(math.hypot(SCATTER, spread))
            blur = strayed(_BLUR, np.sqrt(sum((way**2 for other, way in ways.items() if other != axis), np.float64(0))))
            if axis == "z":
                chance = chance * (
                    reaches_after(at["z"], ways["z"], gain, scatter) if "z" in ways else reaches(at["z"])
                )
            elif axis in ways:
                chance = chance * lands_within(at[axis], limits[axis], ways[axis], gain, scatter, blur)
            else:
                chance = chance * stays_within(at[axis], limits[axis], blur)
        return chance

    def _move(self, chosen: list[tuple[Axis, int]], at: dict[Axis, float], gains: Gains) -> Move:
        parts = [(axis, self.amounts[axis][index]) for axis, index in chosen]
        lengths = [amount.movement * math.exp(gains.of(axis)[0]) for axis, amount in parts]
        seconds = self._settings.reaction + sum(movement_seconds(m, self._settings.movement_speed) for m in lengths)
        moves = [Move(axis, at[axis] > 0, abs(at[axis]), at[axis], amount) for axis, amount in parts]
        then = moves[1] if len(moves) > 1 else None
        return replace(moves[0], then=then, seconds=seconds + (_THINK if then else 0.0))

    def _costs(self, axis: Axis, gain: float, ways: tuple[bool, ...]) -> _Costs:
        """Seconds of speech (the mean over the ``ways`` to go), of movement and of what comes with them."""
        lengths = [amount.movement * math.exp(gain) for amount in self.amounts[axis]]
        moving = np.array([movement_seconds(length, self._settings.movement_speed) for length in lengths])
        alone, half = (np.mean([self._speech[axis, way][form] for way in ways], axis=0) for form in (0, 1))
        return _Costs(moving + self._shared + alone, moving[: self.paired] + half)

    def _speech_seconds(self, axis: Axis, way: bool) -> tuple[Floats, Floats]:
        """How long each amount takes to say as a sentence (A,), and the first of them as half of one."""
        settings, phrases = self._settings, self._phrases
        offset = Offset("hand", 0.0, 0.0, 0.0)
        moves = [Move(axis, way, amount.movement, amount.movement, amount) for amount in self.amounts[axis]]
        alone = [direction(move, offset, phrases, settings.units, settings.directions) for move in moves]
        half = [part(move, phrases, settings.units, settings.directions) for move in moves[: self.paired]]
        rate = settings.speech_rate_wpm
        return np.array([speech_seconds(t, rate) for t in alone]), np.array([speech_seconds(t, rate) for t in half])

    @property
    def _shared(self) -> float:
        """What every sentence costs beside speech and movement."""
        return self._settings.reaction + _LOOK + self._settings.instruction_price

    def _joint(self, second: Axis) -> float:
        """What a sentence of two halves costs beside them."""
        key = "pair.after" if second == "z" else "pair.together"
        return self._shared + _THINK + self._seconds_of(key, first="", second="")

    def _seconds_of(self, key: str, **halves: str) -> float:
        return speech_seconds(self._phrases.part(key, **halves), self._settings.speech_rate_wpm)

    def _landing(self, axis: Axis, at: Floats, gain: float, spread: float) -> Floats:
        """Where each amount leads from offsets ``at`` (N,): weights over the grid (A, N, G)."""
        expected = np.array([amount.movement for amount in self.amounts[axis]])
        scatter = np.hypot(np.array([amount.scatter for amount in self.amounts[axis]]), spread)
        moved = expected[:, None] * np.exp(gain + scatter[:, None] * _NODES)
        towards = np.where(at < 0, -1.0, 1.0)
        landed = at[:, None] - towards[:, None] * moved[:, None, :]
        landed = landed[..., None] + _BLUR * _NODES
        weights = np.broadcast_to(_WEIGHTS[:, None] * _WEIGHTS, landed.shape)
        shape = (len(expected), len(at), -1)
        return self._weights(axis, landed.reshape(shape), weights.reshape(shape))

    def _staying(self, axis: Axis, at: Floats) -> Floats:
        """Where offsets ``at`` (N,) drift while the hand moves along another axis: weights over the grid (N, G)."""
        landed = at[:, None] + _BLUR * _NODES
        return self._weights(axis, landed, np.broadcast_to(_WEIGHTS, landed.shape))

    def _weights(self, axis: Axis, landed: Floats, weights: Floats) -> Floats:
        """Points (…, Q) with weights, shared out linearly between the grid's nodes: (…, G)."""
        grid = self.grid[axis]
        landed = np.clip(landed if axis == "z" else np.abs(landed), grid[0], grid[-1])
        low = np.clip(np.searchsorted(grid, landed, side="right") - 1, 0, len(grid) - 2)
        share = (landed - grid[low]) / (grid[low + 1] - grid[low])
        count = landed[..., 0].size
        first = np.repeat(np.arange(count) * len(grid), landed.shape[-1]) + low.ravel()
        nodes = np.concatenate([first, first + 1])
        parts = np.concatenate([((1 - share) * weights).ravel(), (share * weights).ravel()])
        rows = np.bincount(nodes, parts, minlength=count * len(grid))
        return np.asarray(rows.reshape(*landed.shape[:-1], len(grid)), np.float64)

    def _solve(self, gain: float, spread: float, take: bool) -> Solution:
        stay = {axis: self._staying(axis, self.grid[axis])[None] for axis in AXES}
        landing = {axis: self._landing(axis, self.grid[axis], gain, spread) for axis in AXES}
        moves = {axis: _missed(landing[axis], stay[axis], _MISHEARD) for axis in AXES}
        halves = {axis: _missed(landing[axis], stay[axis], _MISHEARD + _HALF_HEARD) for axis in AXES}
        costs = {axis: self._costs(axis, gain, (True, False)) for axis in AXES}
        taking = np.full(self.end.shape, np.inf)
        ways = self._taking(self.grid, lambda axis: (gain, spread), costs, USUAL_FRONT) if take else {}
        for axes, total in ways.items():
            least = total.reshape(-1, *self.end.shape).min(axis=0)
            taking = np.minimum(taking, least + (self._sweeping if axes[0] != "z" else 0.0))

        def backup(values: Floats) -> Floats:
            ahead = values + self._touching
            best = taking
            for single in AXES:
                rest = ahead
                for axis in AXES:
                    rest = rest if axis == single else _applied(stay[axis], rest, axis)[0]
                total = _applied(moves[single], rest, single) + costs[single].alone[:, None, None, None]
                best = np.minimum(best, total.min(axis=0) + (self._sweeping if single != "z" else 0.0))
            for first, second in _PAIRS:
                rest = ahead
                for axis in AXES:
                    rest = rest if axis in (first, second) else _applied(stay[axis], rest, axis)[0]
                for index, cost in enumerate(costs[first].half):
                    landed = _applied(moves[first][index : index + 1], rest, first)[0]
                    total = _applied(halves[second][: self.paired], landed, second)
                    total = (total + costs[second].half[:, None, None, None]).min(axis=0)
                    best = np.minimum(best, total + cost + self._joints[second] + self._sweeping)
            return np.where(self.end, 0.0, best)

        return value_iteration(backup, np.zeros(self.end.shape), tolerance=0.02)


@dataclass(frozen=True)
class _Costs:
    """Seconds of each amount of an axis as a sentence ``alone`` (A,) and as ``half`` of one (the first of them)."""

    alone: Floats
    half: Floats


@lru_cache(maxsize=8)
def _model(settings: GuidanceSettings, phrases: Phrases) -> PhraseModel:
    return PhraseModel(settings, phrases)


def _grid(tolerance: float, longest: float) -> Floats:
    """Nodes from 0 to ``longest`` metres: close together near the tolerance, a step at it, and wider farther out."""
    near = np.array([0.0, 0.5, 1.0, 1.1, 1.5, 2.0, 2.6, 3.3]) * tolerance
    far = np.geomspace(4.1 * tolerance, longest, 11)
    return np.concatenate([near, far])


def _missed(rows: Floats, stay: Floats, chance: float) -> Floats:
    """Where words lead that are not understood with some chance."""
    return (1 - chance) * rows + chance * stay


def _applied(rows: Floats, values: Floats, axis: Axis) -> Floats:
    """Expectations of values (X, Y, Z) under rows (A, G, G) along one axis: (A, X, Y, Z)."""
    number = AXES.index(axis)
    moved = np.moveaxis(values, number, 0)
    flat = rows.reshape(-1, rows.shape[-1]) @ moved.reshape(moved.shape[0], -1)
    return np.moveaxis(flat.reshape(rows.shape[0], *moved.shape), 1, number + 1)


def _contract(values: Floats, weights: dict[Axis, Floats]) -> Floats:
    """The mean of values (X, Y, Z) over some axes, with weights (G,) for each."""
    for axis in reversed(AXES):
        if axis in weights:
            values = np.tensordot(values, weights[axis], axes=(AXES.index(axis), 0))
    return values
