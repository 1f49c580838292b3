"""Calibration: probabilities that come true, thresholds that keep their promise, searches cut from the right pairs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from shelfhelp_ros.catalogue.matching import CONFIRM, Matcher, Thresholds
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import Calibration
from shelfhelp_training.calibration import (
    WRONG_NAMED,
    Claims,
    Episode,
    Situation,
    calibrate,
    claims,
    fit_platt,
    lowest_level,
    require_sense,
    weights,
)
from shelfhelp_training.data.crop_sources import Crop
from shelfhelp_training.evaluation.comparisons import Comparison


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


def shelves(count: int, spread: float, seed: int, crops: int = 30, products: int = 12) -> list[Episode]:
    """Shelves of products with vectors of their own; the target stands on every other one, and is then sold out."""
    rng = np.random.default_rng(seed)
    found: list[Episode] = []
    for number in range(count):
        similarity = rng.normal(0.3, spread, crops).astype(np.float32)
        same = np.zeros(crops, bool)
        names = {"product": f"p{number % products}", "family": f"f{number % products}", "photo": f"photo {number % 5}"}
        other = rng.normal(0.3, spread, crops).astype(np.float32)
        if there := bool(number % 2):
            same[0], similarity[0] = True, rng.normal(0.8, spread)
        situation = Situation.THERE if there else Situation.ELSEWHERE
        found.append(Episode(similarity, same, other, np.eye(crops, dtype=np.float32), situation, **names))
        if there and (empty := found[-1].sold_out()) is not None:
            found.append(empty)
    return found


def test_a_wrong_product_is_named_as_rarely_as_the_word_promises() -> None:
    """On fresh shelves drawn alike, searches end with a wrong product about as rarely as on those of the fit."""
    kinds = [shelves(1500, 0.12, seed=3)]
    calibration = calibrate(kinds, "drawn")
    fresh = [shelves(1500, 0.12, seed=4)]
    weight = weights(fresh)
    for word, wrong_named in WRONG_NAMED.items():
        thresholds = Thresholds.from_calibration(calibration, word)
        for known, level in ((False, thresholds.found_alone), (True, thresholds.found)):
            made = claims(fresh, calibration, thresholds.present, known).beyond(thresholds.found_alone)
            right, wrong = made.rates([level], weight)
            assert wrong[0] <= 2 * wrong_named + 0.002
            assert right[0] >= 0.25


def test_words_are_in_order() -> None:
    """The more cautious, the higher the bar, and never lower with nothing to compare with."""
    calibration = calibrate([shelves(400, 0.15, seed=3)], "drawn")
    cautious, balanced, eager = (Thresholds.from_calibration(calibration, word) for word in CONFIRM)
    assert cautious.found >= balanced.found >= eager.found
    assert cautious.found_alone > eager.found_alone
    for thresholds in (cautious, balanced, eager):
        assert thresholds.found_alone >= thresholds.found


@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.3), st.integers(0, 1000))
def test_thresholds_are_in_order(spread: float, seed: int) -> None:
    """*present* below *found*, both probabilities, however good or bad the encoder is."""
    thresholds = calibrate([shelves(80, spread, seed)], "drawn").thresholds
    assert 0 < thresholds["present"] < thresholds["found"] < 1


def test_the_best_of_many_is_worth_less() -> None:
    """On crowded shelves something resembles the target by chance; the fit learns it from views of both sizes."""
    calibration = calibrate([[*shelves(600, 0.15, 1, crops=4), *shelves(600, 0.15, 2, crops=60)]], "drawn")
    assert calibration.coefficients["log_in_view"] < -0.3
    matcher = Matcher(calibration)
    few, many = (float(matcher.probability_same(np.float32([0.6]), n)[0]) for n in (4, 60))
    assert few > many + 0.1


def test_shelves_of_one_size_do_not_make_a_full_shelf_a_sure_one() -> None:
    """The product sold out leaves one crop less: how many there are would tell everything, and no more than that."""
    episodes = shelves(60, 0.12, seed=5)
    whole = [e for e in episodes if e.situation is Situation.THERE and len(e.similarity) == 30]
    empty = [left for e in whole if (left := e.sold_out()) is not None]
    calibration = calibrate([whole + empty], "shelves of thirty")
    assert calibration.coefficients["log_in_view"] == 0
    assert require_sense(calibration).coefficients["similarity"] > 0


def test_kinds_and_situations_weigh_what_they_should() -> None:
    """Half of the weight is with the product, and many episodes of one kind do not drown those of another."""
    kinds = [shelves(20, 0.1, 5), shelves(400, 0.2, 6)]
    weight = weights(kinds)
    episodes = [e for kind in kinds for e in kind]
    shares = {s: sum(w for w, e in zip(weight, episodes, strict=True) if e.situation is s) for s in Situation}
    assert shares == pytest.approx({Situation.THERE: 0.5, Situation.SOLD_OUT: 0.25, Situation.ELSEWHERE: 0.25})
    assert weight[: len(kinds[0])].sum() == pytest.approx(0.5)


def test_without_the_sold_out_the_other_absences_take_their_share() -> None:
    """A prior of one half holds whatever the sets have."""
    kinds = [[e for e in shelves(40, 0.1, 5) if e.situation is not Situation.SOLD_OUT]]
    weight = weights(kinds)
    assert sum(w for w, e in zip(weight, kinds[0], strict=True) if e.same.any()) == pytest.approx(0.5)


def test_sold_out_takes_every_facing_away() -> None:
    """What is left is the shelf without the product; a shelf of nothing else is no search."""
    episode = shelves(2, 0.1, 0)[1]
    empty = episode.sold_out()
    assert empty is not None
    assert len(empty.similarity) == len(empty.other) == len(empty.vectors) == 29
    assert not empty.same.any()
    assert episode.only(np.array([0])).sold_out() is None


def test_the_lowest_level_keeps_its_promise() -> None:
    """Of ten equal searches three are named wrongly, at 0.95, 0.75 and 0.55."""
    level = np.array([0.95, 0.75, 0.55, 0.9, 0.9, 0.9, 0.9, 0.9, 0.0, 0.0])
    made = Claims(level, np.arange(10) >= 3, np.ones(10, bool))
    weight = np.full(10, 0.1)
    assert lowest_level(made, weight, 0.3) == 0.5
    assert lowest_level(made, weight, 0.2) == 0.56
    assert lowest_level(made, weight, 0.1) == 0.76
    assert lowest_level(made, weight, 0.0) == 0.96


def test_what_was_not_compared_has_its_own_bar() -> None:
    """Beyond a bar of 0.8 for crops without comparison, theirs no longer depend on the level."""
    made = Claims(np.array([0.7, 0.9, 0.7, 0.9]), np.ones(4, bool), np.array([True, True, False, False]))
    right, _ = made.beyond(0.8).rates([0.5, 0.95], np.ones(4))
    assert right.tolist() == [3, 1]


def crop(product: str, photo: str) -> Crop:
    family = product[0]
    return Crop(np.zeros((4, 4, 3), np.uint8), np.array([0, 0, 4, 4], np.float32), product, family, photo)


def test_a_reference_is_not_judged_on_its_own_photo() -> None:
    """Every crop is a reference on the other photographs alone; what it might be instead has a reference elsewhere."""
    crops = [crop("a1", "one"), crop("a2", "one"), crop("b1", "one"), crop("a1", "two"), crop("b1", "two")]
    vectors = np.eye(5, dtype=np.float32)
    similarity = np.arange(25, dtype=np.float32).reshape(5, 5)
    same = np.array([[p.product == q.product for q in crops] for p in crops])
    candidate = np.array([[p.photo != q.photo for q in crops] for p in crops])
    episodes = Comparison(crops, crops, similarity, same, candidate, vectors).episodes()
    searched = {(e.product, e.photo, e.situation) for e in episodes}
    assert ("a2", "two", Situation.ELSEWHERE) in searched
    assert not any(product == "a2" and photo == "one" for product, photo, _ in searched)
    there = next(e for e in episodes if (e.product, e.photo, e.situation) == ("a1", "two", Situation.THERE))
    assert there.similarity.tolist() == [15, 20]
    assert there.other.tolist() == [17, 22]
    assert there.same.tolist() == [True, False]
    strangers = Comparison(crops, crops, similarity, same, candidate, vectors).episodes(relatives=False)
    of_b = next(e for e in strangers if (e.product, e.photo, e.situation) == ("b1", "two", Situation.THERE))
    assert of_b.other.tolist() == [16, 21]


@pytest.mark.parametrize(("similarity", "crowd", "sensible"), [(14, -0.7, True), (14, 0.3, False), (-2, -0.7, False)])
def test_a_calibration_without_sense_is_refused(similarity: float, crowd: float, sensible: bool) -> None:
    """With a handful of searches every match would look certain."""
    fitted = Calibration({"similarity": similarity, "log_in_view": crowd}, -7.0, {}, "three photos")
    if sensible:
        assert require_sense(fitted) is fitted
    else:
        with pytest.raises(ShelfHelpError, match="too few searches"):
            require_sense(fitted)
