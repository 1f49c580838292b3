"""A second look at one crop: the same pack, a sibling of it, and what cannot be told."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.perception.likeness import compare, overlay
from shelfhelp_ros.perception.local_features import LocalFeatures, align, outline
from shelfhelp_ros.perception.text import TextReader, Word
from shelfhelp_ros.perception.text import available as text_available
from shelfhelp_ros.perception.verifier import CARD, Verifier, VerifierCard, View
from shelfhelp_ros.simulation.packs import draw_face, make_products


def family():
    """Two boxes of one family that differ in their flavour: the pictures differ in word, colour and drawing."""
    groups: dict[int, list] = {}
    for product in make_products(5, 60):
        if product.shape == "box":
            groups.setdefault(product.family, []).append(product)
    for members in groups.values():
        for one in members:
            for other in members:
                if one.flavour != other.flavour and one.flavour_colour != other.flavour_colour:
                    return one, other
    raise AssertionError("the seed has no family with two flavours")


def seen(picture, turn=8.0, light=0.8):
    """A picture as a camera sees it: turned, from the side, darker, blurred and noisy."""
    height, width = picture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target = source + np.array([[6, turn], [-4, 0], [-6, -turn], [4, -2]], np.float32)
    view = cv2.warpPerspective(picture, cv2.getPerspectiveTransform(source, target), (width, height))
    noise = np.random.default_rng(0).normal(0, 3, picture.shape)
    return np.clip(cv2.GaussianBlur(view, (0, 0), 1.0) * light + noise, 0, 255).astype(np.uint8), target


@pytest.fixture(scope="module")
def verifier():
    return Verifier.load(text=False)


@pytest.fixture(scope="module")
def siblings():
    return tuple(np.ascontiguousarray(draw_face(product, 420)) for product in family())


def test_the_place_of_a_reference_is_found(siblings):
    """Everything else rests on it: corners to within a few pixels, and no place for a picture that is not there."""
    crop, corners = seen(siblings[0])
    reference, features = LocalFeatures.of(siblings[0]), LocalFeatures.of(crop)
    alignment = align(reference, features)
    assert alignment is not None
    scale = features.size[0] / crop.shape[1]
    np.testing.assert_allclose(outline(reference.size, alignment.homography), corners * scale, atol=5)
    noise = np.random.default_rng(1).integers(0, 255, crop.shape, np.uint8)
    assert align(reference, LocalFeatures.of(noise)) is None


def test_the_product_is_more_alike_than_its_sibling(siblings):
    """Both can be laid over the crop; only one of them agrees with it in every place."""
    crop = LocalFeatures.of(seen(siblings[0])[0])
    likeness = []
    for picture in siblings:
        reference = LocalFeatures.of(picture)
        alignment = align(reference, crop)
        assert alignment is not None
        likeness.append(compare(overlay(reference, crop, alignment)))
    own, other = likeness
    assert own.structure > other.structure
    assert own.colour_worst < other.colour_worst


def test_light_is_no_difference(siblings):
    """Half the light, and a lamp that is yellower, leave the print of a pack what it is."""
    crop, _ = seen(siblings[0], light=0.5)
    warm = np.clip(crop * np.array([0.8, 1.0, 1.1]), 0, 255).astype(np.uint8)
    reference = LocalFeatures.of(siblings[0])
    found = LocalFeatures.of(warm)
    assert compare(overlay(reference, found, align(reference, found))).structure > 0.9


def test_a_sibling_is_doubted_more(verifier, siblings):
    """The whole point: the product is confirmed, and the log odds fall from it to its sibling."""
    crop = View(seen(siblings[0])[0])
    own, other = (verifier.look(crop, [View(picture)]) for picture in siblings)
    assert own.verified is True
    assert other.log_odds < own.log_odds - 1


def test_the_reference_that_agrees_best_counts(verifier, siblings):
    """A product may have several photos, of which one shows this side."""
    crop = View(seen(siblings[0])[0])
    alone = verifier.look(crop, [View(siblings[0])])
    both = verifier.look(crop, [View(siblings[1]), View(siblings[0])])
    assert both.log_odds == alone.log_odds


@pytest.mark.parametrize("size", [(1, 1), (24, 40), (72, 220)])
def test_what_is_too_small_is_left_open(verifier, siblings, size):
    """A slim or distant pack without features in common is neither confirmed nor refuted."""
    crop = np.full((size[1], size[0], 3), 120, np.uint8)
    crop[size[1] // 2 :] = 60
    look = verifier.look(View(crop), [View(siblings[0])])
    assert (look.log_odds, look.verified) == (None, None)


def test_a_detailed_pack_that_does_not_fit_is_refuted(verifier, siblings):
    """Another design in full view cannot be laid over the reference, which speaks against it."""
    products = [product for product in make_products(11, 40) if product.shape == "box"]
    others = (np.ascontiguousarray(draw_face(product, 420)) for product in products)
    rich = next(p for p in others if len(LocalFeatures.of(p)) >= 300 and min(p.shape[:2]) >= 140)
    reference = View(rich)
    noise = np.random.default_rng(2).integers(0, 255, (420, 300, 3), np.uint8)
    look = verifier.look(View(noise), [reference])
    assert look.log_odds < 0
    assert look.verified is not True


def test_no_reference(verifier, siblings):
    """A target without pictures is left as it was."""
    assert verifier.look(View(siblings[0]), []).log_odds is None


def test_a_damaged_card_is_one_clear_line(tmp_path):
    """A model folder from elsewhere must not end in a traceback."""
    (tmp_path / CARD).write_text("{}", encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="not the card of a verifier"):
        VerifierCard.load(tmp_path)
    card = json.loads((default_model_folder() / CARD).read_text(encoding="utf-8"))
    card["likeness"]["coefficients"]["smell"] = 1.0
    (tmp_path / CARD).write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="smell"):
        VerifierCard.load(tmp_path)


def test_a_folder_without_a_card_uses_the_packages_own(tmp_path):
    """Other networks need no verifier of their own."""
    assert VerifierCard.load(tmp_path) == VerifierCard.load()
    assert dataclasses.asdict(VerifierCard.load())["fitted_on"]


class Reading(TextReader):
    """Words by the picture they are on, so that no network has to read them."""

    def __init__(self, words):
        self._words = words

    def read(self, image):
        return self._words[id(image)]


@pytest.mark.skipif(not text_available(), reason="the extra `text` is not installed")
@pytest.mark.parametrize(("flavour", "refuted"), [("lemon", False), ("mint", True)])
def test_words_contradict_but_do_not_confirm(flavour, refuted):
    """Siblings share their brand, so words in common prove nothing; another flavour refutes."""
    reference, crop = (np.full((200, 150, 3), shade, np.uint8) for shade in (90, 120))
    said = {id(reference): "lipton lemon", id(crop): f"lipton {flavour}"}
    reader = Reading({key: tuple(Word(word, 0.1) for word in line.split()) for key, line in said.items()})
    look = Verifier(VerifierCard.load(), reader).look(View(crop), [View(reference)])
    assert look.verified is (False if refuted else None)
    assert look.words == ("lipton", flavour)
