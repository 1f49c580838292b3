"""The planner of sentences: the right way, in fewer words, and better the better it knows the person."""

from __future__ import annotations

import math

import numpy as np
import pytest
from guide_driver import PHRASES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfhelp_ros.guidance.gains import Gains
from shelfhelp_ros.guidance.people import load_gains
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import Offset, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.guidance.wording import direction
from shelfhelp_ros.simulation.hearing import Gesture, gesture_asked_for, movements_asked_for

SETTINGS = GuidanceSettings()
metres = st.floats(-1.5, 1.5)


def planner(gains=None, **changes) -> PhrasePlanner:
    return PhrasePlanner(GuidanceSettings(**changes), PHRASES, gains)


def halves(move):
    return [move] if move.then is None else [move, move.then]


fronts = st.none() | st.tuples(st.floats(0.02, 0.3), st.floats(0.02, 0.3))


@example(0.0, 0.0625, -1.0, (0.25, 0.25), "imperial", True)
@given(metres, metres, metres, fronts, st.sampled_from(["imperial", "metric"]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_half_goes_towards_the_product_and_is_heard_as_meant(x, y, z, front, units, takeable):
    """Whatever the offset: silence only at the goal, ways that lead there, and words that say them."""
    offset = Offset("hand", x, y, z, front=front, takeable=takeable)
    move = planner(units=units).choose(offset)
    if move is None:
        for off, half in zip((x, y), front or (0.0, 0.0), strict=True):
            assert abs(off) <= max(SETTINGS.side_tolerance, half - 0.04)
        assert -0.12 <= z <= 0.1
        return
    text = direction(move, offset, PHRASES, units)
    heard = movements_asked_for(text)
    assert len(heard) == len(halves(move)), text
    assert (gesture_asked_for(text) is Gesture.TAKE) == move.take
    assert takeable or not move.take
    for half, asked in zip(halves(move), heard, strict=True):
        at = {"x": x, "y": y, "z": z}[half.axis]
        assert half.positive == (at > 0)
        assert half.metres == at
        assert ("xyz"[asked.axis], asked.sign > 0) == (half.axis, half.positive), text
        assert asked.metres == pytest.approx(half.amount.movement), text


@given(metres, metres, metres)
@settings(deadline=None, max_examples=30)
def test_the_same_offset_gets_the_same_answer(x, y, z):
    """The guide asks more often than it speaks."""
    chosen, offset = planner(), Offset("hand", x, y, z)
    assert chosen.choose(offset) == chosen.choose(offset)


@pytest.mark.parametrize("offset", [Offset("camera", 20.0, 3.0, 0.7), Offset("hand", 0.2, 0.1, math.nan)])
def test_without_a_hand_or_depth_it_is_worst_axis_first(offset):
    """There is nothing to plan with."""
    assert planner().choose(offset) == WorstAxisFirst(SETTINGS).choose(offset)


def test_two_axes_are_asked_for_in_one_sentence():
    """A hand that is off on two axes is not told twice."""
    offset = Offset("hand", 0.2, -0.1, 0.5)
    move = planner().choose(offset)
    assert direction(move, offset, PHRASES, "imperial") == "Right 6 inches, then forward about a foot."


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (Offset("hand", 0.0, 0.0, 0.33, front=(0.08, 0.1), takeable=True), "Forward about a foot, then take it"),
        (Offset("hand", 0.06, 0.0, 0.33, None, (0.08, 0.1), True), "Right an inch, forward about a foot, then take it"),
        (Offset("hand", 0.0, 0.0, 0.33, front=(0.08, 0.1)), "Reach forward about a foot."),
        (Offset("hand", 0.3, 0.0, 0.33, front=(0.03, 0.1), takeable=True), "Right about a foot, then forward "),
    ],
)
def test_what_the_hand_will_come_to_is_taken_in_the_same_sentence(offset, text):
    """Where it is known for the product and the hand hardly misses it; a long way aside to a slim pack it might."""
    assert direction(planner().choose(offset), offset, PHRASES, "imperial").startswith(text)


def test_a_dear_mistake_is_not_risked():
    """Who would rather hear one sentence more than hold a wrong pack is led to rest before it."""
    offset = Offset("hand", 0.06, 0.02, 0.33, front=(0.07, 0.1), takeable=True)
    assert planner().choose(offset).take
    assert not planner(wrong_price=600.0).choose(offset).take


def test_nothing_is_learnt_from_a_hand_that_was_stopped_by_a_pack():
    """How far it would have gone is not known."""
    offset = Offset("hand", 0.06, 0.0, 0.33, front=(0.08, 0.1), takeable=True)
    chosen = planner()
    move = chosen.choose(offset)
    assert move.take
    chosen.told(offset, move)
    chosen.told(Offset("hand", 0.0, 0.0, 0.0), None)
    assert chosen.gains == Gains.prior()


