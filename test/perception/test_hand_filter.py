"""The filter of the hand against what can be worked out by hand, and what holds for every input."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shelfhelp_ros.perception.hand_filter import FilterSettings, HandFilter

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
QUIET = FilterSettings(acceleration=0.0, initial_speed=0.0)

points = arrays(float, 3, elements=st.floats(-3, 3))
halves = arrays(float, (3, 3), elements=st.floats(-0.3, 0.3))
steps = st.lists(st.tuples(st.floats(0, 2), points, halves), max_size=12)


def spread(half: Matrix) -> Matrix:
    """A covariance: at least a millimetre on every axis."""
    return np.asarray(half @ half.T + 1e-6 * np.eye(3))


def test_two_looks_at_a_thing_at_rest_give_their_weighted_mean() -> None:
    """Without motion the filter is inverse-variance weighting: 1 m ± 2 cm and 1.05 m ± 1 cm give 1.04 m ± 0.894 cm."""
    kept = HandFilter(np.array([1.0, 0, 0]), 0.02**2 * np.eye(3), QUIET).predicted(0.5)
    kept.correct(np.array([1.05, 0, 0]), 0.01**2 * np.eye(3))
    assert kept.xyz == pytest.approx([1.04, 0, 0])
    assert np.sqrt(np.diagonal(kept.covariance)) == pytest.approx([0.02 / np.sqrt(5)] * 3)
    assert kept.velocity == pytest.approx([0, 0, 0])


def test_prediction_and_correction_are_kalmans_equations() -> None:
    """One step of one axis, written out: P- = F P F' + Q, K = P- H' / S, and the velocity learns from the position."""
    speed, push, seconds, before, noise = 0.5, 3.0, 0.1, 0.02, 0.03
    kept = HandFilter(np.zeros(3), before**2 * np.eye(3), FilterSettings(push, speed)).predicted(seconds)
    drift = push**2 * np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
    ahead = np.array([[before**2 + (speed * seconds) ** 2, speed**2 * seconds], [speed**2 * seconds, speed**2]]) + drift
    assert np.diagonal(kept.covariance) == pytest.approx([ahead[0, 0]] * 3)
    assert kept.distance(np.array([0.1, 0, 0]), noise**2 * np.eye(3)) == pytest.approx(0.01 / (ahead[0, 0] + noise**2))
    kept.correct(np.array([0.1, 0, 0]), noise**2 * np.eye(3))
    gain = ahead[:, 0] / (ahead[0, 0] + noise**2)
    assert kept.xyz == pytest.approx([gain[0] * 0.1, 0, 0])
    assert kept.velocity == pytest.approx([gain[1] * 0.1, 0, 0])
    assert np.diagonal(kept.covariance) == pytest.approx([(1 - gain[0]) * ahead[0, 0]] * 3)


def test_a_steady_movement_is_learnt() -> None:
    """After a second of pictures of a hand at 0.4 m/s the filter says where it will be at the next."""
    kept = HandFilter(np.array([0.0, 0, 0.6]), 1e-4 * np.eye(3), FilterSettings())
    for number in range(1, 11):
        kept = kept.predicted(0.1)
        kept.correct(np.array([0.04 * number, 0, 0.6]), 1e-4 * np.eye(3))
    assert kept.predicted(0.1).xyz == pytest.approx([0.44, 0, 0.6], abs=0.005)


@settings(max_examples=50, deadline=None)
@given(points, halves, steps)
def test_the_covariance_stays_symmetric_and_positive(
    start: Vector, half: Matrix, walk: list[tuple[float, Vector, Matrix]]
) -> None:
    """Whatever is measured whenever: a covariance that is none makes distances and published figures meaningless."""
    kept = HandFilter(start, spread(half), FilterSettings())
    for seconds, xyz, noise in walk:
        kept = kept.predicted(seconds)
        ahead = kept.covariance
        kept.correct(xyz, spread(noise))
        assert np.isfinite(kept.xyz).all()
        assert (kept.covariance == kept.covariance.T).all()
        assert np.linalg.eigvalsh(kept.covariance)[0] > 0
        assert np.linalg.eigvalsh(ahead - kept.covariance)[0] >= -1e-9
