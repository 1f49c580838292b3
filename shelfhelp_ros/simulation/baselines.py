"""Other ways to choose the next words, to compare the planner with. All speak through the same guide and its pacing.

``WorstAxisFirst`` is another; it lives with the guidance, which falls back on it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from shelfhelp_ros.guidance.distances import FAR, PLAIN, Amount, amounts_within
from shelfhelp_ros.guidance.gains import AXES, PERSON_SPREAD
from shelfhelp_ros.guidance.mdp import expected_costs, solve_table
from shelfhelp_ros.guidance.planner import Axis, Course, Move, Offset, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings

_REACH = 0.65
_WORDS = {
    ("x", True): "Right.", ("x", False): "Left.", ("y", True): "Down.", ("y", False): "Up.", ("z", True): "Forward.",
    ("z", False): "Back.",
}  # fmt: skip


class _WithHand:
    """What the planners here share: tolerances with hysteresis, and ``WorstAxisFirst`` where there is no offset."""

    def __init__(self, settings: GuidanceSettings, phrases: object = None) -> None:
        self._settings = settings
        self._fallback = WorstAxisFirst(settings)
        self.reset()

    def reset(self) -> None:
        self._fallback.reset()
        self._inside: set[Axis] = set()

    def told(self, offset: Offset | None, move: Move | None) -> None:
        """Nothing is learnt from it."""

    def watch(self, offset: Offset, since: float) -> Course:
        """Nothing is foreseen."""
        return Course()

    def choose(self, offset: Offset) -> Move | None:
        if offset.reference != "hand" or not math.isfinite(offset.z):
            return self._fallback.choose(offset)
        for axis in AXES:
            limit = self._tolerance(axis) * (self._settings.leave_factor if axis in self._inside else 1.0)
            (self._inside.add if abs(getattr(offset, axis)) <= limit else self._inside.discard)(axis)
        return self._next({axis: float(getattr(offset, axis)) for axis in AXES})

    def _next(self, at: dict[Axis, float]) -> Move | None:
        raise NotImplementedError

    def _tolerance(self, axis: Axis) -> float:
        return self._settings.forward_tolerance if axis == "z" else self._settings.side_tolerance

    def _candidates(self, at: dict[Axis, float]) -> list[Axis]:
        """The axes to work on: first out of the packs, then in line, then forward."""
        if "z" not in self._inside and at["z"] < 0:
            return ["z"]
        sideways: list[Axis] = [axis for axis in AXES if axis != "z" and axis not in self._inside]
        return sideways or [axis for axis in AXES if axis not in self._inside]


def _amounts(axis: Axis, settings: GuidanceSettings) -> tuple[Amount, ...]:
    counted = amounts_within(_REACH, settings.units)
    return (*counted, PLAIN, FAR) if axis == "x" else counted


def _move(axis: Axis, at: float, amount: Amount) -> Move:
    return Move(axis, at > 0, abs(at), at, amount)


class GreedyPhrase(_WithHand):
    """Of all phrases for the axes that are out of line, the one after which the hand is expected nearest."""

    def _next(self, at: dict[Axis, float]) -> Move | None:
        moves = [
            (self._left_over(at, axis, amount), number, _move(axis, at[axis], amount))
            for axis in self._candidates(at)
            for number, amount in enumerate(_amounts(axis, self._settings))
        ]
        return min(moves, key=lambda rated: rated[:2])[2] if moves else None

    def _left_over(self, at: dict[Axis, float], axis: Axis, amount: Amount) -> float:
        """Expected square of the distance after a phrase, with the spread of people and movements."""
        spread = amount.scatter**2 + PERSON_SPREAD**2
        mean = amount.movement * math.exp(spread / 2)
        variance = (math.exp(spread) - 1) * mean**2
        return (abs(at[axis]) - mean) ** 2 + variance - at[axis] ** 2


class FewestPhrases(_WithHand):
    """ShelfHelp's discrete planner (Agrawal et al., AAMAS 2023) as it is described: a Markov decision process over the
    hand's cell, solved beforehand for the average person, in which every command costs the same. The axes are
    independent there, so each is solved alone: lateral, vertical, then forward.
    """

    _CELL = 0.02

    def _next(self, at: dict[Axis, float]) -> Move | None:
        axes = self._candidates(at)
        if not axes:
            return None
        axis = axes[0]
        policy = _fewest(self._tolerance(axis), _study_amounts(axis, self._settings))
        return _move(axis, at[axis], policy[min(len(policy) - 1, round(abs(at[axis]) / self._CELL))])


def _study_amounts(axis: Axis, settings: GuidanceSettings) -> tuple[Amount, ...]:
    """The study's phrases: a little, 3 and 6 inches, a foot, to the left, far left; and a foot and a half."""
    wanted = {("little", 1), ("inches", 3), ("inches", 6), ("feet", 1), ("foot_and_half", 1), ("plain", 1), ("far", 1)}
    chosen = tuple(amount for amount in _amounts(axis, settings) if (amount.key, amount.count) in wanted)
    return chosen if settings.units == "imperial" else _amounts(axis, settings)


