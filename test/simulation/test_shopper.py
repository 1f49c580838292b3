"""The simulated hand: late, inexact, not too fast, and stopped by what it touches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.simulation.camera import SimulatedShelf
from shelfhelp_ros.simulation.contact import PackBodies
from shelfhelp_ros.simulation.hearing import Gesture, gesture_asked_for
from shelfhelp_ros.simulation.layout import LAYOUTS, stock_shelf
from shelfhelp_ros.simulation.products import make_products
from shelfhelp_ros.simulation.shopper import HandSettings, SimulatedHand, turn_asked_for

EXACT = HandSettings(reaction_spread=0, gain=1, gain_spread=0, scatter=0, tremor=0)
NOTHING = PackBodies(())
PHRASES = Phrases.load()
FACING = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def let_pass(hand: SimulatedHand, start: float, seconds: float, bodies: PackBodies = NOTHING) -> float:
    """Step the hand in ticks of 20 ms; returns the time after."""
    for tick in range(round(seconds / 0.02)):
        hand.step(0.02, start + (tick + 1) * 0.02, bodies)
    return start + seconds


@given(axis=st.sampled_from("xyz"), distance=st.floats(-0.3, 0.3))
@settings(max_examples=12, deadline=None)
def test_exact_hand_goes_where_it_is_sent(axis: str, distance: float) -> None:
    """Protects the axes: x is to the right, y down, z into the shelf, and metres are metres."""
    hand = SimulatedHand(np.zeros(3), settings=EXACT)
    hand.hear(axis, distance, FACING, 0.0)
    let_pass(hand, 0.0, 3.0)
    wanted = {"x": (1, 0, 0), "y": (0, 0, -1), "z": (0, 1, 0)}[axis]
    assert hand.position == pytest.approx(np.array(wanted) * distance, abs=0.002)


def test_who_feels_for_a_pack_goes_where_the_camera_looks() -> None:
    """Protects one meaning of *forward*: with a turned camera a hand that is in line felt its way to the neighbour."""
    hand = SimulatedHand(np.zeros(3), settings=EXACT)
    turned = np.radians(30)
    to_the_right = np.array([[np.cos(turned), -np.sin(turned), 0], [np.sin(turned), np.cos(turned), 0], [0, 0, 1]]).T
    hand.follow((), to_the_right @ FACING, 0.0, reach=True)
    let_pass(hand, 0.0, 3.0)
    assert hand.position / np.linalg.norm(hand.position) == pytest.approx([0.5, np.cos(turned), 0], abs=0.01)


def test_hand_waits_for_its_reaction_and_keeps_to_its_speed() -> None:
    """Protects realism: nothing moves before the reaction time, and never faster than the speed."""
    hand = SimulatedHand(np.zeros(3), settings=EXACT)
    hand.hear("x", 0.5, FACING, 0.0)
    let_pass(hand, 0.0, 0.42)
    assert hand.position == pytest.approx(np.zeros(3))
    last = hand.position.copy()
    for tick in range(100):
        hand.step(0.02, 0.44 + tick * 0.02, NOTHING)
        assert np.linalg.norm(hand.position - last) <= EXACT.speed * 0.02 + 1e-9
        last = hand.position.copy()


def test_people_differ_and_repeat_themselves() -> None:
    """Protects the listener model's input: a seed is a person, with a gain and errors of its own."""

    def reached(seed: int) -> float:
        hand = SimulatedHand(np.zeros(3), seed)
        hand.hear("x", 0.2, FACING, 0.0)
        let_pass(hand, 0.0, 3.0)
        return float(hand.position[0])

    lengths = [reached(seed) for seed in range(8)]
    assert lengths == [reached(seed) for seed in range(8)]
    assert 0.01 < np.std(lengths) < 0.08
    assert np.mean(lengths) == pytest.approx(0.19, abs=0.04)


def test_hold_still_stops_a_movement() -> None:
    """Protects the confirmation: after *confirm* the hand stays where it is."""
    hand = SimulatedHand(np.zeros(3), settings=EXACT)
    hand.hear("x", 1.0, FACING, 0.0)
    now = let_pass(hand, 0.0, 1.0)
    hand.hear("", math.nan, FACING, now, "confirm")
    now = let_pass(hand, now, 0.6)
    there = hand.position.copy()
    let_pass(hand, now, 1.0)
    assert hand.position == pytest.approx(there)
    assert 0.1 < there[0] < 0.6


