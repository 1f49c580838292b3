"""What the guide says, and when, in each situation."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from guide_driver import AT_SHELF, MS, NAME, PHRASES, SHELF, UP, UP_HAND, Driver, product, sighting

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Urgency
from shelfhelp_ros.guidance.listener import movement_seconds, speech_seconds
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, HeldPack, Position, Verified

AT = (0.1, 0.05, 0.6)
AT_IT = (0.1, 0.05, 0.57)


@pytest.fixture
def driver() -> Driver:
    driver = Driver()
    driver.start()
    return driver


def count(driver: Driver, part: str) -> int:
    return sum(part in text for text in driver.texts)


def noting_driver() -> tuple[Driver, list]:
    """A driver whose planner notes how large the front is that it hears of."""
    fronts = []

    class Noting(WorstAxisFirst):
        def choose(self, offset):
            fronts.append(offset.front)
            return super().choose(offset)

    driver = Driver(Guide(GuidanceSettings(), PHRASES, Noting))
    driver.start()
    return driver, fronts


# With a hand


@pytest.mark.parametrize(
    ("hand", "axis", "words", "distance"),
    [
        ((-0.2, 0.05, 0.3), "x", "to the right", 0.3),
        ((0.4, 0.05, 0.3), "x", "to the left", -0.3),
        ((0.1, -0.15, 0.3), "y", "Down", 0.2),
        ((0.1, 0.25, 0.3), "y", "Up", -0.2),
        ((0.1, 0.05, 0.27), "z", "Reach forward about a foot", 0.3),
        ((0.1, 0.05, 0.69), "z", "Pull back 3 inches", -0.12),
    ],
)
def test_the_hand_is_sent_towards_the_product(driver, hand, axis, words, distance):
    """Product right of the hand: right. Below: down. Farther: forward, up to 3 cm before it."""
    driver.watch(2.0, at=AT, hand=hand)
    instruction = driver.said[1][1]
    assert words in instruction.text
    assert instruction.axis == axis
    assert instruction.distance == pytest.approx(distance, abs=1e-6)


def test_a_product_at_the_edge_of_the_picture_is_brought_into_it_before_the_hand_is_sent(driver):
    """A hand sent there would soon be out of the picture. Once the turn is made, and the product well inside, it is
    sent; a product that only comes back over the edge is turned to further."""
    hand = (0.0, 0.1, 0.4)
    driver.watch(1.5, at=(0.35, 0.0, 0.8), hand=hand)
    driver.watch(4.0, at=(0.25, 0.0, 0.8), hand=hand)
    driver.watch(4.0, at=(0.15, 0.0, 0.8), hand=hand)
    assert [text.startswith("Turn") for text in driver.texts[1:4]] == [True, True, False]


def test_a_camera_that_cannot_turn_does_not_keep_the_hand_waiting(driver):
    """On a robot, or worn by somebody who stays as they are: after two requests the hand is sent."""
    driver.watch(12.0, at=(0.35, 0.0, 0.8), hand=(0.0, 0.1, 0.4))
    assert [text.startswith("Turn") for text in driver.texts[1:4]] == [True, True, False]


def test_the_front_counts_until_a_wrong_one_was_taken():
    """The planner hears how large the pack is; whoever took another one is led to its middle the next time."""
    driver, fronts = noting_driver()
    pack = product(AT, size=(0.2, 0.3))
    driver.watch(2.5, hand=AT_IT, seen=pack)
    assert set(fronts) == {(0.1, 0.15)}
    driver.watch(8.0, hand=UP_HAND, seen=pack)
    assert any(text.startswith("That is not it") for text in driver.texts)
    fronts.clear()
    driver.watch(4.0, hand=(0.1, 0.05, 0.4), seen=pack)
    assert set(fronts) == {(0.08, 0.08)}


def test_a_hand_without_the_products_depth_gets_directions_without_distance(driver):
    """A hole in the depth image takes the distance away, not the direction."""
    driver.watch(2.0, at=None, hand=(0.3, 0.05, 0.4), seen=product(AT, depth=False))
    instruction = driver.said[1][1]
    assert instruction.text == "To the left."
    assert math.isnan(instruction.distance)


def test_the_next_instruction_comes_after_the_movement(driver):
    """While the person moves nothing is said, though the offset changes with every frame."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    first, instruction = driver.said[1]
    driver.watch(8.0, at=AT, hand=(0.1, 0.05, 0.3))
    assert instruction.axis == "x"
    assert driver.said[2][0] - first > 2.5


def test_a_direction_rests_on_a_picture_taken_after_the_movement(driver):
    """With pictures 250 ms late the next direction is not about where the hand was on its way."""
    driver.watch(12.0, at=AT, hand=(-0.2, 0.05, 0.3), age_ms=250)
    (at, first), (_, second) = driver.said[1:3]
    ready = at + speech_seconds(first.text, 175) + 0.4 + movement_seconds(0.3, 0.3)
    assert second.is_direction
    assert (second.stamp_ns - driver.began_ns) / 1e9 >= ready


def test_the_hand_out_of_view_is_said_and_nothing_guessed(driver):
    """The hand is gone: no direction from its last place, one notice, then guidance by the camera alone."""
    driver.watch(3.0, at=(0.0, 0.0, 0.6), hand=(-0.2, 0.05, 0.3))
    before = len(driver.said)
    driver.watch(4.5, at=(0.0, 0.0, 0.6))
    assert driver.texts[before:] == ["I cannot see your hand. Hold it in front of the camera."]
    driver.watch(6.0, at=(0.0, 0.0, 0.6))
    assert driver.texts[before + 1] == "It is straight ahead. Reach forward about 2 feet."


def test_a_hand_that_left_the_picture_beside_the_product_is_followed_first(driver):
    """One turn towards both; only if that does not bring it back it is said to be out of view."""
    aside = (0.22, 0.0, 0.7)
    driver.watch(4.0, at=aside, hand=(0.05, 0.0, 0.4))
    driver.watch(0.5, at=aside, hand=(0.19, 0.0, 0.4))
    told = len(driver.said)
    driver.watch(6.0, at=aside)
    assert driver.texts[told:] == [
        "Turn to the right.",
        "I cannot see your hand. Hold it in front of the camera.",
    ]


