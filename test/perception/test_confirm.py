"""How sure to be is one word, and changing it while the camera runs changes the decisions from the next frame on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawn_shelf import draw_pack, draw_shelf

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.pipeline import Pipeline, PipelineSettings
from shelfhelp_ros.sightings import Decision, Frame

NEVER, ALWAYS = {"found": 0.9999999, "found_alone": 0.9999999}, {"found": 0.5, "found_alone": 0.5}


@pytest.fixture
def pipeline(tiny_models, tmp_path):
    """One product enrolled, with a card whose cautious bar nothing reaches."""
    detector = Detector.load(tiny_models, "cpu", threads=1)
    loaded = Encoder.load(tiny_models, "cpu", threads=1)
    calibration = dataclasses.replace(loaded.calibration, confirm={"cautious": NEVER, "eager": ALWAYS})
    encoder = Encoder(dataclasses.replace(loaded.card, calibration=calibration), loaded.session)
    with Catalogue(tmp_path / "c.db") as catalogue:
        product = enrol(catalogue, detector, encoder, "pack 3", [draw_pack(3, 200, 210)]).product_id
        running = Pipeline(detector, encoder, catalogue, PipelineSettings(confirm="cautious"))
        running.set_target(product)
        yield running


def decisions(pipeline: Pipeline, first: int) -> list[Decision]:
    image = draw_shelf(list(range(12)))[0]
    frames = (Frame(step * 200_000_000, "camera", image) for step in range(first, first + 6))
    return [pipeline.process(frame).target.decision for frame in frames]


def test_the_word_changes_what_is_named(pipeline):
    """Nothing is named under a bar that nothing reaches; under a lower one, set while frames come, the product is."""
    assert Decision.FOUND not in decisions(pipeline, 0)
    pipeline.settings = dataclasses.replace(pipeline.settings, confirm="eager")
    assert Decision.FOUND in decisions(pipeline, 6)


def test_a_wrong_word_changes_nothing(pipeline):
    """It is refused with the words there are, and the settings stay."""
    with pytest.raises(ShelfHelpError, match="cautious, balanced, eager"):
        pipeline.settings = dataclasses.replace(pipeline.settings, confirm="very")
    assert pipeline.settings.confirm == "cautious"
    assert np.isclose(pipeline.matcher.thresholds.found, NEVER["found"])
