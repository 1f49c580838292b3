"""Spoken distances: monotone, near to what is meant, and tuned to how far people really move."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.distances import UNITS, measured_amount, spoken_amount
from shelfhelp_ros.guidance.listener import expected_movement

units = st.sampled_from(UNITS)


@given(st.floats(0.02, 8.0), units)
def test_the_movement_is_near_the_distance(metres, unit):
    """A person who moves as people do ends within 4 cm or a third of the distance."""
    assert abs(spoken_amount(metres, unit).movement - metres) <= max(0.04, metres / 3)


@given(st.floats(0.0, 9.0), st.floats(0.0, 9.0), units)
def test_farther_is_never_said_as_nearer(first, second, unit):
    """Amounts grow with the distance."""
    near, far = sorted((first, second))
    assert spoken_amount(near, unit).movement <= spoken_amount(far, unit).movement


@given(st.floats(0.0, 9.0), units)
def test_the_sign_does_not_matter(metres, unit):
    """Left and right are said by the direction, not by the amount."""
    assert spoken_amount(-metres, unit) == spoken_amount(metres, unit)


@pytest.mark.parametrize(
    ("metres", "unit", "key", "count"),
    [
        (0.10, "imperial", "little", 1),
        (0.12, "imperial", "inches", 3),
        (0.20, "imperial", "inches", 6),
        (0.30, "imperial", "feet", 1),
        (0.62, "imperial", "feet", 2),
        (0.06, "metric", "centimetres", 3),
        (0.30, "metric", "centimetres", 30),
        (1.1, "metric", "metres", 1),
        (0.05, "hands", "fingers", 1),
        (0.13, "hands", "hands", 1),
        (0.34, "hands", "hands", 4),
        (1.3, "hands", "steps", 2),
    ],
)
def test_known_distances(metres, unit, key, count):
    """The words of the user study come back at the distances that its people moved on them."""
    amount = spoken_amount(metres, unit)
    assert (amount.key, amount.count) == (key, count)


@pytest.mark.parametrize(("said", "moved"), [(0.0762, 0.12), (0.1524, 0.20), (0.3048, 0.30)])
def test_the_listener_moves_as_people_did(said, moved):
    """The fitted curve goes through the study's figures within a centimetre."""
    assert expected_movement(said) == pytest.approx(moved, abs=0.011)


@given(st.floats(0.01, 3.0))
def test_small_distances_are_overshot(said):
    """The curve overshoots below a foot and never by more than two and a half times."""
    assert math.isfinite(expected_movement(said))
    assert said * 0.97 <= expected_movement(said) <= max(said, 3.2 * said)


@pytest.mark.parametrize(
    ("metres", "unit", "key", "count"),
    [
        (0.0762, "imperial", "inches", 3),
        (-0.31, "imperial", "feet", 1),
        (0.08, "metric", "centimetres", 8),
        (0.17, "hands", "hands", 2),
        (0.0, "metric", "centimetres", 2),
    ],
)
def test_a_place_is_told_as_it_measures(metres, unit, key, count):
    """Nobody moves on these words, so nothing is allowed for."""
    amount = measured_amount(metres, unit)
    assert (amount.key, amount.count) == (key, count)
