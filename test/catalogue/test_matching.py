"""Found, ambiguous or absent: golden cases of the decision, and properties of the probability."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shelfhelp_ros.catalogue.matching import (
    CONFIRM,
    Matcher,
    Standing,
    Thresholds,
    Verdict,
    Verification,
    both_log_odds,
    for_family,
    posterior,
    reference_similarity,
    shared_out,
    sigmoid,
)
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import Calibration

# Even odds at a cosine of 0.6; 0.75 is sure, 0.45 is surely not.
CALIBRATION = Calibration(
    {"similarity": 20.0}, -12.0, {"found": 0.7, "present": 0.3, "ambiguous_margin": 0.15}, "golden"
)
MATCHER = Matcher(CALIBRATION)
COSINES = st.floats(-1, 1, width=32)


def crops(alike: list[list[float]]) -> np.ndarray:
    """Unit vectors with the given cosines to each other, from their Gram matrix."""
    values, vectors = np.linalg.eigh(np.array(alike))
    assert (values > -1e-6).all(), "no vectors have these cosines"
    return (vectors * np.sqrt(np.clip(values, 0, None))).astype(np.float32)


def apart(count: int) -> np.ndarray:
    """Crops of products that have nothing in common."""
    return np.eye(count, dtype=np.float32)


def decide(embeddings, target, other=None, prefer=None):
    other = [-1.0] * len(target) if other is None else other
    return MATCHER.decide(embeddings, np.array(target, np.float32), np.array(other, np.float32), prefer)


def test_packs_of_two_sizes_are_two_products():
    """Protects the person from the half litre that looks like the litre: alike as two facings, but larger both ways."""
    embeddings = crops([[1, 0.9, 0.9], [0.9, 1, 0.9], [0.9, 0.9, 1]])
    target, other = np.array([0.8, 0.79, 0.78], np.float32), np.full(3, -1, np.float32)
    row = [0.1, 0.085, 0.1]
    for sizes, levels, same in (
        ([[0.07, 0.2], [0.081, 0.232], [0.071, 0.201]], row, [True, False, True]),
        ([[0.07, 0.2], [0.06, 0.17], [0.071, 0.201]], row, [True, False, True]),
        # Of one that stands behind another only a part is seen, one way; and what is not known tells nothing.
        ([[0.07, 0.2], [0.07, 0.1], [0.03, 0.201]], row, [True, True, True]),
        ([[0.07, 0.2], [0.055, 0.26], [np.nan, np.nan]], row, [True, True, True]),
        ([[np.nan, np.nan], [0.081, 0.232], [0.071, 0.201]], row, [True, True, True]),
        ([[0.07, 0.2], [0.081, 0.232], [0.071, 0.201]], [0.1, 0.4, 0.1], [True, True, True]),
        ([[0.07, 0.2], [0.081, 0.232], [0.071, 0.201]], [0.1, np.nan, 0.1], [True, True, True]),
    ):
        standing = Standing(np.array(sizes, np.float32), np.array(levels, np.float32))
        match = MATCHER.decide(embeddings, target, other, standing=standing)
        assert match.same.tolist() == same
        wanted = (Verdict.FOUND, None) if all(same) else (Verdict.AMBIGUOUS, 1)
        assert (match.verdict, match.runner_up) == wanted


def test_facings_that_show_each_another_side_are_one_product():
    """Protects against two cans being taken for look-alikes because each is turned to the side of another photo."""
    vectors = crops([[1, 0.6, 0.85, 0.65], [0.6, 1, 0.65, 0.85], [0.85, 0.65, 1, 0.75], [0.65, 0.85, 0.75, 1]])
    references, embeddings = vectors[:2], vectors[2:]
    target, other = reference_similarity(embeddings, references), np.full(2, -1, np.float32)
    assert MATCHER.decide(embeddings, target, other).rivalled
    match = MATCHER.decide(embeddings, target, other, references=references)
    assert match.same.all()
    assert match.verdict is Verdict.FOUND


def test_clear_match():
    """One crop is like the target, the others are not."""
    match = decide(apart(3), [0.2, 0.8, 0.3])
    assert (match.verdict, match.best, match.rivalled) == (Verdict.FOUND, 1, False)
    assert match.probabilities[1] == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-4)
    assert match.ranked(0.3) == [1]


def test_nothing_like_it():
    """No crop reaches the threshold of presence, and no crop at all."""
    assert decide(apart(3), [0.2, 0.1, 0.5]).verdict is Verdict.ABSENT
    empty = decide(np.zeros((0, 4), np.float32), [])
    assert (empty.verdict, empty.best, empty.ranked(0.3)) == (Verdict.ABSENT, None, [])


def test_likely_but_not_sure():
    """Between present and found the product is not named, though nothing rivals it."""
    match = decide(apart(2), [0.6, 0.1])
    assert (match.verdict, match.best, match.rivalled) == (Verdict.AMBIGUOUS, 0, False)


def test_two_products_too_alike():
    """A different product in view that is about as likely makes the choice ambiguous and is named."""
    match = decide(apart(3), [0.80, 0.1, 0.78])
    assert (match.verdict, match.best, match.runner_up, match.rivalled) == (Verdict.AMBIGUOUS, 0, 2, True)


def test_equally_poor_is_not_too_alike():
    """Crops that are all a little like the target leave it unsure; they are no two products too alike to choose."""
    match = decide(apart(3), [0.58, 0.57, 0.57])
    assert (match.verdict, match.rivalled) == (Verdict.AMBIGUOUS, False)


def test_weaker_rival_does_not_matter():
    """A different product that is clearly less likely leaves the target found."""
    match = decide(apart(2), [0.80, 0.62])
    assert (match.verdict, match.best, match.runner_up) == (Verdict.FOUND, 0, 1)


def test_facings_are_no_rivals():
    """Three facings of one product are alike among themselves: found, with no rival, the likeliest chosen."""
    alike = [[1, 0.95, 0.93, 0.1], [0.95, 1, 0.94, 0.1], [0.93, 0.94, 1, 0.1], [0.1, 0.1, 0.1, 1]]
    match = decide(crops(alike), [0.80, 0.82, 0.79, 0.2])
    assert (match.verdict, match.best, match.runner_up) == (Verdict.FOUND, 1, 3)
    assert match.same.tolist() == [True, True, True, False]
    assert match.ranked(0.3) == [1, 0, 2]


def test_choice_sticks_among_facings():
    """The facing chosen before is kept while another is a little likelier, and given up when it is much likelier."""
    alike = [[1, 0.95], [0.95, 1]]
    assert decide(crops(alike), [0.80, 0.82], prefer=0).best == 0
    assert decide(crops(alike), [0.66, 0.85], prefer=0).best == 1


def test_choice_does_not_stick_to_another_product():
    """What was chosen before is given up when it turns out to be a different, less likely product."""
    assert decide(apart(2), [0.70, 0.85], prefer=0).best == 1


def test_near_duplicate_in_view():
    """Two flavours that resemble each other less than each resembles the reference are rivals, not facings."""
    match = decide(crops([[1, 0.7], [0.7, 1]]), [0.82, 0.81])
    assert (match.verdict, match.rivalled) == (Verdict.AMBIGUOUS, True)


def test_rival_in_the_catalogue():
    """A crop about as similar to another catalogue product is ambiguous; one more similar to it is not the target."""
    close = decide(apart(1), [0.80], [0.79])
    assert (close.verdict, close.rivalled, close.runner_up) == (Verdict.AMBIGUOUS, True, None)
    assert decide(apart(1), [0.70], [0.90]).verdict is Verdict.ABSENT
    assert decide(apart(1), [0.80], [0.50]).verdict is Verdict.FOUND


def test_unembedded_crops_are_like_nothing():
    """A zero row, as a degenerate box gives, is never chosen and never the same as anything."""
    embeddings = np.zeros((2, 3), np.float32)
    embeddings[0, 0] = 1
    match = decide(embeddings, [0.8, 0.0])
    assert match.same.tolist() == [True, False]
    assert match.best == 0


@given(COSINES, COSINES, st.floats(0, 0.5, width=32))
def test_probability_is_monotone(target, other, step):
    """More like the target is likelier; more like another product is less likely; alone it is the plain calibration."""
    probability = MATCHER.probability
    one, two = np.float32([target]), np.float32([other])
    assert 0 <= probability(one, two)[0] <= 1
    assert probability(one + step, two)[0] >= probability(one, two)[0] - 1e-6
    assert probability(one, two + step)[0] <= probability(one, two)[0] + 1e-6
    assert probability(one, two)[0] <= MATCHER.probability_same(one)[0] + 1e-6
    np.testing.assert_allclose(probability(one, np.float32([-1])), MATCHER.probability_same(one), atol=1e-4)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_the_cases_are_exclusive(first, second):
    """Target, the other product and neither: their probabilities sum to one."""
    first, second = np.float32([first]), np.float32([second])
    neither = 1 / (1 + np.exp(np.float64(first)) + np.exp(np.float64(second)))
    np.testing.assert_allclose(posterior(first, second) + posterior(second, first) + neither, 1, atol=1e-5)


def test_sigmoid_does_not_overflow():
    """Extreme values are 0 and 1, without a warning."""
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(sigmoid(np.float32([-500, 0, 500])), [0, 0.5, 1], atol=1e-30)


def test_reference_similarity():
    """The best of several references counts; a product without references is like nothing."""
    out = reference_similarity(np.eye(2, dtype=np.float32), np.array([[1, 0], [0.6, 0.8]], np.float32))
    np.testing.assert_allclose(out, [1, 0.8])
    assert reference_similarity(apart(2), np.zeros((0, 2), np.float32)).tolist() == [-1, -1]


def test_thresholds_fall_back():
    """What a card leaves out has a sensible value, and present never exceeds found."""
    assert Thresholds.from_calibration(None) == Thresholds()
    given_found = dataclasses.replace(CALIBRATION, thresholds={"found": 0.2})
    assert Thresholds.from_calibration(given_found) == Thresholds(found=0.2, present=0.2)


def test_nothing_to_compare_with_needs_more():
    """A crop that no other product was compared with has a bar of its own, for it may be an unknown look-alike."""
    matcher = Matcher(CALIBRATION, Thresholds(found=0.7, found_alone=0.99))
    target = np.float32([0.75])
    alone = matcher.decide(apart(1), target, np.float32([-1]))
    strangers = matcher.decide(apart(1), target, np.float32([0.2]))
    compared = matcher.decide(apart(1), target, np.float32([0.6]))
    assert (alone.verdict, alone.rivalled) == (Verdict.AMBIGUOUS, False)
    assert strangers.verdict is Verdict.AMBIGUOUS
    assert compared.verdict is Verdict.FOUND
    assert matcher.decide(apart(1), np.float32([0.9]), np.float32([-1])).verdict is Verdict.FOUND


def test_a_word_chooses_the_thresholds():
    """Each word has those of the card; a card without words has the same for each, and any other word is refused."""
    words = {"cautious": {"found": 0.95, "found_alone": 0.99}, "eager": {"found": 0.5}}
    calibration = dataclasses.replace(CALIBRATION, confirm=words)
    assert Matcher(calibration, confirm="cautious").thresholds == Thresholds(0.95, 0.3, 0.15, 0.99)
    assert Matcher(calibration, confirm="eager").thresholds == Thresholds(0.5, 0.3, 0.15)
    assert Matcher(calibration).thresholds == Thresholds(0.7, 0.3, 0.15)
    assert {Thresholds.from_calibration(CALIBRATION, word) for word in CONFIRM} == {Thresholds(0.7, 0.3, 0.15)}
    with pytest.raises(ShelfHelpError, match="cautious, balanced, eager"):
        Matcher(calibration, confirm="sure")


def test_the_best_of_many_is_worth_less():
    """With a card that says so, the same similarity is less among many products than among few."""
    calibration = dataclasses.replace(CALIBRATION, coefficients={"similarity": 20.0, "log_in_view": -1.0})
    matcher = Matcher(calibration)
    few, many = (
        matcher.decide(apart(n), np.float32([0.8] + [0.1] * (n - 1)), np.zeros(n, np.float32)) for n in (2, 40)
    )
    assert few.probabilities[0] == pytest.approx(1 / (1 + np.exp(-(16 - 12 - np.log(2)))), abs=1e-4)
    assert many.probabilities[0] == pytest.approx(1 / (1 + np.exp(-(16 - 12 - np.log(40)))), abs=1e-4)
    assert (few.verdict, many.verdict) == (Verdict.FOUND, Verdict.AMBIGUOUS)


def test_calibrations_that_cannot_be_used():
    """No calibration, or one over features this version does not compute, is refused at once."""
    with pytest.raises(ShelfHelpError, match="no calibration"):
        Matcher(None)
    with pytest.raises(ShelfHelpError, match="over inliers, similarity"):
        Matcher(dataclasses.replace(CALIBRATION, coefficients={"similarity": 1.0, "inliers": 2.0}))


def test_a_second_look_refutes_and_leaves_alone():
    """Doubt of a second look turns found into not found; where it could not tell, nothing changes."""
    embeddings, similarity, other = np.eye(2, 4, dtype=np.float32), np.float32([0.95, 0.1]), np.float32([-1, -1])
    plain = MATCHER.decide(embeddings, similarity, other)
    silent = MATCHER.decide(embeddings, similarity, other, verification=Verification.none(2))
    assert plain.verdict is silent.verdict is Verdict.FOUND
    np.testing.assert_array_equal(plain.probabilities, silent.probabilities)
    sure = MATCHER.decide(embeddings, similarity, other, verification=seen([6.0, np.inf]))
    assert sure.verdict is Verdict.FOUND
    refuted = MATCHER.decide(embeddings, similarity, other, verification=seen([-6.0, np.inf]))
    assert refuted.verdict is Verdict.ABSENT


def test_a_second_look_settles_between_siblings():
    """Two products of the catalogue that are equally like the crop: the one that the look confirms is the one."""
    embeddings, similarity, other = np.eye(1, 4, dtype=np.float32), np.float32([0.9]), np.float32([0.9])
    assert MATCHER.decide(embeddings, similarity, other).verdict is Verdict.AMBIGUOUS
    mine = MATCHER.decide(embeddings, similarity, other, verification=seen([6.0], [-6.0]))
    assert mine.verdict is Verdict.FOUND
    theirs = MATCHER.decide(embeddings, similarity, other, verification=seen([-6.0], [6.0]))
    assert theirs.verdict is Verdict.ABSENT


def test_a_second_look_knows_the_family_too():
    """A crop that agrees with the reference place by place is of its family, though the encoder was not sure; what
    speaks against the very product leaves the encoder's word."""
    embeddings, similarity, other = np.eye(1, 4, dtype=np.float32), np.float32([0.78]), np.float32([-1])
    plain, yes, no = (
        float(MATCHER.decide(embeddings, similarity, other, verification=seen([value])).probabilities[0])
        for value in (np.inf, 6.0, -1.0)
    )
    assert no < plain < yes
    assert for_family(np.float32([6.0, -6.0, np.inf]), np.float32([np.inf] * 3)).tolist() == [2.0, 0.0, 0.0]


