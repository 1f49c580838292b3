"""Value iteration: the values that one finds by hand, reached from below."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from shelfhelp_ros.guidance.mdp import expected_costs, solve_table, value_iteration

# Cells 0 (the end), 1 and 2. *Step* costs 1 and goes one cell nearer. *Leap* costs 0.8 and arrives in half of the
# cases, else nothing happens: from anywhere it takes 0.8 / 0.5 = 1.6 on average.
STEP = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], float)
LEAP = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]], float)
COSTS = np.array([[1, 1, 1], [0.8, 0.8, 0.8]])
TRANSITIONS = np.stack([STEP, LEAP])
END = np.array([True, False, False])


def test_the_values_are_those_found_by_hand():
    """From 1 a step is best, at 1; from 2 the leap, at 1.6, and not two steps."""
    solution = solve_table(COSTS, TRANSITIONS, END)
    assert solution.values == pytest.approx([0, 1, 1.6], abs=1e-8)
    best = expected_costs(COSTS, TRANSITIONS, solution.values).argmin(axis=0)
    assert list(best[1:]) == [0, 1]


def test_values_only_grow_towards_the_solution():
    """From zeros every sweep raises them, and none goes beyond the solution."""
    seen = [np.zeros(3)]

    def backup(values):
        better = np.where(END, 0.0, expected_costs(COSTS, TRANSITIONS, values).min(axis=0))
        seen.append(better)
        return better

    value_iteration(backup, seen[0], 1e-9)
    assert len(seen) > 5
    for before, after in pairwise(seen):
        assert (after >= before - 1e-12).all()
        assert (after <= np.array([0, 1, 1.6]) + 1e-9).all()


def test_it_gives_up_after_the_most_sweeps():
    """An end that cannot be reached costs ever more; the caller is told how far it got."""
    solution = value_iteration(lambda values: values + 1, np.zeros(2), most=7)
    assert solution.sweeps == 7
    assert solution.change == 1