def test_a_hand_that_left_the_picture_elsewhere_is_out_of_view_at_once(driver):
    """A turn towards the product would not bring it back."""
    aside = (0.22, 0.0, 0.7)
    driver.watch(4.0, at=aside, hand=(-0.1, 0.0, 0.4))
    driver.watch(0.5, at=aside, hand=(-0.19, 0.0, 0.4))
    told = len(driver.said)
    driver.watch(4.0, at=aside)
    assert driver.texts[told:] == ["I cannot see your hand. Hold it in front of the camera."]


@pytest.mark.parametrize("covariance", [np.eye(3), np.full((3, 3), math.nan), np.diag([0.0, 0.0, math.inf])])
def test_an_uncertain_hand_is_not_used(driver, covariance):
    """A hand known to within a metre says nothing about inches."""
    driver.guide.on_hand((0.1, 0.05, 0.3), covariance, driver.now_ns)
    driver.watch(2.0, at=AT)
    assert "Turn" in driver.texts[1]


# Without a hand


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ((-0.1, 0.0, 0.6), "Turn a little to the left."),
        ((0.3, 0.0, 0.6), "Turn far to the right."),
        ((0.0, 0.2, 0.6), "Point the camera lower."),
        ((0.0, -0.2, 0.6), "Point the camera higher."),
        ((0.0, 0.0, 0.6), "It is straight ahead. Reach forward about 2 feet."),
    ],
)
def test_the_camera_is_aimed(driver, at, text):
    """Without a hand the camera is brought to point at the product, then the person reaches ahead."""
    driver.watch(2.0, at=at)
    assert driver.texts[1] == text


def test_without_depth_the_distance_is_left_out(driver):
    """No depth image: still a direction, no number."""
    driver.watch(2.0, seen=product((0.0, 0.0, 0.6), depth=False))
    assert driver.texts[1] == "It is straight ahead. Reach forward."
    assert math.isnan(driver.said[1][1].distance)


def test_it_is_never_confirmed_without_a_hand(driver):
    """That the camera points at it does not mean that it was reached."""
    driver.watch(30.0, at=(0.0, 0.0, 0.1))
    assert driver.phase is Phase.REACH
    assert count(driver, "That's it") == 0


# Confirmation

LIFT = "Take it and show me."
THATS_IT = "That's it. You have Corn Flakes."


def test_taken_confirmed_then_silent(driver):
    """At it: take it. In the hand, found and probable for some frames: said once, then nothing more."""
    driver.take(8.0)
    assert driver.texts == ["Looking for Corn Flakes.", LIFT, THATS_IT]
    assert driver.phase is Phase.DONE
    assert driver.said[-1][1].phase is Phase.DONE


def test_nothing_is_confirmed_before_it_was_lifted(driver):
    """A hand that merely rests at the product has nothing in it; it is asked again."""
    driver.watch(20.0, at=AT, hand=AT_IT)
    assert driver.phase is Phase.CONFIRM
    assert set(driver.texts[1:]) == {LIFT}
    assert len(driver.texts) >= 3


@pytest.mark.parametrize(
    "more",
    [
        {"probability": 0.6},
        {"probability": math.nan},
        {"decision": Decision.AMBIGUOUS, "runner_up": product((0.3, 0, 0.6), "Bran")},
        {"decision": Decision.AMBIGUOUS, "verified": Verified.YES, "probability": 0.5},
        {"decision": Decision.LOST},
        {"decision": Decision.SEARCHING},
        {"verified": Verified.PENDING},
        {"verified": Verified.NO},
    ],
)
def test_not_confirmed_in_doubt(driver, more):
    """Something is in the hand; without FOUND and its probability it is not called the product."""
    driver.take(25.0, **more)
    assert driver.phase is not Phase.DONE
    assert count(driver, "That's it") == 0


def test_a_pack_that_cannot_be_told_is_turned_and_brought_closer_then_put_back(driver):
    """The way out of not knowing: closer, its front, and in the end the person hears that it cannot be told."""
    driver.take(20.0, decision=Decision.SEARCHING)
    rest = "I cannot tell whether this is Corn Flakes. Put it back, or keep it and stop me."
    assert driver.texts[2:5] == ["Hold it closer to the camera.", "Turn its front to the camera.", rest]


def test_who_shows_no_hand_is_asked_for_it_where_nothing_is_sure(driver):
    """With a hand the product could be tried: "hold still" for ever would end nothing. It is said again and again in
    short pieces, as perception wavers; a camera that nothing is carried with is not asked for a hand twice."""
    for _ in range(12):
        driver.watch(2.5, Decision.AMBIGUOUS, at=AT, probability=0.65)
        driver.watch(1.0, Decision.SEARCHING)
    assert driver.texts[1] == "I am not sure that this is Corn Flakes. Hold still."
    assert driver.texts[2] == "I cannot see your hand. Hold it in front of the camera."
    assert count(driver, "cannot see your hand") == 1
    driver.watch(3.0, Decision.AMBIGUOUS, at=AT, probability=0.65, hand=(0.1, 0.05, 0.2))
    assert count(driver, "It may be this one.") == 1


def test_who_takes_nothing_is_led_to_its_middle():
    """Asked three times in vain: the hand may be at the rim of it, and asking on would be no way out."""
    driver, fronts = noting_driver()
    pack = product(AT, size=(0.2, 0.3))
    driver.watch(14.0, hand=AT_IT, seen=pack)
    assert driver.texts[1:] == [LIFT] * 3
    assert set(fronts) == {(0.1, 0.15)}
    fronts.clear()
    driver.watch(5.0, hand=AT_IT, seen=pack)
    assert set(fronts) == {(0.08, 0.08)}


def test_what_is_being_tried_is_waited_for(driver):
    """It is not surely it, and comes and goes from picture to picture: nobody is sent away from it for that."""
    hand = (0.1, 0.05, 0.2)
    driver.watch(4.0, Decision.AMBIGUOUS, at=AT, probability=0.65, hand=hand)
    assert count(driver, "It may be this one.") == 1
    driver.watch(5.0, Decision.SEARCHING, hand=hand)
    assert count(driver, "slowly") == 0
    driver.watch(4.0, Decision.SEARCHING, hand=hand)
    assert count(driver, "slowly") == 1


def test_a_pack_that_may_be_it_is_held_at_its_top(driver):
    """Its front is seen and not enough of it: the fingers may hide where it differs. A turn would show its back."""
    driver.take(20.0, decision=Decision.SEARCHING, held=HeldPack(product(UP, 9), 0.5, Verified.UNKNOWN))
    assert driver.texts[3] == "Hold it at its top, so that I see its front."


