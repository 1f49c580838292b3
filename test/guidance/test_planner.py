"""The planner's choice: the right way, the worse axis, and no chatter."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.planner import Move, Offset, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings

SETTINGS = GuidanceSettings()
metres = st.floats(-2, 2)
degrees = st.floats(-80, 80)


def choose(offset: Offset) -> Move | None:
    return WorstAxisFirst(SETTINGS).choose(offset)


@given(metres, metres, st.one_of(metres, st.just(math.nan)))
def test_a_hand_move_goes_towards_the_product(x, y, z):
    """Whatever the offset, the move reduces the axis it names."""
    move = choose(Offset("hand", x, y, z))
    if move is None:
        assert max(abs(x), abs(y)) <= SETTINGS.side_tolerance
        assert abs(z) <= SETTINGS.forward_tolerance
    else:
        value = {"x": x, "y": y, "z": z}[move.axis]
        assert math.isnan(value) or move.positive == (value > 0)
        assert math.isnan(move.metres) or move.metres == value


@given(degrees, degrees, st.one_of(st.floats(0.1, 5), st.just(math.nan)))
def test_a_camera_move_goes_towards_the_product(x, y, z):
    """Without a hand there is always a way to go, and it is the right one; a turn has no metres."""
    move = choose(Offset("camera", x, y, z))
    assert move is not None
    if move.axis == "z":
        assert move.positive
        assert max(abs(x), abs(y)) <= SETTINGS.aim_tolerance
    else:
        assert move.positive == ({"x": x, "y": y}[move.axis] > 0)
        assert math.isnan(move.metres)


@given(metres, metres, metres)
def test_the_same_offset_gets_the_same_answer(x, y, z):
    """The guide asks more often than it speaks."""
    planner, offset = WorstAxisFirst(SETTINGS), Offset("hand", x, y, z)
    assert planner.choose(offset) == planner.choose(offset)


@pytest.mark.parametrize(
    ("offset", "axis", "positive"),
    [
        (Offset("hand", 0.3, 0.1, 0.4), "x", True),
        (Offset("hand", 0.1, -0.3, 0.4), "y", False),
        (Offset("hand", 0.02, -0.02, 0.4), "z", True),
        (Offset("hand", 0.3, 0.0, -0.2), "z", False),
        (Offset("hand", 0.0, 0.0, math.nan), "z", True),
        (Offset("camera", -20.0, 5.0, 0.6), "x", False),
        (Offset("camera", 1.0, 1.0, math.nan), "z", True),
    ],
)
def test_the_order_of_axes(offset, axis, positive):
    """Worse sideways axis first, then forward; a hand behind the product's front is drawn back first."""
    move = choose(offset)
    assert move is not None
    assert (move.axis, move.positive) == (axis, positive)


def test_noise_at_the_tolerance_does_not_chatter():
    """Once in line, an axis stays so until well beyond its tolerance."""
    planner = WorstAxisFirst(SETTINGS)
    planner.choose(Offset("hand", 0.03, 0.0, 0.4))
    answers = [planner.choose(Offset("hand", x, 0.0, 0.4)) for x in (0.045, 0.035, 0.05, 0.055)]
    assert [move and move.axis for move in answers] == ["z"] * 4
    assert planner.choose(Offset("hand", 0.07, 0.0, 0.4)).axis == "x"


def test_two_axes_alike_do_not_alternate():
    """The axis in hand is kept until the other is half as bad again."""
    planner = WorstAxisFirst(SETTINGS)
    axes = [
        planner.choose(Offset("hand", x, y, 0.4)).axis for x, y in [(0.2, 0.19), (0.19, 0.2), (0.18, 0.2), (0.1, 0.2)]
    ]
    assert axes == ["x", "x", "x", "y"]


def test_a_new_reference_starts_afresh():
    """Degrees of the camera say nothing about metres of the hand."""
    planner = WorstAxisFirst(SETTINGS)
    planner.choose(Offset("camera", 3.0, 0.0, 0.5))
    assert planner.choose(Offset("hand", 0.05, 0.0, 0.4)).axis == "x"
