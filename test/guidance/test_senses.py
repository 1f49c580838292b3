"""What is known now: nothing older than 300 ms is given out, whatever the clock does."""

from __future__ import annotations

import numpy as np
import pytest
from guide_driver import MS, sighting
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.pacing import Stopwatch
from shelfhelp_ros.guidance.senses import Senses
from shelfhelp_ros.sightings import Decision

START = 10**12
SPREAD = 0.1


def sensed() -> tuple[Stopwatch, Senses]:
    stopwatch = Stopwatch()
    stopwatch.read(START)
    return stopwatch, Senses(stopwatch)


@given(
    age=st.integers(-2000, 2000),
    steps=st.lists(st.integers(-1000, 1000), max_size=8),
)
def test_nothing_old_is_given_out(age: int, steps: list[int]) -> None:
    """Neither by its stamp nor by how long it lies there, also when the clock jumps back and forth meanwhile."""
    stopwatch, senses = sensed()
    senses.see(sighting(START - age * MS, Decision.FOUND))
    assert senses.hand_at((0.0, 0.0, 0.5), None, START - age * MS, SPREAD)
    now, waited = START, 0
    for step in steps:
        now, waited = now + step * MS, waited + max(0, step)
        stopwatch.read(now)
        old = now - (START - age * MS) >= 300 * MS or waited >= 300
        if old:
            assert senses.sighting(now) is None
            assert senses.awaited_hand(now, 60.0) is not None


@given(first=st.integers(0, 299), second=st.integers(0, 299))
def test_what_was_overtaken_does_not_count(first: int, second: int) -> None:
    """Of two fresh sightings the later stamp is the newest, in whatever order they arrive."""
    _, senses = sensed()
    senses.see(sighting(START - first * MS, Decision.FOUND))
    assert senses.is_newest(sighting(START - second * MS, Decision.LOST), START) == (second <= first)


def test_a_sighting_that_is_forgotten_is_not_given_out() -> None:
    _, senses = sensed()
    senses.see(sighting(START, Decision.FOUND))
    assert senses.sighting(START) is not None
    senses.forget_sighting()
    assert senses.sighting(START) is None


@pytest.mark.parametrize(
    ("position", "covariance"),
    [
        ((0.0, 0.0), None),
        ((0.0, np.nan, 0.5), None),
        ((0.0, 0.0, 0.5), np.full((3, 3), np.nan)),
        ((0.0, 0.0, 0.5), np.diag([0.0, 0.0, 1.01 * SPREAD**2])),
    ],
)
def test_a_hand_that_is_not_known_well_does_not_count(position: tuple[float, ...], covariance: object) -> None:
    _, senses = sensed()
    assert not senses.hand_at(position, covariance, START, SPREAD)
    assert senses.hand is None
    assert senses.awaited_hand(START, 60.0) is None


def test_a_hand_is_awaited_and_then_forgotten() -> None:
    stopwatch, senses = sensed()
    senses.hand_at((0.0, 0.0, 0.5), np.eye(3) * 1e-4, START, SPREAD)
    ages = []
    for seconds in (0.1, 0.5, 4.9, 5.1):
        now = START + round(seconds * 1000) * MS
        stopwatch.read(now)
        ages.append(senses.awaited_hand(now, 5.0))
    assert ages == [None, pytest.approx(0.5), pytest.approx(4.9), None]
    assert senses.hand is None
