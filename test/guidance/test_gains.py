"""What is learnt of a person: the closed form, and nothing from what was no answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.gains import AXES, AXIS_SPREAD, PERSON_SPREAD, Gains

movement = st.tuples(st.sampled_from(AXES), st.floats(-0.8, 0.8), st.floats(0.05, 0.5))


@given(st.floats(-1.0, 1.0), st.floats(0.05, 0.5))
def test_one_movement_is_weighed_as_two_normals_are(logarithm, scatter):
    """Mean and variance of a normal prior after one normal observation, by the textbook's formula."""
    gains = Gains.prior().after("y", 0.2, 0.2 * math.exp(logarithm), scatter)
    prior = PERSON_SPREAD**2 + AXIS_SPREAD**2
    mean, spread = gains.of("y")
    assert mean == pytest.approx(logarithm * prior / (prior + scatter**2), abs=1e-9)
    assert spread**2 == pytest.approx(1 / (1 / prior + 1 / scatter**2))
    assert gains.of("x")[0] == pytest.approx(logarithm * PERSON_SPREAD**2 / (prior + scatter**2), abs=1e-9)


@given(st.lists(movement, max_size=8))
def test_one_by_one_is_the_same_as_all_at_once(movements):
    """The posterior of all movements together, by linear algebra (information form)."""
    gains = Gains.prior()
    precision = np.linalg.inv(np.array(gains.covariance))
    weighted = np.zeros(3)
    for axis, logarithm, scatter in movements:
        gains = gains.after(axis, 0.2, 0.2 * math.exp(logarithm), scatter)
        index = AXES.index(axis)
        precision[index, index] += scatter**-2
        weighted[index] += logarithm * scatter**-2
    covariance = np.linalg.inv(precision)
    assert np.array(gains.covariance) == pytest.approx(covariance, abs=1e-9)
    assert np.array(gains.mean) == pytest.approx(covariance @ weighted, abs=1e-8)
    assert gains.movements == len(movements)


@pytest.mark.parametrize("moved", [-0.2, 0.0, 0.04, 0.9, math.nan, math.inf])
def test_no_answer_teaches_nothing(moved):
    """The wrong way, hardly at all, or much too far: something else happened."""
    assert Gains.prior().after("x", 0.2, moved, 0.2) == Gains.prior()