def test_what_speaks_for_a_family_prefers_none_of_it():
    """Of two siblings one could be laid over the crop and the other not: that is no reason to name the one."""
    embeddings, similarity, other = np.eye(1, 4, dtype=np.float32), np.float32([0.7]), np.float32([0.7])
    for target, rival in (([6.0], [np.inf]), ([np.inf], [6.0]), ([6.0], [6.0])):
        match = MATCHER.decide(embeddings, similarity, other, verification=seen(target, rival))
        assert match.verdict is Verdict.AMBIGUOUS
        assert match.probabilities[0] == pytest.approx(0.5, abs=0.05)


@given(
    hnp.arrays(np.float32, 3, elements=st.floats(-6, 6, width=32)),
    hnp.arrays(np.float32, 3, elements=st.floats(-6, 6, width=32)),
    hnp.arrays(np.float32, 3, elements=st.floats(-4, 4, width=32)),
)
def test_what_tells_two_apart_does_not_make_them_likelier(first, second, between):
    """Odds go from the one to the other: their sum stays, and with the two exchanged they are exchanged."""
    one, other = shared_out(first, second, between)
    np.testing.assert_allclose(np.logaddexp(one, other), np.logaddexp(first, second), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one - other, first - second + between, rtol=1e-4, atol=1e-3)
    other_way = shared_out(second, first, -between)
    np.testing.assert_allclose(np.stack([other, one]), np.stack(other_way), rtol=1e-4, atol=1e-4)