def test_hand_stops_at_the_pack_and_names_it() -> None:
    """Protects contact: a hand sent through a pack stays outside and touches that pack."""
    stock = stock_shelf(make_products(2, 10), LAYOUTS["small"], 2)
    bodies = PackBodies(stock.packs)
    # Only packs that nothing stands before can be reached straight on.
    for index, pack in enumerate(stock.packs):
        start = pack.front - np.array([0, 0.15, 0])
        if np.argmin(bodies.distances(pack.front)) != index or pack.front[1] > 0.08:
            continue
        hand = SimulatedHand(start, settings=EXACT)
        hand.hear("z", 0.4, FACING, 0.0)
        let_pass(hand, 0.0, 3.0, bodies)
        assert hand.touched == index
        assert bodies.distances(hand.position).min() > 0


def test_perfect_directions_lead_the_hand_to_the_product(shelf: SimulatedShelf) -> None:
    """Protects the demo's other half: told the truth, worst axis first, the person ends up touching the product."""
    seen = shelf.render()
    goal = seen.product_ids[int(np.argmax(seen.visibility))]
    for _ in range(20):
        target = min(shelf.ground_truth(goal), key=lambda t: float(np.linalg.norm(t.position - shelf.hand_position)))
        offset = target.position - np.array([0, 0, 0.03]) - shelf.hand_position
        axis = int(np.argmax(np.abs(offset[:2])))
        if abs(offset[axis]) < 0.02:
            axis = 2
        if axis == 2 and offset[2] < 0.04:
            break
        shelf.hear("move", "xyz"[axis], float(offset[axis]), "aim")
        shelf.step(2.5)
    shelf.hear("That is it.", phase="done")
    shelf.step(2.0)
    assert shelf.touched is not None
    assert shelf.touched.id == goal
    assert shelf.hand_distance(goal) < 0.02


def test_words_turn_the_camera_and_not_the_hand(shelf: SimulatedShelf) -> None:
    """Protects the search: *turn left* moves the picture's middle to the left; a way for the hand does not."""
    before, hand = shelf.camera_pose.rotation[:, 2], shelf.hand.position.copy()
    shelf.hear("Turn slowly to the left.", phase="search")
    shelf.step(1.0)
    after = shelf.camera_pose.rotation[:, 2]
    assert after[0] < before[0] - 0.1
    assert shelf.hand.position == pytest.approx(hand, abs=0.01)
    shelf.hear("10 inches to the left.", "x", -0.25, "aim")
    shelf.step(1.5)
    assert shelf.camera_pose.rotation[:, 2] == pytest.approx(after)
    assert shelf.hand.position[0] < hand[0] - 0.15


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("Turn to the right.", (12, 0)),
        ("Turn a little to the left.", (-4.8, 0)),
        ("Point the camera much higher.", (0, 24)),
        ("Point the camera slowly lower.", (0, -20.4)),
        ("Turn slowly, far to the right.", (40.8, 0)),
        ("A little to the left.", None),
        ("", None),
    ],
)
def test_turns_that_the_guide_asks_for(text: str, degrees: tuple[float, float] | None) -> None:
    """Protects the agreement with the guide's English phrases."""
    assert turn_asked_for(text) == (pytest.approx(degrees) if degrees else None)


@pytest.mark.parametrize(("text", "axis", "sign"), [("Up.", "y", -1), ("Down.", "y", 1), ("Reach forward.", "z", 1)])
def test_direction_without_distance_is_a_short_step(shelf: SimulatedShelf, text: str, axis: str, sign: int) -> None:
    """Protects guidance without depth: the word alone says which way."""
    start = shelf.hand_position
    shelf.hear(text, axis, math.nan, "aim")
    shelf.step(2.0)
    moved = (shelf.hand_position - start)["xyz".index(axis)]
    assert 0.04 < sign * moved < 0.2