def test_look_alikes_are_held_at_the_top_first(driver):
    """They differ in a line or a word, which closer fingers hide as well; then the camera may need it nearer."""
    in_hand, beside = HeldPack(product(UP, 9), 0.5, Verified.YES), product((0.3, 0.05, 0.6), 2)
    driver.take(20.0, decision=Decision.AMBIGUOUS, probability=0.5, held=in_hand, runner_up=beside)
    closer = "Hold it closer to the camera."
    assert driver.texts[2:4] == ["Hold it at its top, so that I see its front.", closer]


def test_who_holds_it_otherwise_has_the_time_for_it(driver):
    """To hold a pack at its top takes longer than to bring it closer: nothing is said, or given up, meanwhile."""
    driver.take(30.0, decision=Decision.SEARCHING, held=HeldPack(product(UP, 9), 0.5, Verified.UNKNOWN))
    said = {instruction.text.split(",")[0]: at for at, instruction in driver.said}
    top, given_up = said["Hold it at its top"], said["I cannot tell whether this is Corn Flakes. Put it back"]
    assert given_up - top > 1.5 + driver.guide.settings.confirm_every


def test_a_slow_camera_is_enough_to_confirm(driver):
    """Three frames a second, each 200 ms old: between two of them nothing is fresh, and that is no sign against it."""
    driver.guide.settings = replace(driver.guide.settings, stale_after=0.8)
    for step in range(36):
        driver.wait(0.35)
        driver.see(age_ms=200, **({"at": AT, "hand": AT_IT} if step < 14 else {"at": UP, "hand": UP_HAND}))
    assert driver.phase is Phase.DONE


FRONT = (0.14, 0.2)
AHEAD = (0.1, 0.05, 0.3)
TWINS = {
    "seen": replace(product(SHELF, size=FRONT), track_id=7),
    "runner_up": replace(product((0.4, 0.05, 0.6), size=FRONT), track_id=2),
}


@pytest.fixture
def reacher():
    """A search in which the hand was told to go on to the product and take it."""
    driver = Driver(Guide(GuidanceSettings(), PHRASES, PhrasePlanner))
    driver.start()
    driver.watch(3.0, seen=product(SHELF, size=FRONT), hand=AHEAD)
    assert driver.texts[-1] == "Forward 8 inches, then take it and show me."
    assert driver.phase is Phase.CONFIRM
    return driver


def test_taken_on_the_way_confirmed_in_the_hand(reacher):
    """The sentence that sends the hand asks it to take the product too; nothing more is said until it is known."""
    told = len(reacher.said)
    reacher.watch(4.0, seen=product(SHELF, size=FRONT), hand=AT_SHELF)
    reacher.watch(1.5, at=UP, hand=UP_HAND)
    assert reacher.texts[told:] == [f"That's it. You have {NAME}."]


def test_a_neighbour_taken_on_the_way_is_put_back(reacher):
    """The product still stands on the shelf when the hand holds up what it took."""
    reacher.watch(3.0, seen=product(SHELF, size=FRONT), hand=AT_SHELF)
    reacher.watch(3.0, seen=product(SHELF, size=FRONT), hand=UP_HAND)
    assert reacher.texts[-1].startswith("That is not it. Put it back.")


def test_a_hand_that_does_not_come_is_told_the_way_again(reacher):
    """Who did not hear it is neither asked for a pack nor left alone."""
    told = len(reacher.said)
    reacher.watch(9.0, seen=product(SHELF, size=FRONT), hand=AHEAD)
    assert reacher.texts[told:][0] == reacher.texts[told - 1]


def test_who_asks_on_the_way_hears_the_way(reacher):
    """Not to take what the hand has not come to, and no promise of a camera that works."""
    reacher.watch(0.5, seen=product(SHELF, size=FRONT), hand=(0.1, 0.05, 0.4))
    assert reacher.repeat().text.startswith("Forward")


@pytest.fixture
def trier():
    """A search in which one of two look-alikes is tried: the hand was told to go on to it and take it."""
    driver = Driver(Guide(GuidanceSettings(), PHRASES, PhrasePlanner))
    driver.start()
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AHEAD, **TWINS)
    assert driver.texts[1] == "Two look alike. Let us try one."
    assert driver.texts[2] == "Forward 8 inches, then take it and show me."
    driver.watch(3.0, Decision.AMBIGUOUS, hand=AT_SHELF, **TWINS)
    return driver


def test_a_look_alike_taken_on_the_way_is_not_believed_without_a_second_look(trier):
    """That it is found, again and again, tells it from no look-alike."""
    trier.watch(6.0, at=UP, hand=UP_HAND)
    assert trier.phase is Phase.CONFIRM
    trier.watch(3.0, at=UP, hand=UP_HAND, verified=Verified.YES)
    assert trier.phase is Phase.DONE


def test_a_look_alike_taken_on_the_way_is_first_asked_to_be_held_at_its_top(trier):
    """Fingers hide the foot of the front, where look-alikes differ."""
    told = len(trier.said)
    trier.watch(6.0, Decision.AMBIGUOUS, hand=UP_HAND, held=HeldPack(product(UP, 9), 0.5, Verified.UNKNOWN), **TWINS)
    assert trier.texts[told] == "Hold it at its top, so that I see its front."


def test_a_sentence_that_the_voice_dropped_sends_nobody(reacher):
    """The way is told anew from where the hand is."""
    driver = Driver(Guide(GuidanceSettings(), PHRASES, PhrasePlanner))
    driver.start()
    driver.guide.on_speaking(True, driver.now_ns)
    driver.wait(1.0)
    driver.guide.on_speaking(False, driver.now_ns)
    for _ in range(20):
        if driver.phase is not Phase.CONFIRM:
            driver.watch(0.1, seen=product(SHELF, size=FRONT), hand=AHEAD)
    told = len(driver.said)
    driver.watch(2.0, seen=product(SHELF, size=FRONT), hand=AHEAD)
    assert driver.texts[told].startswith("Forward 8 inches, then take it")


def test_a_hand_that_is_forgotten_before_the_yes_gets_none(driver):
    """The looks said yes while the voice still spoke; then the hand was gone for good."""
    driver.watch(1.7, at=SHELF, hand=AT_SHELF)
    assert driver.texts[-1] == "Take it and show me."
    driver.watch(0.6, at=UP, hand=UP_HAND)
    driver.watch(9.0, at=UP)
    assert driver.phase is Phase.CONFIRM
    assert count(driver, "That's it") == 0


