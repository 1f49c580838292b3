"""Which of two look-alikes a crop shows: drawn siblings as a camera sees them, small, dark and turned."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.perception.telling_apart import Comparison, tell_apart
from shelfhelp_ros.perception.verifier import Surroundings, Verifier, View, compare_pair
from shelfhelp_ros.simulation.packs import draw_face, make_products


def families(differ, most=4):
    """Pairs of boxes of one family that differ in one field."""
    products = [product for product in make_products(5, 200) if product.shape == "box"]
    pairs = [
        (one, other)
        for one in products
        for other in products
        if one.family == other.family and one.id < other.id and getattr(one, differ) != getattr(other, differ)
    ]
    assert pairs
    return [tuple(View(np.ascontiguousarray(draw_face(p, 420))) for p in pair) for pair in pairs[:most]]


def photographed(picture, side, light=0.7, seed=0):
    """A picture of this shorter side as a camera sees it: turned, warmer, darker, noisy, with something around it."""
    height, width = picture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = source + np.array([[6, 8], [-4, 0], [-6, -8], [4, -2]], np.float32)
    view = cv2.warpPerspective(picture, cv2.getPerspectiveTransform(source, target), (width, height))
    scale = side / min(height, width)
    small = cv2.resize(view, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    lit = small * light * np.array([0.9, 1.0, 1.05]) + np.random.default_rng(seed).normal(0, 3, small.shape)
    return View(np.clip(lit, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("side", [60, 90, 150])
def test_flavours_are_told_from_far(side):
    """A distant pack: the words are gone, the colours and the picture of the flavour are not."""
    for one, other in families("flavour"):
        for first, second, sign in ((one, other, 1), (other, one, -1)):
            compared = compare_pair(photographed(one.image, side), [first], [second])
            assert compared is not None
            assert sign * compared.side > 0.5


def test_the_two_are_symmetric():
    """With the references exchanged, a crop is on the other side by as much: neither has the advantage of its place."""
    for one, other in families("flavour"):
        crop = photographed(one.image, 120)
        there, back = compare_pair(crop, [one], [other]), compare_pair(crop, [other], [one])
        assert there is not None
        assert back is not None
        assert there.side == pytest.approx(-back.side, abs=0.1)


def test_light_is_no_difference():
    """Bright or dark, a crop stays on its side."""
    one, other = families("flavour")[0]
    sides = [compare_pair(photographed(one.image, 120, light), [one], [other]).side for light in (0.4, 1.0)]
    assert min(sides) > 0.5


def test_what_does_not_differ_from_there_is_left_open():
    """The same picture twice, or a small word on a distant pack: nothing is told rather than guessed."""
    one, _ = families("flavour")[0]
    assert compare_pair(photographed(one.image, 120), [one], [View(one.image.copy())]) is None
    for one, other in families("quantity"):
        assert compare_pair(photographed(one.image, 60), [one], [other]) is None


def with_quantities():
    """Pairs of boxes on whose fronts different quantities are printed."""
    return [pair for pair in families("quantity", most=40) if np.abs(difference(*pair)).any()][:4]


def difference(one, other):
    return one.image.astype(int) - cv2.resize(other.image, one.image.shape[1::-1]).astype(int)


def test_a_printed_quantity_is_told_from_near():
    """A line of small print on a pack that is held before the camera; from afar it is left open, see above."""
    told = []
    for one, other in with_quantities():
        compared = [compare_pair(photographed(one.image, 250), *pair) for pair in (([one], [other]), ([other], [one]))]
        assert all(c is None or sign * c.agreement > -0.1 for c, sign in zip(compared, (1, -1), strict=True))
        told += [c is not None and abs(c.agreement) > 0.5 for c in compared]
    assert sum(told) >= len(told) / 2


def test_what_fingers_hide_says_nothing():
    """Skin is as far from either print; the nearer of the two by chance is not what the pack is."""
    for one, other in with_quantities():
        crop = photographed(one.image, 250)
        rows = np.abs(difference(one, other)).sum(axis=(1, 2)).nonzero()[0] * crop.image.shape[0] // one.image.shape[0]
        crop.image[max(0, rows[0] - 12) : rows[-1] + 12] = (110, 140, 200)
        compared = compare_pair(View(crop.image), [one], [other])
        assert compared is None or abs(compared.agreement) < 0.2


def test_a_box_that_cuts_the_pack_short_is_no_loss():
    """The place is found by what is in the box; what differs may lie outside of it, in the picture about it."""
    one, other = with_quantities()[0]
    whole = photographed(one.image, 250)
    half = np.ascontiguousarray(whole.image[: whole.image.shape[0] * 2 // 3])
    assert compare_pair(View(half), [one], [other]) is None
    around = compare_pair(View(half, Surroundings(whole.image, (0, 0))), [one], [other])
    assert around is not None
    assert around.agreement == pytest.approx(compare_pair(whole, [one], [other]).agreement, abs=0.3)


def test_surroundings_know_where_the_box_begins():
    """Half of its sides more about it, cut to the picture."""
    image = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    around = Surroundings.of(image, np.array([20, 10, 60, 90], np.float32))
    x, y = around.corner
    assert (x, y) == (20, 10)
    assert around.picture.shape == (100, 80, 3)
    assert (around.picture[y : y + 80, x : x + 40] == image[10:90, 20:60]).all()
    assert Surroundings.of(image, np.array([300, 10, 320, 90], np.float32)) is None


def test_a_crop_without_either_is_left_open():
    """Noise, another design, or a crop too small to hold anything."""
    one, other = families("flavour")[0]
    noise = np.random.default_rng(1).integers(0, 255, (90, 60, 3), np.uint8)
    for crop in (noise, np.zeros((90, 60, 3), np.uint8), noise[:4, :4]):
        assert compare_pair(View(np.ascontiguousarray(crop)), [one], [other]) is None
    assert compare_pair(photographed(one.image, 120), [], [other]) is None
    assert tell_apart(noise, np.diag([1e-3, 1e-3, 1.0]), one.features, other.features, np.eye(3)) is None


def test_the_pair_that_lies_in_the_crop_is_used():
    """Of several photos of either product those of another side of the pack cannot be laid over the crop."""
    (one, other), (back, _) = families("flavour", most=40)[0], families("flavour", most=40)[-1]
    crop = photographed(one.image, 120)
    assert compare_pair(crop, [back, one], [other, back]).side > 0.5


@given(st.floats(-3, 3), st.floats(0, 20))
def test_agreement_is_odd_and_bounded(side, spread):
    """What can be relied on less counts less, and a crop beyond a reference less than that reference itself."""
    value = Comparison(side, spread).agreement
    assert Comparison(-side, spread).agreement == -value
    assert abs(value) <= Comparison(1.0, spread).agreement
    assert value == 0 or np.sign(value) == np.sign(side)
    assert abs(Comparison(side, spread + 1).agreement) <= abs(value)


def test_the_verifier_says_it_in_log_odds():
    """Beyond the card's yes or no, or nothing: a shade would choose between two products."""
    verifier = Verifier.load()
    for one, other in families("flavour"):
        crop = photographed(one.image, 90)
        assert verifier.between(crop, [one], [other]) >= verifier.card.yes
        assert verifier.between(crop, [other], [one]) <= verifier.card.no
    assert Verifier(verifier.card, likeness=False).between(crop, [one], [other]) is None
