"""How far a comparison of two look-alikes is trusted: contests from shelves, and the fit."""

from __future__ import annotations

import numpy as np
import pytest

from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.finding import Scene, views_of
from shelfhelp_ros.sightings import Detections
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.evaluation.contests import Contest, contests_of, fit_between
from shelfhelp_training.evaluation.lookalikes import LookalikeSet, Reference, Shelf


def test_the_odds_are_those_of_the_contests():
    """Nine of ten on the right side, all equally clear: log odds of nine; kinds count alike, however many they are."""
    right, wrong = Contest("a", 1.0), Contest("a", -1.0)
    assert fit_between([right] * 90 + [wrong] * 10).log_odds({"agreement": 1.0}) == pytest.approx(np.log(9), abs=0.1)
    other = [Contest("b", 1.0)] * 500 + [Contest("b", -1.0)] * 500
    mixed = fit_between([right] * 90 + [wrong] * 10 + other).log_odds({"agreement": 1.0})
    assert mixed == pytest.approx(np.log(0.7 / 0.3), abs=0.1)


def test_the_fit_is_symmetric_and_bounded():
    """With the products exchanged the log odds change their sign; chance agreement is never ruled out."""
    evidence = fit_between([Contest("a", 1.0)] * 100)
    assert evidence.log_odds({"agreement": 0.0}) == 0.0
    assert evidence.log_odds({"agreement": 50.0}) == -evidence.log_odds({"agreement": -50.0}) == 3.0
    with pytest.raises(ShelfHelpError, match="nothing to fit on"):
        fit_between([])


def test_contests_of_a_shelf():
    """A crop stands between its own product and the sibling that it resembles most; what stands alone, in none."""
    products = [product for product in make_products(5, 200) if product.shape == "box"]
    one, other = next(
        (a, b) for a in products for b in products if a.family == b.family and a.flavour != b.flavour and a.id < b.id
    )
    faces = {product.id: np.ascontiguousarray(draw_face(product, 300)) for product in (one, other)}
    height = max(face.shape[0] for face in faces.values())
    canvas = np.full((height + 40, 60 + sum(face.shape[1] for face in faces.values()), 3), 90, np.uint8)
    boxes, left = [], 20
    for face in faces.values():
        canvas[20 : 20 + face.shape[0], left : left + face.shape[1]] = face
        boxes.append([left, 20, left + face.shape[1], 20 + face.shape[0]])
        left += face.shape[1] + 20
    encoder = Encoder.load()
    boxes = np.array(boxes, np.float32)
    scene = Scene(Detections(boxes, np.ones(2, np.float32)), encoder.embed_boxes(canvas, boxes))
    names = tuple(f"drawn/{name}" for name in faces)
    shelf = Shelf("shelf", canvas, scene, names, frozenset(names), views=views_of(canvas, scene))
    references = [Reference(face, f"drawn/{name}", "packshot") for name, face in faces.items()]
    asked = LookalikeSet("drawn", "", ())
    matcher, rng = Matcher(encoder.calibration), np.random.default_rng(0)
    found = contests_of(asked, [shelf], references, encoder, matcher, 10, rng)
    assert [contest.kind for contest in found] == ["drawn", "drawn"]
    assert all(contest.agreement > 0.5 for contest in found)
    assert contests_of(asked, [shelf], references[:1], encoder, matcher, 10, rng) == []