@lru_cache(maxsize=16)
def _fewest(tolerance: float, amounts: tuple[Amount, ...]) -> tuple[Amount, ...]:
    """The best amount in every cell of one axis."""
    cells = np.arange(0, 0.9, FewestPhrases._CELL)
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    transitions = np.zeros((len(amounts), len(cells), len(cells)))
    for number, amount in enumerate(amounts):
        spread = math.hypot(amount.scatter, PERSON_SPREAD)
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            left = np.abs(cells - amount.movement * math.exp(spread * node))
            cell = np.minimum(np.round(left / FewestPhrases._CELL).astype(int), len(cells) - 1)
            transitions[number, np.arange(len(cells)), cell] += weight
    costs = np.ones((len(amounts), len(cells)))
    values = solve_table(costs, transitions, cells <= tolerance).values
    best = expected_costs(costs, transitions, values).argmin(axis=0)
    return tuple(amounts[int(number)] for number in best)


class ContinuousWords(_WithHand):
    """ "Left, left, left … stop": the hand creeps along one axis while the word is repeated.

    *Stop* comes ahead of time, by what the hand is expected to creep until it is obeyed; distances too short for that
    are asked for with the amount that fits best.
    """

    #: Metres that a hand creeps between the picture and its stop, and the shortest way that is crept. Of a grid (0.11
    #: to 0.23, 0.16 to 0.45) over 65 episodes of seed 777: the first hardly matters up to 0.19; the less is crept, the
    #: quicker (from 0.45 on next to nothing is). Most distances are crept here: that is what this stands for.
    _AHEAD, _SHORTEST = 0.19, 0.24
    _SETTLE = 0.9

    def reset(self) -> None:
        super().reset()
        self._creeping: tuple[Axis, bool] | None = None

    def told(self, offset: Offset | None, move: Move | None) -> None:
        """Remember whether the hand creeps, and which way."""
        word = move is not None and move.text == _WORDS[move.axis, move.positive]
        self._creeping = (move.axis, move.positive) if move is not None and word else None

    def _next(self, at: dict[Axis, float]) -> Move | None:
        if self._creeping is not None:
            axis, positive = self._creeping
            left = at[axis] if positive else -at[axis]
            stop = left <= self._AHEAD
            text = "Stop." if stop else _WORDS[axis, positive]
            seconds = self._SETTLE if stop else 0.0
            return Move(axis, positive, abs(left), at[axis], text=text, seconds=seconds)
        axes = self._candidates(at)
        if not axes:
            return None
        axis = max(axes, key=lambda one: abs(at[one]))
        if abs(at[axis]) < self._SHORTEST:
            amounts = _amounts(axis, self._settings)
            return _move(axis, at[axis], min(amounts, key=lambda amount: abs(amount.movement - abs(at[axis]))))
        return Move(axis, at[axis] > 0, abs(at[axis]), at[axis], text=_WORDS[axis, at[axis] > 0], seconds=0.0)
