"""A camera that pans over a photograph of a real shelf, with the shipped models."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.pipeline import Pipeline
from shelfhelp_ros.sightings import Decision, Frame

FRAME_NS = 200_000_000
SCALE = 0.75
# The Nesquik of scene m2, in pixels of the photo (test/data/unibo_cereals.yaml).
NESQUIK = np.array([0, 80, 355, 530], np.float32) * SCALE


@pytest.fixture(scope="module")
def models(shipped_models):
    return Detector.load(shipped_models, "cpu"), Encoder.load(shipped_models, "cpu")


@pytest.fixture
def pipeline(models, photos, tmp_path):
    with Catalogue(tmp_path / "c.db") as catalogue:
        for number in (0, 1, 11, 24):
            packshot = load_image(photos / "unibo_cereals" / "models" / f"{number}.jpg")
            enrol(catalogue, *models, f"packshot {number}", [packshot])
        yield Pipeline(*models, catalogue)


def pan(photos, steps: int):
    """Frames of 640×460 from right to left over scene m2, and where each begins."""
    scene = load_image(photos / "unibo_cereals" / "scenes" / "m2.png")
    scene = cv2.resize(scene, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
    for step, left in enumerate(np.linspace(120, 0, steps).astype(int)):
        yield Frame(step * FRAME_NS, "camera", np.ascontiguousarray(scene[:460, left : left + 640])), left


def test_the_pack_is_found_and_followed(pipeline, photos):
    """The pack is found and keeps its id while the camera moves into whole view."""
    pipeline.set_target("packshot 0")
    ids, decisions = set(), []
    for frame, left in pan(photos, 12):
        target = pipeline.process(frame).target
        decisions.append(target.decision)
        if target.decision is Decision.FOUND:
            expected = NESQUIK - np.float32([left, 0, left, 0])
            assert iou(target.product.box[None], expected[None])[0, 0] >= 0.5
            ids.add(target.product.track_id)
    assert decisions.count(Decision.FOUND) >= 9, decisions
    assert len(ids) == 1


def test_a_pack_that_is_not_there_is_not_claimed(pipeline, photos):
    """A pack of another shelf is never found on this one."""
    pipeline.set_target("packshot 24")
    decisions = [pipeline.process(frame).target.decision for frame, _ in pan(photos, 8)]
    assert Decision.FOUND not in decisions
