"""How long a hand has been where it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shelfhelp_ros.guidance.stillness import Stillness

TENTH = 100_000_000


def test_a_hand_that_sways_rests_and_one_that_goes_does_not() -> None:
    still = Stillness()
    for step in range(6):
        still.add(np.array([0.01 * (step % 2), 0.0, 0.5]), step * TENTH)
    assert still.seconds == pytest.approx(0.5)
    for step in range(6, 12):
        still.add(np.array([0.04 * step, 0.0, 0.5]), step * TENTH)
    assert still.seconds == pytest.approx(0.0)


def test_a_slow_hand_does_not_rest_for_ever() -> None:
    """Each step is small; what counts is how far it went from where it was."""
    still = Stillness()
    for step in range(20):
        still.add(np.array([0.01 * step, 0.0, 0.5]), step * TENTH)
    assert still.seconds < 0.4


def test_how_far_it_is_from_a_place() -> None:
    still = Stillness()
    assert still.apart(np.zeros(3)) == math.inf
    still.add(np.array([0.3, 0.4, 0.0]), 0)
    assert still.apart(np.zeros(3)) == pytest.approx(0.5)
    assert still.apart(None) == math.inf


def test_a_clock_that_jumps_back_begins_anew() -> None:
    still = Stillness()
    still.add(np.zeros(3), 10 * TENTH)
    still.add(np.zeros(3), 5 * TENTH)
    assert still.seconds == 0.0