@pytest.mark.parametrize("more", [{"probability": 0.6}, {"verified": Verified.PENDING}, {"verified": Verified.NO}])
def test_what_is_not_known_well_is_not_taken_on_the_way(more):
    """The hand is led to rest before it, where it is looked at."""
    driver = Driver(Guide(GuidanceSettings(), PHRASES, PhrasePlanner))
    driver.start()
    driver.watch(3.0, seen=product(SHELF, size=FRONT), hand=AHEAD, **more)
    assert driver.texts[-1] == "Reach forward 8 inches."


def test_a_passing_hand_is_not_asked_to_take_it(driver):
    """It takes several sightings in a row, each with a hand position of its own."""
    for _ in range(10):
        driver.watch(0.1, at=AT, hand=AT_IT)
        driver.watch(0.2, at=AT, hand=(-0.1, 0.05, 0.57))
    assert driver.phase is not Phase.CONFIRM
    driver.guide.on_hand(AT_IT, None, driver.now_ns)
    for _ in range(6):
        driver.now_ns += 40 * MS
        driver.see(at=AT, age_ms=10)
    assert driver.phase is Phase.CONTACT


def test_a_hand_that_glides_past_is_not_asked_to_take_it(driver):
    """Two quick pictures of a hand that goes no faster than 40 cm a second are not a hand at rest; half a second is."""
    for step in range(8):
        driver.now_ns += 70 * MS
        driver.see(at=AT, hand=(AT_IT[0] - 0.1 + 0.028 * step, *AT_IT[1:]))
    assert driver.phase is not Phase.CONFIRM
    driver.watch(1.0, at=AT, hand=AT_IT)
    assert driver.phase is Phase.CONFIRM


# Another one in the hand


@pytest.mark.parametrize(
    ("stands", "text"),
    [
        ((-0.2, 0.05, 0.6), "The right one is to the left."),
        ((0.4, 0.05, 0.6), "The right one is to the right."),
        ((0.1, -0.2, 0.6), "The right one is above."),
        ((0.1, 0.3, 0.6), "The right one is below."),
    ],
)
def test_the_look_alike_is_put_back_and_the_right_one_is_led_to(driver, stands, text):
    """Of two look-alikes the likelier is tried; what stays on the shelf is the one: which side, and then the way."""
    right, wrong = replace(product(stands), track_id=2), product(AT)
    driver.watch(3.0, Decision.AMBIGUOUS, hand=(0.1, 0.05, 0.2), seen=wrong, runner_up=right)
    assert driver.texts[1] == "Two look alike. Let us try one."
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, seen=wrong, runner_up=right)
    assert driver.texts[-1] == LIFT
    driver.watch(4.0, seen=right, hand=UP_HAND)
    assert driver.texts[-1] == f"That is not it. Put it back. {text}"
    assert driver.said[-1][1].valid_until_ns - driver.said[-1][1].stamp_ns == 300 * MS
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, seen=replace(wrong, track_id=7), runner_up=right)
    assert driver.said[-1][1].is_direction


def test_what_may_be_it_is_tried_and_looked_at_in_the_hand(driver):
    """A lone product that is likely and not sure: nobody speaks of two, and what is sure in the hand is confirmed."""
    driver.watch(3.0, Decision.AMBIGUOUS, hand=(0.1, 0.05, 0.2), at=AT, probability=0.65)
    assert driver.texts[1] == "It may be this one."
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, at=AT, probability=0.65)
    assert driver.texts[-1] == LIFT
    driver.watch(4.0, Decision.AMBIGUOUS, hand=UP_HAND, at=UP, probability=0.65)
    assert driver.phase is Phase.CONFIRM
    driver.watch(2.0, hand=UP_HAND, at=UP, probability=0.9)
    assert driver.phase is Phase.DONE


@pytest.mark.parametrize(("shown", "asked"), [(True, 2), (False, 1)])
def test_who_gets_no_nearer_is_asked_for_the_hand(driver, shown, asked):
    """A product straight ahead, no hand in view, and nothing changes: the same words again and again help nobody. Who
    never showed a hand may have none that is followed."""
    if shown:
        driver.watch(0.5, Decision.SEARCHING, hand=(0.3, 0.05, 0.3))
        driver.watch(8.0, Decision.SEARCHING)
    told = len(driver.texts)
    driver.watch(30.0, at=(0.0, 0.0, 0.9))
    words = driver.texts[told:]
    assert words[0].startswith("It is straight ahead")
    assert words[1] == PHRASES.say("hand_lost")
    assert words[2] == words[0]
    assert words[:4].count(words[1]) == asked


def test_who_was_told_to_reach_has_the_time_to(driver):
    """The reach may bring the hand into view by itself; and who was asked to show it is not sent on before that."""
    driver.watch(14.0, at=(0.0, 0.0, 0.9))
    (reach, first), (ask, second) = ((at, words.text) for at, words in driver.said[1:3])
    assert second == PHRASES.say("hand_lost")
    assert ask - reach > speech_seconds(first, 175) + 0.9 / 0.3
    before = len(driver.said)
    driver.watch(30.0, at=(0.0, 0.0, 0.9))
    again = next(at for at, words in driver.said[before - 1 :] if words.text == first)
    assert again - ask > speech_seconds(second, 175) + 1.5


def test_who_walks_on_is_told_to_go_on(driver):
    """Nearer with every word: no reason to ask for anything."""
    for step in range(100):
        driver.watch(0.1, at=(0.0, 0.0, 1.9 - 0.01 * step))
    assert PHRASES.say("hand_lost") not in driver.texts


def test_without_depth_nobody_is_said_to_get_no_nearer(driver):
    """How far it is, and whether it comes nearer, is not known then."""
    driver.watch(30.0, seen=product((0.0, 0.0, 1.0), depth=False))
    assert PHRASES.say("hand_lost") not in driver.texts


def test_a_turn_comes_before_the_hand(driver):
    """Told to go straight ahead, the person turned away: first the turn back."""
    driver.watch(2.0, at=(0.0, 0.0, 0.9))
    told = len(driver.texts)
    driver.watch(6.0, at=(0.5, 0.0, 0.9))
    assert "right" in driver.texts[told]


