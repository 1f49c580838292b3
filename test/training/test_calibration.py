"""Calibration: probabilities that come true, thresholds in order, and episodes cut from the right pairs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.calibration import Episode, calibrate, episodes_of, fit_platt


def drawn_pairs(count: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-0.2, 1, count)
    return similarity, rng.random(count) < 1 / (1 + np.exp(-(slope * similarity + intercept)))


def test_known_odds_are_recovered() -> None:
    """Pairs drawn with slope 14 and intercept −9 give them back."""
    slope, intercept = fit_platt(*drawn_pairs(200_000, 14, -9))
    assert slope == pytest.approx(14, rel=0.03)
    assert intercept == pytest.approx(-9, rel=0.03)


def test_the_fit_is_that_of_scikit_learn() -> None:
    """Weighted maximum likelihood; Platt's smoothed targets hardly matter for so many pairs."""
    similarity, same = drawn_pairs(50_000, 10, -6, seed=1)
    weight = np.random.default_rng(2).uniform(0.2, 3, len(same))
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(similarity[:, None], same, sample_weight=weight)
    slope, intercept = fit_platt(similarity, same, weight)
    assert slope == pytest.approx(float(peer.coef_[0, 0]), rel=0.01)
    assert intercept == pytest.approx(float(peer.intercept_[0]), rel=0.01)


def test_separable_pairs_give_finite_odds() -> None:
    """Few pairs without any overlap must not claim certainty (Platt's targets)."""
    slope, intercept = fit_platt([0.1, 0.2, 0.3, 0.8, 0.9], [False, False, False, True, True])
    assert 0 < slope < 100
    assert 0.5 < 1 / (1 + np.exp(-(slope * 0.9 + intercept))) < 0.95


def test_pairs_of_one_kind_only_are_an_error() -> None:
    """There is nothing to calibrate."""
    with pytest.raises(ShelfHelpError, match="different ones"):
        fit_platt([0.5, 0.6], [True, True])


def shelves(count: int, spread: float, seed: int) -> list[Episode]:
    """Shelves of 30 products; the target stands on every other one."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        similarity = rng.normal(0.3, spread, 30)
        same = np.zeros(30, bool)
        if number % 2:
            same[0], similarity[0] = True, rng.normal(0.8, spread)
        found.append(Episode(similarity.astype(np.float32), same))
    return found


def test_absent_products_are_rarely_claimed() -> None:
    """On fresh shelves drawn alike, at most about the accepted share of absent targets passes *found*."""
    calibration = calibrate([shelves(400, 0.1, seed=3)], "drawn", false_claims=0.05)
    matcher = Matcher(calibration)
    fresh = shelves(400, 0.1, seed=4)
    best = [float(matcher.probability_same(e.similarity).max()) for e in fresh]
    absent = [p >= matcher.thresholds.found for p, e in zip(best, fresh, strict=True) if not e.same.any()]
    shown = [p >= matcher.thresholds.found for p, e in zip(best, fresh, strict=True) if e.same.any()]
    assert np.mean(absent) <= 0.1
    assert np.mean(shown) >= 0.9


@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.4), st.integers(0, 1000))
def test_thresholds_are_in_order(spread: float, seed: int) -> None:
    """*present* below *found*, both probabilities, however good or bad the encoder is."""
    thresholds = calibrate([shelves(20, spread, seed)], "drawn").thresholds
    assert 0 < thresholds["present"] < thresholds["found"] <= 0.95


def test_kinds_of_episodes_weigh_the_same() -> None:
    """Many episodes of one kind do not drown those of another."""
    few, many = shelves(20, 0.1, 5), shelves(400, 0.2, 6)
    once = calibrate([few, many], "drawn")
    again = calibrate([few, many * 2], "drawn")
    assert once.coefficients["similarity"] == pytest.approx(again.coefficients["similarity"], rel=0.02)


def test_episodes_leave_out_a_references_own_photo() -> None:
    """A reference is judged on shelves of other photographs."""
    similarity = np.arange(8, dtype=np.float32).reshape(2, 4)
    same = similarity % 2 == 0
    skip = np.array([[True, True, False, False], [False] * 4])
    found = episodes_of(similarity, same, ["a", "a", "b", "b"], skip)
    assert [e.similarity.tolist() for e in found] == [[2, 3], [4, 5], [6, 7]]
    assert found[0].same.tolist() == [True, False]
