"""Sentences for movements and doubts: the right side, the right words."""

from __future__ import annotations

import math

import pytest
from guide_driver import PHRASES, product, sighting
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.planner import Move, Offset
from shelfhelp_ros.guidance.wording import direction, doubt
from shelfhelp_ros.sightings import Decision

HAND = Offset("hand", 0.0, 0.0, 0.0)
CAMERA = Offset("camera", 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("offset", "move", "units", "text"),
    [
        (HAND, Move("x", True, 0.3, 0.3), "imperial", "About a foot to the right."),
        (HAND, Move("x", False, 0.12, -0.12), "imperial", "3 inches to the left."),
        (HAND, Move("x", False, 0.1, -0.1), "imperial", "A little to the left."),
        (HAND, Move("y", True, 0.2, 0.2), "metric", "Down 15 centimetres."),
        (HAND, Move("y", False, 0.05, -0.05), "imperial", "Up an inch."),
        (HAND, Move("z", True, 0.45, 0.45), "imperial", "Reach forward about a foot and a half."),
        (HAND, Move("z", False, 0.12, -0.12), "imperial", "Pull back 3 inches."),
        (HAND, Move("z", True, math.nan, math.nan), "imperial", "Reach forward."),
        (HAND, Move("x", True, 0.3, math.nan), "imperial", "To the right."),
        (CAMERA, Move("x", True, 8.0, math.nan), "imperial", "Turn a little to the right."),
        (CAMERA, Move("x", False, 40.0, math.nan), "imperial", "Turn far to the left."),
        (CAMERA, Move("y", True, 18.0, math.nan), "imperial", "Point the camera lower."),
        (CAMERA, Move("y", False, 9.0, math.nan), "imperial", "Point the camera a little higher."),
        (CAMERA, Move("z", True, 0.6, 0.6), "imperial", "It is straight ahead. Reach forward about 2 feet."),
        (
            CAMERA,
            Move("z", True, 1.5, 1.5),
            "metric",
            "It is straight ahead, about a metre and a half away. Walk forward.",
        ),
        (CAMERA, Move("z", True, math.nan, math.nan), "metric", "It is straight ahead. Reach forward."),
    ],
)
def test_directions(offset, move, units, text):
    """The sentences as they are spoken; optical x is the person's right, y is down."""
    assert direction(move, offset, PHRASES, units) == text


@given(st.sampled_from("xyz"), st.booleans(), st.floats(0.001, 3.0), st.booleans(), st.booleans())
def test_a_direction_never_names_the_other_side(axis, positive, size, known, by_hand):
    """No sentence for one way holds the word for another."""
    if axis == "z" and not by_hand:
        positive = True
    metres = (size if positive else -size) if known else math.nan
    text = direction(Move(axis, positive, size, metres), HAND if by_hand else CAMERA, PHRASES, "imperial").lower()
    words = {
        "right": ("right",),
        "left": ("left",),
        "down": ("down", "lower"),
        "up": ("up ", "up.", "higher"),
        "forward": ("forward",),
        "back": ("back",),
    }
    way = {"x": ("left", "right"), "y": ("up", "down"), "z": ("back", "forward")}[axis][positive]
    assert any(word in text for word in words[way])
    assert not any(word in text for other, several in words.items() if other != way for word in several)
    assert "nan" not in text


def test_two_look_alikes_are_told_apart_by_their_side():
    """The one with the smaller x is on the left, whichever is the likelier."""
    corn, bran = product((-0.2, 0, 0.6), "Corn"), product((0.1, 0.02, 0.6), "Bran")
    for first, second in ((corn, bran), (bran, corn)):
        text = doubt(sighting(0, Decision.AMBIGUOUS, first, runner_up=second), PHRASES)
        assert "Corn on the left and Bran on the right" in text


def test_two_look_alikes_one_above_the_other():
    """On two shelves left and right would say nothing."""
    corn, bran = product((0.0, -0.2, 0.6), "Corn"), product((0.02, 0.2, 0.6), "Bran")
    assert "Corn above and Bran below" in doubt(sighting(0, Decision.AMBIGUOUS, bran, runner_up=corn), PHRASES)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (product((0, 0, 0.6), "Corn"), product((0.3, 0, 0.6), "Corn")),
        (product((0, 0, 0.6), "Corn"), product((0.001, 0, 0.6), "Bran")),
        (product((0, 0, 0.6), "Corn"), product((1, 1, 1), "Bran", bearing=(math.nan, 0, 1))),
        (product((0, 0, 0.6), "Corn"), None),
        (None, None),
    ],
)
def test_no_side_is_named_that_is_not_known(first, second):
    """Same name, same place, no bearing or no second product: only that there is a doubt."""
    text = doubt(sighting(0, Decision.AMBIGUOUS, first, runner_up=second), PHRASES)
    assert "Corn Flakes" in text
    assert not any(word in text for word in ("left", "right", "above", "below"))
