"""Where a product is, from the palm and from the camera."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from guide_driver import product
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.offsets import angles, apart, from_camera, from_hand, front_of, position_of, side_of
from shelfhelp_ros.sightings import Position

points = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 2)).map(np.array)


@given(points, points, st.floats(0, 0.15))
def test_from_the_hand_it_is_what_is_left_to_go(hand, place, standoff):
    """A hand that goes by the offset stops ``standoff`` before the product."""
    offset = from_hand(hand, place / np.linalg.norm(place), place, standoff, None)
    way = np.array([offset.x, offset.y, offset.z])
    assert hand + way == pytest.approx(place - [0, 0, standoff])
    assert apart(offset, from_hand(place - [0, 0, standoff], place, place, standoff, None)) == pytest.approx(
        np.linalg.norm(place - [0, 0, standoff] - hand)
    )


@given(points, points)
def test_without_depth_it_is_reckoned_where_the_hand_is(hand, bearing):
    """Across and down at the hand's depth; how far ahead is not known."""
    offset = from_hand(hand, bearing, None, 0.03, None)
    assert math.isnan(offset.z)
    assert [hand[0] + offset.x, hand[1] + offset.y] == pytest.approx(bearing[:2] / bearing[2] * hand[2])


@given(points)
def test_from_the_camera_it_is_angles(place):
    """Degrees to the right and down, and the distance where it is known."""
    offset = from_camera(place, place)
    assert (offset.x, offset.y) == angles(place)
    assert np.tan(np.radians([offset.x, offset.y])) == pytest.approx(place[:2] / place[2])
    assert offset.z == place[2]
    assert math.isnan(from_camera(place, None).z)


@given(points, points)
def test_the_side_is_the_larger_way(place, goal):
    """Opposite sides from either end, none for one and the same place."""
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up", "unknown": "unknown"}
    assert side_of(place, goal) == opposite[side_of(goal, place)]
    assert side_of(place, place) == side_of(place, None) == "unknown"
    side = side_of(place, goal)
    if side != "unknown":
        axis = 0 if side in ("left", "right") else 1
        assert abs(goal - place)[:2].argmax() == axis
        assert (goal - place)[axis] > 0 if side in ("right", "down") else (goal - place)[axis] < 0


@pytest.mark.parametrize("xyz", [(0.0, 0.0, -0.5), (math.nan, 0.0, 0.5), (0.0, math.inf, 0.5)])
def test_what_no_camera_gives_is_not_known(xyz):
    """Behind the camera, or not finite."""
    seen = product((0.0, 0.0, 0.5))
    seen = replace(seen, position=Position(np.array(xyz), np.eye(3)))
    assert position_of(seen) is None
    assert position_of(None) is None


@pytest.mark.parametrize(
    ("size", "front"), [((0.1, 0.2), (0.05, 0.1)), (None, None), ((math.nan, 0.2), None), ((0.1, math.inf), None)]
)
def test_a_front_is_half_of_its_size(size, front):
    """A size that is not finite is none."""
    assert front_of(product((0.0, 0.0, 0.5), size=size)) == front