UNSURE = {"decision": Decision.AMBIGUOUS, "at": AT, "probability": 0.65}


def trying_on_one_view():
    """A search with one view to look at, whose hand is at a lone product that may be it."""
    driver = Driver(Guide(GuidanceSettings(search_columns=1, search_rows=1), PHRASES, WorstAxisFirst))
    driver.start()
    driver.watch(3.0, hand=(0.1, 0.05, 0.2), **UNSURE)
    driver.watch(6.0, hand=AT_IT, **UNSURE)
    return driver


def test_what_could_not_be_told_is_not_called_absent():
    """A lone product that was tried, and could be neither confirmed nor refused: nobody says that it is not there."""
    driver = trying_on_one_view()
    held = HeldPack(product(UP), 0.5, Verified.UNKNOWN)
    driver.watch(17.0, hand=UP_HAND, held=held, **UNSURE)
    assert any("cannot tell" in text for text in driver.texts)
    driver.watch(12.0, hand=(0.1, 0.05, 0.2), **UNSURE)
    assert PHRASES.say("absent", name=NAME) not in driver.texts


def test_what_may_be_it_and_is_not_ends_in_not_on_this_shelf():
    """A lone product that was tried and refused is not tried again: the shelf is searched, and then said not to have
    it."""
    driver = trying_on_one_view()
    held = HeldPack(product(UP), 0.05, Verified.NO)
    driver.watch(4.0, hand=UP_HAND, held=held, **UNSURE)
    assert driver.phase is Phase.WRONG_ITEM
    told = len(driver.texts)
    driver.watch(10.0, hand=(0.1, 0.05, 0.2), **UNSURE)
    assert driver.texts[told:] == [PHRASES.say("absent", name=NAME)]


def test_a_look_alike_needs_a_second_look_or_a_comparison(driver):
    """Found again and again is not enough for one of two look-alikes; a yes to the pack in the hand is."""
    driver.watch(3.0, Decision.AMBIGUOUS, hand=(0.1, 0.05, 0.2), at=AT, runner_up=product((0.3, 0.05, 0.6)))
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, at=AT, runner_up=product((0.3, 0.05, 0.6)))
    driver.watch(6.0, at=UP, hand=UP_HAND)
    assert driver.phase is Phase.CONFIRM
    driver.watch(3.0, at=UP, hand=UP_HAND, verified=Verified.YES)
    assert driver.phase is Phase.DONE


@pytest.mark.parametrize(
    ("known", "text"), [("Bran", THATS_IT), (NAME, "You have Corn Flakes, or one that looks just like it.")]
)
def test_a_look_alike_that_nobody_has_shown_is_named_with_it(driver, known, text):
    """A second look that knows nothing of the other one cannot hold it against it: the person is told so."""
    twins = {"at": AT, "runner_up": product((0.3, 0.05, 0.6), known)}
    driver.watch(3.0, Decision.AMBIGUOUS, hand=(0.1, 0.05, 0.2), **twins)
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, **twins)
    driver.watch(6.0, at=UP, hand=UP_HAND, verified=Verified.YES)
    assert driver.texts[-1] == text


@pytest.mark.parametrize(("mine", "size"), [((0.08, 0.24), "larger"), ((0.06, 0.18), "smaller")])
def test_look_alikes_of_two_sizes_are_told_by_their_size(driver, mine, size):
    """The half litre beside the litre: the person, who feels the size, hears which of the two is tried and taken."""
    pack, other = product(AT, size=mine), product((0.3, 0.05, 0.6), size=(0.07, 0.21))
    twins = {"seen": replace(pack, track_id=1), "runner_up": replace(other, track_id=2)}
    driver.watch(3.0, Decision.AMBIGUOUS, hand=(0.1, 0.05, 0.2), **twins)
    assert f"Two look alike. Let us try the {size} one." in driver.texts
    driver.watch(6.0, Decision.AMBIGUOUS, hand=AT_IT, **twins)
    # In the hand, where the fingers hide some of it, its size is not looked at.
    driver.watch(6.0, at=UP, hand=UP_HAND, verified=Verified.YES)
    assert driver.texts[-1] == f"You have the {size} of two that look like {NAME}."


def test_a_neighbour_in_the_hand_is_not_it(driver):
    """The hand goes away and the product stays where it is: another pack was taken, or none."""
    driver.take(3.0, at=AT)
    assert driver.texts[-1].startswith("That is not it. Put it back.")
    assert driver.phase is Phase.WRONG_ITEM


def test_nobody_is_sent_on_who_still_puts_a_pack_back(driver):
    """A slow arm: the way is told once the hand rests where it took the pack, and after three seconds in any case."""
    driver.take(3.0, at=AT)
    told = len(driver.texts)
    for step in range(26):
        driver.watch(0.1, at=AT, hand=(0.0, 0.1, 0.34 + 0.01 * step))
    assert driver.texts[told:] == []
    driver.watch(0.8, at=AT, hand=(0.0, 0.1, 0.59))
    assert driver.said[told][1].is_direction

    waiting = Driver()
    waiting.start()
    waiting.take(3.0, at=AT)
    told = len(waiting.texts)
    waiting.watch(9.0, at=AT, hand=UP_HAND)
    assert waiting.said[told][1].is_direction


def test_a_further_pack_beside_it_says_nothing(driver):
    """Perception may find the next facing while the first is in the hand: that is no sign against the one held."""
    driver.take(8.0, at=(0.22, 0.05, 0.6))
    assert count(driver, "That is not it") == 0


def test_a_lost_camera_does_not_make_the_pack_forgotten(driver):
    """After a gap in the pictures the pack in the hand is looked at on, and the hand is not sent anywhere."""
    driver.take(0.2)
    driver.wait(3.0)
    assert driver.phase is Phase.STALE
    driver.watch(6.0, at=UP, hand=UP_HAND)
    assert driver.texts[-2:] == ["Hold still, I lost the camera.", THATS_IT]


# Something in the way


def test_a_hand_in_the_line_of_sight_is_lowered(driver):
    """Lost behind one's own hand for more than a moment: that is said, not merely that it is lost."""
    driver.watch(1.0, at=AT, hand=(0.05, 0.025, 0.3))
    driver.watch(6.0, Decision.LOST, hand=(0.05, 0.025, 0.3))
    assert "Your hand is in front of it. Lower your hand." in driver.texts