def test_a_pack_is_taken_shown_and_put_back(shelf: SimulatedShelf) -> None:
    """Protects the confirmation: what the hand takes is seen in the hand, large, and stands at its place afterwards."""
    seen = shelf.render()
    pack = seen.packs[int(np.argmax(seen.visibility))]
    goal = shelf.packs[pack].front
    shelf.hand.place(goal - [0.0, 0.04, 0.0])
    shelf.hear("Take it and show me.", phase="confirm")
    shelf.step(4.0)
    held = shelf.render()
    row = held.packs.index(pack)
    assert shelf.held == pack
    assert shelf.touched is shelf.packs[pack].product
    assert held.positions[row] == pytest.approx([0.0, 0.03, 0.43], abs=0.07)
    assert np.ptp(held.boxes[row][[0, 2]]) > 1.3 * np.ptp(seen.boxes[seen.packs.index(pack)][[0, 2]])
    shelf.hear("That is not it. Put it back.", phase="wrong_item")
    shelf.step(0.1)
    assert shelf.held is None
    after = shelf.render()
    assert after.boxes[after.packs.index(pack)] == pytest.approx(seen.boxes[seen.packs.index(pack)], abs=12)


def test_a_pack_is_held_at_its_top(shelf: SimulatedShelf) -> None:
    """Protects the look at the foot of a pack: the hand goes there after a while, and the pack stays where it was."""
    seen = shelf.render()
    pack = seen.packs[int(np.argmax(seen.visibility))]
    shelf.take(pack)
    shelf.hear(PHRASES.say("confirm.lift"), phase="confirm")
    shelf.step(4.0)

    def below_middle() -> float:
        held = shelf.render()
        return float((shelf.hand_position - held.positions[held.packs.index(pack)])[1])

    height = shelf.packs[pack].product.height
    assert below_middle() == pytest.approx(0.35 * height, abs=0.04)
    shelf.hear(PHRASES.say("confirm.top"), phase="confirm")
    shelf.step(1.0)
    assert below_middle() > 0
    shelf.step(3.0)
    assert below_middle() == pytest.approx(-0.4 * height, abs=0.04)
    shelf.put_back()
    assert shelf.hand.position == pytest.approx(shelf.packs[pack].front - [0.0, 0.03, 0.35 * height], abs=0.02)


def test_a_pack_is_taken_at_the_end_of_a_movement(shelf: SimulatedShelf) -> None:
    """Protects the sentence that sends the hand and asks for the pack at once: it feels its way over the last bit."""
    seen = shelf.render()
    pack = seen.packs[int(np.argmax(seen.visibility))]
    shelf.hand.place(shelf.packs[pack].front - [0.0, 0.3, 0.0])
    shelf.hear("Forward 8 inches, then take it and show me.", "z", 0.27, "reach")
    shelf.step(1.0)
    assert shelf.held is None
    shelf.step(5.0)
    assert shelf.held == pack
    assert shelf.render().positions[shelf.render().packs.index(pack)] == pytest.approx([0.0, 0.03, 0.43], abs=0.07)


def test_what_the_hand_brushes_on_its_way_aside_is_not_taken(shelf: SimulatedShelf) -> None:
    """Protects the order of the movements: aside first, and what is felt there is not what was meant."""
    shelf.hear("Right 3 inches, forward 8 inches, then take it and show me.", "x", 0.1, "reach")
    shelf.step(0.6)
    assert not shelf.hand.feels
    shelf.step(3.0)
    assert shelf.hand.feels or shelf.held is not None


@pytest.mark.parametrize(
    ("text", "gesture"),
    [
        (PHRASES.say("take.one", first="up an inch"), Gesture.TAKE),
        (PHRASES.say("confirm.lift"), Gesture.TAKE),
        (PHRASES.say("confirm.turn"), Gesture.TURN),
        (PHRASES.say("confirm.closer"), Gesture.CLOSER),
        (PHRASES.say("confirm.top"), Gesture.AT_TOP),
        (PHRASES.say("wrong.left"), Gesture.PUT_BACK),
        (PHRASES.say("wrong.unknown"), Gesture.PUT_BACK),
        (PHRASES.say("confirm.untold", name="Bran"), Gesture.PUT_BACK),
        (PHRASES.say("blocked.hand"), Gesture.LOWER),
        (PHRASES.say("blocked.reach"), Gesture.STEP),
        (PHRASES.say("hand_lost"), Gesture.SHOW_HAND),
        (PHRASES.say("blocked.obstacle"), None),
        (PHRASES.say("scan.left"), None),
        (PHRASES.say("done", name="Bran"), None),
    ],
)
def test_gestures_that_the_guide_asks_for(text: str, gesture: Gesture | None) -> None:
    """Protects the agreement with the guide's English phrases."""
    assert gesture_asked_for(text) is gesture