@pytest.mark.parametrize("take", [False, True])
def test_the_values_are_seconds_to_the_goal(take):
    """Nothing where the hand has arrived, a sentence and its movement next to it, and several of them far away."""
    model = planner()._model
    solution = model.solve(0.0, 0.22, take)
    assert solution.change <= 0.02
    assert (solution.values[model.end] == 0).all()
    assert solution.values[~model.end].min() > SETTINGS.reaction + SETTINGS.instruction_price + 1
    near, far = (int(np.searchsorted(model.grid["z"], at)) for at in (0.1, 0.6))
    assert solution.values[0, 0, near] + 2 < solution.values[0, 0, far] < solution.values[-1, -1, far] < 40


def test_a_hand_among_the_packs_is_drawn_back_before_it_goes_sideways():
    """Sweeping along the fronts would take the neighbours with it."""
    move = planner().choose(Offset("hand", 0.25, 0.0, -0.1))
    assert (move.axis, move.positive, move.then) == ("z", False, None)


@pytest.mark.parametrize(
    ("offset", "arrived"),
    [
        (Offset("hand", 0.055, 0.0, 0.0), False),
        (Offset("hand", 0.055, 0.0, 0.0, front=(0.03, 0.1)), False),
        (Offset("hand", 0.055, 0.0, 0.0, front=(0.11, 0.03)), True),
        (Offset("hand", 0.0, 0.055, 0.0, front=(0.03, 0.11)), True),
        (Offset("hand", 0.15, 0.0, 0.0, front=(0.5, 0.5)), False),
        (Offset("hand", 0.0, 0.0, -0.1), True),
        (Offset("hand", 0.0, 0.0, 0.09), True),
        (Offset("hand", 0.055, 0.0, 0.09), False),
        (Offset("hand", 0.055, 0.0, -0.1), False),
    ],
)
def test_anywhere_before_a_large_front_will_do(offset, arrived):
    """A hand before the pack has arrived, and one that seems to be in it touches it; beside it, it has not."""
    assert (planner().choose(offset) is None) is arrived


def test_beside_a_narrow_pack_stands_its_neighbour():
    """A hand 3 cm from the middle of a pack 8 cm wide comes in line nearer to it, and is out of line at its edge."""
    narrow = planner()
    places = (0.03, 0.02, 0.03, 0.036, 0.03)
    arrived = [narrow.choose(Offset("hand", at, 0.0, 0.0, front=(0.04, 0.1))) is None for at in places]
    assert arrived == [False, True, True, False, False]


def test_nothing_is_said_of_an_axis_that_is_in_line():
    """Before a wide pack only the way forward is left."""
    move = planner().choose(Offset("hand", 0.05, 0.02, 0.3, front=(0.12, 0.12)))
    assert [half.axis for half in halves(move)] == ["z"]


def test_far_reachers_are_told_less():
    """After a few movements that went too far the amounts shrink."""
    offset = Offset("hand", 0.31, 0.0, 0.0)
    chosen = planner()
    before = chosen.choose(offset)
    for _ in range(4):
        move = chosen.choose(offset)
        chosen.told(offset, move)
        moved = 1.6 * move.amount.movement
        chosen.told(Offset("hand", offset.x - moved, 0.0, 0.0), None)
    after = chosen.choose(offset)
    assert chosen.gains.of("x")[0] > 0.2
    assert chosen.gains.of("y")[0] > 0.1
    assert after.amount.movement < before.amount.movement


def test_nothing_is_learnt_from_a_hand_on_its_way():
    """Without a place to rest, neither this movement nor the one after it counts."""
    chosen, offset = planner(), Offset("hand", 0.31, 0.0, 0.0)
    move = chosen.choose(offset)
    chosen.told(offset, move)
    chosen.told(None, move)
    chosen.told(Offset("hand", -0.2, 0.0, 0.0), None)
    assert chosen.gains == Gains.prior()


def test_a_person_is_remembered(tmp_path, monkeypatch):
    """What one search taught, the next begins with."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    chosen, offset = planner(person="mia"), Offset("hand", 0.31, 0.0, 0.0)
    move = chosen.choose(offset)
    chosen.told(offset, move)
    chosen.told(Offset("hand", 0.31 - 1.4 * move.amount.movement, 0.0, 0.0), None)
    assert load_gains("mia") == chosen.gains != Gains.prior()
    assert planner(person="mia").gains == chosen.gains