def test_a_hand_close_to_what_it_hides_is_lowered_too(driver):
    """Before the product by little more than the thickness of a hand."""
    driver.watch(1.0, at=AT, hand=(0.05, 0.025, 0.33))
    driver.watch(6.0, Decision.LOST, hand=(0.05, 0.025, 0.33))
    assert "Your hand is in front of it. Lower your hand." in driver.texts


@pytest.mark.parametrize(
    ("across", "down", "hides"), [(0.0, -0.2, True), (0.0, -0.4, False), (0.0, 0.2, False), (0.15, -0.2, False)]
)
def test_an_arm_in_the_line_of_sight_is_lowered(driver, across, down, hides):
    """A hand above the product hides it by its forearm; one that is beside, below or far above does not."""
    hand = (0.05 + across, 0.025 + down, 0.3)
    driver.watch(1.0, at=AT, hand=hand)
    driver.watch(6.0, Decision.LOST, hand=hand)
    assert ("Your hand is in front of it. Lower your hand." in driver.texts) == hides


def test_who_lowered_the_hand_is_led_on_at_once(driver):
    """The sentence is said once, and what comes next does not wait until it might be said again."""
    driver.watch(1.0, at=AT, hand=(0.05, 0.025, 0.3))
    driver.watch(2.2, Decision.LOST, hand=(0.05, 0.025, 0.3))
    driver.watch(5.0, at=AT, hand=(0.05, 0.2, 0.3))
    assert driver.texts[-2] == "Your hand is in front of it. Lower your hand."
    assert "Up" in driver.texts[-1]


@pytest.mark.parametrize("decision", [Decision.SEARCHING, Decision.ABSENT])
def test_what_vanished_behind_the_hand_is_not_searched_for_elsewhere(driver, decision):
    """Whether or not perception knows that it was there; said once, then the shelf is gone over."""
    driver.watch(1.0, at=AT, hand=(0.05, 0.025, 0.3))
    driver.watch(30.0, decision, hand=(0.05, 0.025, 0.3))
    assert driver.texts[1:3] == ["Your hand is in front of it. Lower your hand.", PHRASES.say("scan.down")]
    assert count(driver, "Lower your hand") == 1


def test_a_hand_before_another_view_hides_nothing_known(driver):
    """Once the camera was turned, the place where it was seen is another."""
    driver.watch(1.0, at=AT, hand=(0.3, 0.025, 0.3))
    driver.watch(12.0, Decision.SEARCHING, hand=(0.3, 0.025, 0.3))
    driver.watch(30.0, Decision.SEARCHING, hand=(0.05, 0.025, 0.3))
    assert count(driver, "Lower your hand") == 0


def test_a_hand_that_does_not_get_on_is_led_out(driver):
    """Sent the same way in vain: back a little; when it still does not reach it, a step closer."""
    driver.watch(60.0, at=AT, hand=(0.1, 0.05, 0.37))
    ways_out = [text for text in driver.texts if "Reach forward" not in text]
    assert ways_out[1:3] == [
        "Something is in the way. Pull your hand back a little.",
        "It is out of your reach. Take a step closer.",
    ]


def test_a_doubtful_product_at_the_hand_is_said(driver):
    """The person at a product that a second look calls another one hears that it is being checked, not nothing."""
    driver.watch(4.0, at=AT, hand=AT_IT, verified=Verified.NO)
    assert "You are at it. Hold still while I check." in driver.texts


# Not found


def test_searching_goes_along_and_up_the_shelf(driver):
    """In a spiral over every view once, each with time to look; then back along it, view by view."""
    driver.watch(90.0, Decision.SEARCHING)
    swept = ("scan.down", "scan.left", "sweep.up", "sweep.right", "sweep.down")
    back = ("up", "up", "left", "left", "down", "down", "right", "up")
    assert driver.texts[1:14] == [PHRASES.say(key) for key in (*swept, *(f"scan.{side}" for side in back))]
    times = [at for at, _ in driver.said[1:]]
    assert min(later - earlier for earlier, later in pairwise(times)) > 4.0


def test_absent_is_said_once_the_whole_shelf_was_seen(driver):
    """Not of the first view: after the last turn, once; then the search goes on slowly, as was promised."""
    driver.watch(120.0, Decision.ABSENT)
    assert [text.startswith("Corn Flakes is not on this shelf") for text in driver.texts].index(True) == 6
    assert count(driver, "Corn Flakes is not on this shelf") == 1
    assert driver.texts[7:9] == [PHRASES.say("scan.up")] * 2
    times = [at for at, _ in driver.said[6:]]
    assert min(later - earlier for earlier, later in pairwise(times)) > GuidanceSettings().absent_scan_every


def test_a_view_without_the_product_is_left_sooner(driver):
    """A verdict on the whole view spares the wait."""
    other = Driver()
    other.start()
    driver.watch(30.0, Decision.ABSENT)
    other.watch(30.0, Decision.SEARCHING)
    (sooner, last), (later, same) = driver.said[5], other.said[5]
    assert last.text == same.text
    assert sooner < later - 2


