"""Sentences for movements and doubts: the right side, the right words."""

from __future__ import annotations

import math

import pytest
from guide_driver import PHRASES, product, sighting
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.distances import FAR, UNITS, amounts_within
from shelfhelp_ros.guidance.planner import Move, Offset
from shelfhelp_ros.guidance.wording import (
    around_the_clock,
    direction,
    doubt,
    far_from_hand,
    in_view,
    place,
    whereabouts,
)
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


# On the clock's face


AMOUNTS = {(amount.key, amount.count): amount for amount in amounts_within(0.65, "imperial")}
INCHES_6, FOOT, LITTLE = AMOUNTS["inches", 6], AMOUNTS["feet", 1], AMOUNTS["little", 1]


@pytest.mark.parametrize(
    ("offset", "move", "text"),
    [
        (HAND, Move("x", True, 0.2, 0.2, INCHES_6), "6 inches towards three o'clock."),
        (HAND, Move("y", False, 0.2, -0.2, INCHES_6), "6 inches towards twelve o'clock."),
        (HAND, Move("x", False, 0.2, -0.2, FAR), "Far towards nine o'clock."),
        (HAND, Move("y", True, 0.2, math.nan), "Towards six o'clock."),
        (HAND, Move("z", True, 0.3, 0.3, FOOT), "Reach forward about a foot."),
        (
            HAND,
            Move("x", True, 0.2, 0.2, INCHES_6, Move("z", True, 0.3, 0.3, FOOT)),
            "6 inches towards three o'clock, then forward about a foot.",
        ),
        (
            HAND,
            Move("x", True, 0.2, 0.2, INCHES_6, Move("y", False, 0.1, -0.1, LITTLE)),
            "8 inches towards two o'clock.",
        ),
        (
            HAND,
            Move("x", False, 0.1, -0.1, LITTLE, Move("y", True, 0.3, 0.3, FOOT)),
            "About a foot towards seven o'clock.",
        ),
        (CAMERA, Move("x", True, 33.0, math.nan), "Turn to one o'clock."),
        (CAMERA, Move("x", False, 25.0, math.nan), "Turn to eleven o'clock."),
        (CAMERA, Move("x", False, 9.0, math.nan), "Turn a little to the left."),
        (CAMERA, Move("y", False, 9.0, math.nan), "Point the camera a little higher."),
    ],
)
def test_hours(offset, move, text):
    """Twelve is up for a hand before the shelf, and straight ahead for a body that turns."""
    assert direction(around_the_clock(move, "imperial"), offset, PHRASES, "imperial", "clock") == text


@given(st.sampled_from(UNITS), st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans())
def test_what_is_reckoned_with_is_what_was_said(units, first, second, right, down):
    """A pair on the clock moves along both axes as far as the one amount towards its hour does, and within half an hour
    of the way that was meant."""
    amounts = amounts_within(0.5, units)
    across, along = amounts[first % len(amounts)], amounts[second % len(amounts)]
    pair = Move("x", right, 0.2, 0.2, across, Move("y", down, 0.2, 0.2, along), seconds=2.0)
    moved = around_the_clock(pair, units)
    way = {half.axis: half.amount.movement for half in (moved, moved.then) if half is not None}
    length = math.hypot(*way.values())
    assert length in [pytest.approx(amount.movement) for amount in amounts_within(2.0, units)]
    meant, said = (math.atan2(x, y) for x, y in ((across.movement, along.movement), (way.get("x", 0), way.get("y", 0))))
    assert abs(math.degrees(meant - said)) <= 15.001
    assert moved.seconds == 2.0
    assert direction(moved, HAND, PHRASES, units, "clock").endswith("o'clock.")


def test_other_movements_are_the_same_on_the_clock():
    """Only a pair across and down becomes another one."""
    for move in (Move("x", True, 0.2, 0.2, INCHES_6), Move("x", True, 0.2, 0.2, FOOT, Move("z", True, 0.3, 0.3, FOOT))):
        assert around_the_clock(move, "imperial") == move


# From the body, and in answer to a question


@pytest.mark.parametrize(
    ("product", "directions", "text"),
    [
        ((0.0, 0.0, 0.6), "sides", "It is straight ahead of you, about 2 feet away, level with the camera."),
        ((0.3, 0.16, 0.6), "sides", "It is to your right, about 2 feet away, 6 inches below the camera."),
        ((-0.3, -0.3, 0.6), "clock", "It is at eleven o'clock, about 2 feet away, about a foot above the camera."),
    ],
)
def test_places_from_the_body(product, directions, text):
    """Which side, how far, how high: from the camera, which is worn."""
    assert place(Offset("hand", 0.2, 0.0, 0.3, product), PHRASES, "imperial", directions) == text


def test_a_hand_that_is_near_is_corrected():
    """At arm's length a place helps; a hand's width away only the way does."""
    assert far_from_hand(Offset("hand", 0.3, 0.2, 0.2, (0, 0, 0.7)))
    assert not far_from_hand(Offset("hand", 0.1, 0.0, 0.1, (0, 0, 0.7)))
    assert not far_from_hand(Offset("camera", 20.0, 0.0, 0.7, (0.2, 0, 0.7)))
    assert not far_from_hand(Offset("hand", 0.3, 0.2, math.nan))


@pytest.mark.parametrize(
    ("offset", "directions", "text"),
    [
        (
            Offset("hand", 0.2, -0.1, 0.3),
            "sides",
            "From your hand it is right 8 inches, up 4 inches, forward about a foot.",
        ),
        (Offset("hand", 0.0, 0.0, 0.08), "sides", "From your hand it is forward 3 inches."),
        (Offset("hand", 0.1, -0.1, 0.0), "clock", "From your hand it is 6 inches towards two o'clock."),
        (Offset("hand", 0.2, -0.1, math.nan), "sides", ""),
        (Offset("camera", 2.0, 1.0, math.nan), "sides", ""),
        (
            Offset("camera", 2.0, 1.0, 0.6, (0.02, 0.01, 0.6)),
            "sides",
            "It is straight ahead of you, about 2 feet away, level with the camera.",
        ),
    ],
)
def test_whereabouts(offset, directions, text):
    """What is not known is not told."""
    assert whereabouts(offset, PHRASES, "imperial", directions, "hand") == text


def test_what_is_in_view():
    """All are counted; a few of the known ones are named once."""
    assert in_view([], PHRASES) == "No product is in view."
    assert in_view([""], PHRASES) == "One product is in view."
    names = ["", "Oats", "Tea", "Oats", "Rice", "Beans"]
    assert in_view(names, PHRASES) == "6 products are in view. Among them Oats, Tea, Rice."
