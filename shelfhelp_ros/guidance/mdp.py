"""Markov decision processes solved by value iteration (Sutton and Barto, Reinforcement Learning, section 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """``values`` are the expected costs to the end from every state; ``sweeps`` is how many it took to find them."""

    values: Floats
    sweeps: int
    change: float


def value_iteration(
    backup: Callable[[Floats], Floats], start: Floats, tolerance: float = 1e-3, most: int = 500
) -> Solution:
    """Apply the Bellman backup until no value changes by more than ``tolerance``.

    From zeros, with costs that are not negative, the values only grow, towards the least fixed point.
    """
    values, change = start, np.inf
    for sweep in range(1, most + 1):
        better = backup(values)
        change = float(np.abs(better - values).max())
        values = better
        if change <= tolerance:
            return Solution(values, sweep, change)
    return Solution(values, most, change)


def expected_costs(costs: Floats, transitions: Floats, values: Floats) -> Floats:
    """Q (A, S): costs (A, S) of each action plus the values (S,) of where transitions (A, S, S) lead on average."""
    return np.asarray(costs + transitions @ values)


def solve_table(costs: Floats, transitions: Floats, end: npt.NDArray[np.bool_], tolerance: float = 1e-9) -> Solution:
    """Values of a process given by tables; states in ``end`` (S,) cost nothing any more."""

    def backup(values: Floats) -> Floats:
        return np.where(end, 0.0, expected_costs(costs, transitions, values).min(axis=0))

    return value_iteration(backup, np.zeros(len(end)), tolerance, 10_000)