def test_lost_for_a_moment_is_not_said(driver):
    """A frame or two without the product is not worth a word; longer is."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    for _ in range(5):
        driver.watch(0.3, Decision.LOST)
        driver.watch(0.3, at=AT, hand=(-0.2, 0.05, 0.3))
    assert count(driver, "lost sight") == 0
    driver.watch(12.0, Decision.LOST)
    assert count(driver, "I lost sight of it. Hold still.") == 1
    assert count(driver, "Move back a little.") >= 1


def test_lost_while_the_camera_turns_to_it_is_no_reason_to_turn_on(driver):
    """A fast turn blurs the pictures: the product was at the edge in the last sharp one, and comes in with it. One
    that goes over the edge by itself is turned to."""
    driver.watch(2.5, at=(0.35, 0.0, 0.8), hand=(0.0, 0.1, 0.4))
    assert driver.texts[1:] == ["Turn to the right."]
    driver.watch(1.2, at=(0.25, 0.0, 0.8), hand=(0.0, 0.1, 0.4))
    driver.watch(2.0, Decision.LOST)
    assert driver.texts[2:] == ["I lost sight of it. Hold still."]
    driver.watch(6.0, at=(0.2, 0.0, 0.8), hand=(0.15, 0.1, 0.6))
    told = len(driver.texts)
    driver.watch(2.0, Decision.LOST)
    assert driver.texts[told:] == ["Turn slowly to the right."]


def test_look_alikes_are_named_with_their_sides(driver):
    """Which two, and where; then what to do about it: a hand could try them, and from nearer they may be told."""
    bran = product((-0.2, 0.05, 0.6), "Bran Flakes")
    driver.watch(40.0, Decision.AMBIGUOUS, at=AT, runner_up=bran)
    assert "Bran Flakes on the left and Corn Flakes on the right" in driver.texts[1]
    assert driver.texts[2] == "I cannot see your hand. Hold it in front of the camera."
    assert "I am still not sure. Move a little closer." in driver.texts[3:5]


# No picture


def test_a_missing_picture_is_said_once_and_mends_itself(driver):
    """Half a second without a picture: one notice however long it lasts; guidance goes on with the next picture."""
    driver.watch(3.0, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.wait(4.0)
    assert driver.phase is Phase.STALE
    assert driver.texts[-1] == "Hold still, I lost the camera."
    driver.watch(0.2, at=AT, hand=(-0.2, 0.05, 0.3))
    assert driver.phase is Phase.AIM
    driver.watch(4.0, at=AT, hand=(-0.2, 0.05, 0.3))
    assert driver.texts[-1] == "About a foot to the right."


def test_a_lost_camera_is_told_within_half_a_second(driver):
    """From the stamp of the last picture, by the guide's own clock: the age of a picture, the wait, and one tick."""
    driver.watch(3.0, at=AT, hand=(-0.2, 0.05, 0.3))
    last_picture_ns = driver.now_ns - 60_000_000
    while driver.texts[-1] != "Hold still, I lost the camera.":
        driver.wait(0.05)
        assert driver.now_ns - last_picture_ns <= 500_000_000


def test_a_camera_that_comes_and_goes_is_not_a_refrain(driver):
    """The notice is not repeated at every gap."""
    for _ in range(8):
        driver.watch(0.3, at=AT)
        driver.wait(0.8)
    assert count(driver, "I lost the camera") <= 2


def test_the_first_picture_is_waited_for(driver):
    """A camera that is starting is not a lost one; one that never starts is."""
    driver.wait(2.5)
    assert driver.phase is Phase.SEARCH
    driver.wait(2.0)
    assert driver.phase is Phase.STALE


@pytest.mark.parametrize("age_ms", [301, 450, 5000, -200, -5000])
def test_pictures_too_old_or_from_the_future_are_no_pictures(driver, age_ms):
    """Late frames give no direction; if there are no others the person hears that the picture is missing."""
    driver.watch(6.0, at=AT, age_ms=age_ms)
    assert driver.texts == ["Looking for Corn Flakes.", "Hold still, I lost the camera."]


def test_an_overtaken_frame_changes_nothing(driver):
    """Of two frames the newer counts, also when it came first."""
    driver.wait(2.0)
    driver.see(at=AT, hand=(-0.2, 0.05, 0.3), age_ms=50)
    driver.see(Decision.ABSENT, age_ms=200)
    assert driver.phase is Phase.AIM


