"""How a person wants to be spoken to: units, hours of the clock, places from the body, few words or many."""

from __future__ import annotations

import re

import pytest
from guide_driver import PHRASES, Driver

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings

AT, FAR_HAND, NEAR_HAND = (0.3, 0.0, 0.8), (0.0, 0.0, 0.4), (0.1, 0.0, 0.75)


def first_direction(hand, planner=WorstAxisFirst, **manner):
    """The first direction that a person of this manner hears."""
    driver = Driver(Guide(GuidanceSettings(**manner), PHRASES, planner))
    driver.start()
    driver.watch(8.0, at=AT, hand=hand)
    return next(said for _, said in driver.said if said.is_direction)


@pytest.mark.parametrize(
    ("manner", "text"),
    [
        ({}, "About a foot to the right."),
        ({"units": "metric"}, "30 centimetres to the right."),
        ({"units": "hands"}, "3 hand-widths to the right."),
        ({"directions": "clock"}, "About a foot towards three o'clock."),
        ({"relative_to": "body"}, "It is to your right, about 3 feet away, level with the camera."),
        (
            {"relative_to": "body", "directions": "clock"},
            "It is at one o'clock, about 3 feet away, level with the camera.",
        ),
        ({"verbosity": "brief"}, "Right about a foot."),
        ({"verbosity": "full"}, "Move your hand about a foot to the right."),
    ],
)
def test_the_same_way_in_every_manner(manner, text):
    """Words differ; the axis and the distance that others go by do not."""
    said = first_direction(FAR_HAND, **manner)
    assert (said.text, said.axis, round(said.distance, 3)) == (text, "x", 0.3)


def test_near_the_product_the_hand_is_corrected_whatever_the_manner():
    """A place does not bring a hand the last centimetres."""
    assert first_direction(NEAR_HAND, relative_to="body").text == "6 inches to the right."


def test_the_planner_of_sentences_speaks_in_the_manner_too():
    """A pair across and down is one movement towards an hour, in hand-widths."""
    said = first_direction((0.0, 0.25, 0.75), PhrasePlanner, units="hands", directions="clock")
    assert re.fullmatch(r"\d hand-widths towards (one|two) o'clock\.", said.text)