def test_siblings_are_told_by_where_they_differ():
    """Equally alike to the encoder: the comparison of both with the crop decides, where it can."""
    embeddings, similarity, other = np.eye(1, 4, dtype=np.float32), np.float32([0.9]), np.float32([0.9])
    mine, open_, theirs = (
        MATCHER.decide(embeddings, similarity, other, verification=seen([np.inf], between=[value])).verdict
        for value in (3.0, 0.0, -3.0)
    )
    assert (mine, open_, theirs) == (Verdict.FOUND, Verdict.AMBIGUOUS, Verdict.ABSENT)


def test_rivals_are_those_that_it_may_be_as_well():
    """A product far less alike than the first one is not compared."""
    assert MATCHER.rivals([(0.9, "a"), (0.88, "b"), (0.3, "c")]) == ("a", "b")
    assert MATCHER.rivals([]) == ()


def test_both_have_to_hold():
    """The probability of the product is that of its family times that of the variety; what is open takes nothing."""
    family, variety = np.float32([0.8, 0.3]), np.float32([0.5, 0.9])
    log_odds = [np.log(p / (1 - p)) for p in (family, variety)]
    np.testing.assert_allclose(sigmoid(both_log_odds(*log_odds)), family * variety, rtol=1e-5)
    np.testing.assert_allclose(both_log_odds(log_odds[0], np.float32([np.inf] * 2)), log_odds[0], rtol=1e-5)


def seen(target, other=None, between=None):
    nothing = Verification.none(len(target))
    return Verification(
        np.float32(target),
        nothing.other if other is None else np.float32(other),
        nothing.between if between is None else np.float32(between),
    )