def test_a_bag_that_starts_again(driver):
    """The clock jumps back by an hour: guidance goes on within a second of new pictures."""
    driver.watch(3.0, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.now_ns -= 3600 * 1000 * MS
    driver.watch(4.0, at=AT, hand=(-0.2, 0.05, 0.3))
    assert driver.phase is Phase.AIM
    assert driver.said[-1][1].stamp_ns > driver.now_ns - 4000 * MS


def test_old_data_do_not_become_young_when_the_clock_jumps_back(driver):
    """A picture of before the jump is as old as it is, whatever its stamp says later."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    before = len(driver.said)
    driver.now_ns -= 6000 * MS
    driver.wait(7.0)
    assert [instruction for _, instruction in driver.said[before:] if instruction.is_direction] == []
    assert driver.repeat().text == "I am waiting for the camera."


def test_a_small_jump_back_does_not_lengthen_a_life(driver):
    """Data that arrived 400 ms ago are old, though a clock that was set back by 400 ms calls them new."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.now_ns -= 400 * MS
    driver.wait(0.4)
    assert driver.repeat().text == "I am waiting for the camera."


# Targets


def test_sightings_of_another_product_are_ignored(driver):
    """After a change of target, what perception still says of the old one leads nobody."""
    driver.watch(2.5, at=AT, hand=AT_IT, name="Bran Flakes")
    assert len(driver.said) == 1
    other = Driver()
    other.start(target_id="flakes-large")
    other.watch(2.5, at=AT, hand=AT_IT)
    assert len(other.said) == 1
    other.start(target_id="flakes")
    other.watch(2.5, at=AT, hand=AT_IT)
    assert other.phase is Phase.CONFIRM


def test_a_new_start_forgets_the_old_search(driver):
    """Nothing of the last search, not even its confirmation, is carried over."""
    driver.take()
    assert driver.phase is Phase.DONE
    instruction = driver.start()
    assert instruction.urgency is Urgency.HIGH
    assert driver.phase is Phase.SEARCH
    driver.take()
    assert count(driver, "That's it") == 2


# Stop and repeat


def test_stop_is_at_once_and_lasts(driver):
    """In the middle of speech and movement; afterwards silence whatever is seen."""
    driver.watch(1.6, at=AT, hand=(-0.2, 0.05, 0.3))
    instruction = driver.stop()
    assert (instruction.urgency, instruction.phase, instruction.text) == (Urgency.STOP, Phase.STOPPED, "")
    before = len(driver.said)
    driver.watch(10.0, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.wait(5.0)
    assert len(driver.said) == before
    assert driver.phase is Phase.STOPPED


def test_repeat_tells_what_is_true_now(driver):
    """The hand has moved since: the answer is not the old instruction, and it comes at once."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    assert "right" in driver.texts[-1]
    driver.see(at=AT, hand=(0.4, 0.05, 0.3))
    instruction = driver.repeat()
    assert instruction.text == "About a foot to the left."
    assert instruction.urgency is Urgency.HIGH


def test_repeat_without_fresh_data_says_what_it_waits_for(driver):
    """A picture of 400 ms ago answers nothing; a hand neither."""
    driver.watch(2.0, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.wait(0.4)
    assert driver.repeat().text == "I am waiting for the camera."
    driver.watch(0.5, at=AT)
    assert driver.repeat().text == "I cannot see your hand. Hold it in front of the camera."


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (Decision.SEARCHING, "Point the camera slowly lower."),
        (Decision.ABSENT, "Point the camera slowly lower."),
        (Decision.LOST, "I lost sight of it. Hold still."),
    ],
)
def test_repeat_while_nothing_is_found(driver, decision, text):
    """The person hears how it stands without waiting for the phase to settle."""
    driver.wait(0.1)
    driver.see(decision)
    assert driver.repeat().text == text


def test_repeat_when_there_is_nothing_to_repeat():
    """Idle, stopped and done have their own answers; done does not claim that it is still at hand."""
    driver = Driver()
    assert driver.repeat().text == "No product is chosen."
    driver.start()
    driver.take()
    assert driver.repeat().text == "You have found Corn Flakes."
    driver.stop()
    assert driver.repeat().text == "I have stopped. Choose a product to start again."


def test_after_a_stop_the_voice_is_not_waited_for(driver):
    """The report that a speech ended may be lost with the stop that cut it; the next search does not wait for it."""
    driver.guide.on_speaking(True, driver.now_ns)
    driver.stop()
    driver.start()
    driver.watch(3.0, at=AT, hand=(-0.2, 0.05, 0.3))
    assert driver.texts[-1] == "About a foot to the right."


# The voice


def test_nothing_is_said_while_the_voice_speaks(driver):
    """A slow voice is waited for, beyond the reckoned time."""
    driver.guide.on_speaking(True, driver.now_ns)
    driver.watch(5.0, at=AT, hand=(-0.2, 0.05, 0.3))
    assert len(driver.said) == 1
    driver.guide.on_speaking(False, driver.now_ns)
    driver.watch(0.2, at=AT, hand=(-0.2, 0.05, 0.3))
    assert len(driver.said) == 2


def test_an_instruction_that_the_voice_dropped_is_made_anew(driver):
    """A voice that reports, and did not begin: the person heard nothing, so the next chance is taken soon."""
    driver.guide.on_speaking(True, driver.now_ns)
    driver.wait(1.0)
    driver.guide.on_speaking(False, driver.now_ns)
    driver.watch(0.3, at=AT, hand=(-0.2, 0.05, 0.3))
    driver.watch(1.2, at=AT, hand=(-0.2, 0.05, 0.3))
    assert driver.texts[1:] == ["About a foot to the right."] * 2


def test_a_faster_voice_gets_instructions_sooner():
    """The reckoned time of speech follows the rate."""

    def second_at(rate):
        driver = Driver(Guide(GuidanceSettings(speech_rate_wpm=rate), PHRASES))
        driver.start()
        driver.watch(12.0, at=AT, hand=(-0.2, 0.05, 0.3))
        return driver.said[1][0]

    assert second_at(400) < second_at(175) < second_at(80)


# Odd numbers


@pytest.mark.parametrize(
    "seen",
    [
        product(AT, bearing=(math.nan, 0, 1)),
        product(AT, bearing=(0, 0, -1)),
        product(AT, bearing=(0, 0, 0)),
        product(AT, bearing=(0, math.inf, 1)),
        product(AT, bearing=(1, 0)),
        None,
    ],
)
def test_a_product_without_a_usable_bearing_is_out_of_view(driver, seen):
    """Nothing can be said of where it is."""
    driver.wait(2.0)
    driver.see(seen=seen)
    assert driver.phase is Phase.LOST


@pytest.mark.parametrize("xyz", [(math.nan, 0, 0.6), (0, 0, math.inf), (0.1, 0.1, -0.5), (0.1, 0.1, 0.0)])
def test_an_unusable_position_counts_as_no_depth(driver, xyz):
    """The bearing still gives a direction; no number is made up."""
    odd = replace(product((0.0, 0.0, 0.6)), position=Position(np.array(xyz, float), np.eye(3)))
    driver.watch(2.0, seen=odd)
    assert driver.texts[1] == "It is straight ahead. Reach forward."


@pytest.mark.parametrize("hand", [(math.nan, 0, 0.3), (0, 0), (math.inf, 0, 0)])
def test_an_unusable_hand_is_no_hand(driver, hand):
    """As if it had not been seen."""
    driver.guide.on_hand(hand, None, driver.now_ns)
    driver.watch(2.0, at=(0.0, 0.0, 0.6))
    assert driver.texts[1].startswith("It is straight ahead.")


def test_a_way_that_cannot_be_reckoned_is_not_said_of_the_hand(driver):
    """A bearing along the image plane and a hand at the lens: infinity times nothing. The camera is turned instead."""
    driver.wait(2.0)
    driver.guide.on_hand((0.0, 0.0, 0.0), None, driver.now_ns)
    with np.errstate(all="ignore"):
        driver.see(seen=product(AT, bearing=(1.0, 0.0, 1e-310), depth=False))
    assert driver.texts[1:] == ["Turn far to the right."]


def test_distance_is_known_only_while_it_is(driver):
    """Progress shows metres from palm to product, and not-a-number once the data are old."""
    driver.wait(0.1)
    driver.see(at=AT, hand=(0.1, 0.05, 0.17))
    assert driver.guide.distance(driver.now_ns) == pytest.approx(0.40)
    assert math.isnan(driver.guide.distance(driver.now_ns + 400 * MS))


def test_instructions_carry_stamp_frame_and_number(driver):
    """The stamp is that of the older of picture and hand; numbers count up."""
    driver.wait(2.0)
    driver.guide.on_hand((-0.2, 0.05, 0.3), None, driver.now_ns - 150 * MS)
    instruction = driver.keep(
        driver.guide.on_sighting(sighting(driver.now_ns - 20 * MS, Decision.FOUND, product(AT)), driver.now_ns)
    )
    assert instruction.stamp_ns == driver.now_ns - 150 * MS
    assert instruction.valid_until_ns == instruction.stamp_ns + 300 * MS
    assert instruction.frame_id == "camera"
    assert instruction.sequence == 2
    assert driver.guide.target_name == NAME


def test_confirmed_once_the_second_look_agrees(driver):
    """A look that takes its time holds back the words, not the way there; after its yes they come."""
    driver.take(2.0, verified=Verified.PENDING)
    assert driver.phase is Phase.CONFIRM
    driver.watch(4.0, at=UP, hand=UP_HAND, verified=Verified.YES)
    assert driver.phase is Phase.DONE
