"""One product in one picture."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_shelf import draw_pack, draw_shelf

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import Matcher, Verdict
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.finding import Scene, find_product
from shelfhelp_ros.perception.target import Target


@pytest.fixture(scope="module")
def models(tiny_models):
    return Detector.load(tiny_models, "cpu", threads=1), Encoder.load(tiny_models, "cpu", threads=1)


@pytest.mark.parametrize("number", [0, 4, 7])
def test_found_where_it_is(models, number):
    """The right pack of eight is found, and a pack that is not there is not."""
    detector, encoder = models
    image, boxes = draw_shelf(list(range(8)))
    scene = Scene.look(image, detector, encoder)
    target = Target("", "", encoder.embed([draw_pack(number, 220, 200)]))
    match = find_product(scene, target, Matcher(encoder.calibration))
    assert match.verdict is Verdict.FOUND
    assert iou(scene.detections.boxes[match.best][None], boxes)[0].argmax() == number
    missing = Target("", "", encoder.embed([draw_pack(10, 220, 200)]))
    assert find_product(scene, missing, Matcher(encoder.calibration)).verdict is Verdict.ABSENT


def test_catalogue_brings_rivals(models, tmp_path):
    """A crop that is another catalogue product is not taken for the target it resembles."""
    detector, encoder = models
    image, _ = draw_shelf([7])
    lookalike = draw_pack(7, 220, 200)
    lookalike[:110] = (lookalike[:110] * 0.55).astype(np.uint8)
    with Catalogue(tmp_path / "c.db") as catalogue:
        enrol(catalogue, detector, encoder, "the real one", [draw_pack(7, 220, 200)])
        wanted = enrol(catalogue, detector, encoder, "lookalike", [lookalike]).product_id
        index = Index.open(catalogue, encoder.card.sha256)
    scene = Scene.look(image, detector, encoder)
    target = Target(wanted, "lookalike", index.of_product(wanted), wanted)
    matcher = Matcher(encoder.calibration)
    alone, rivalled = find_product(scene, target, matcher), find_product(scene, target, matcher, index)
    assert rivalled.probabilities[0] < alone.probabilities[0] - 0.2
    assert rivalled.verdict is not Verdict.FOUND
