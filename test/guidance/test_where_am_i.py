"""The answer to "where am I?": true, fresh, and never silent."""

from __future__ import annotations

import numpy as np
import pytest
from guide_driver import MS, NAME, Driver, product
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.guidance.instruction import Urgency
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.settings import FRESH_NS
from shelfhelp_ros.sightings import Decision, Sightings

SIDES = ("left", "right", "up", "down", "forward", "ahead", "above", "below", "o'clock")
AT, HAND = (0.2, -0.1, 0.8), (0.0, 0.0, 0.5)


def in_view(stamp_ns: int, *names: str) -> Sightings:
    return Sightings(stamp_ns, "camera", (640, 480), tuple(product(AT, name) for name in names))


def ask(driver: Driver, products: Sightings | None = None):
    return driver.keep(driver.guide.where_am_i(driver.now_ns, products))


def test_phase_place_and_view_in_one_answer() -> None:
    """It cuts in, and expires with the picture that it rests on."""
    driver = Driver()
    driver.start()
    driver.watch(1.0, at=AT, hand=HAND)
    driver.see(at=AT, hand=HAND, age_ms=100)
    answer = ask(driver, in_view(driver.now_ns - 90 * MS, NAME, "Tea", ""))
    assert answer.text == (
        "I see Corn Flakes. From your hand it is right 8 inches, up 4 inches, forward 10 inches. "
        "3 products are in view. Among them Corn Flakes, Tea."
    )
    assert answer.urgency is Urgency.HIGH
    assert answer.valid_until_ns == driver.now_ns - 100 * MS + FRESH_NS
    assert not answer.is_direction


def test_without_a_hand_the_place_is_told_from_the_body() -> None:
    """And a hand that was seen before is said to be out of view."""
    driver = Driver()
    driver.start()
    driver.see(at=AT)
    assert ask(driver).text == "I see Corn Flakes. It is to your right, about 3 feet away, 4 inches above the camera."
    driver.watch(0.5, at=AT, hand=HAND)
    driver.watch(0.6, at=AT)
    assert ask(driver).text == "I am looking for Corn Flakes. I do not see your hand."


def test_without_a_distance_the_way_is_told() -> None:
    """A camera without depth knows the side."""
    driver = Driver()
    driver.start()
    driver.see(seen=product(AT, depth=False))
    assert ask(driver).text == "I see Corn Flakes. Turn to the right."


@pytest.mark.parametrize(
    ("decision", "begins"),
    [
        (Decision.SEARCHING, "I am looking for Corn Flakes."),
        (Decision.LOST, "I lost sight of it."),
        (Decision.AMBIGUOUS, "I am not sure that this is Corn Flakes."),
    ],
)
def test_phases_without_a_place(decision, begins) -> None:
    """What is going on is said, and no side."""
    driver = Driver()
    driver.start()
    driver.see(decision)
    text = ask(driver, in_view(driver.now_ns)).text
    assert text.startswith(begins)
    assert text.endswith("No product is in view.")
    assert not any(side in text for side in SIDES)


def test_a_pack_in_the_hand_has_no_way_to_it() -> None:
    """Once it is to be taken, the answer is what to do with it, and no side."""
    driver = Driver()
    driver.start()
    for _ in range(20):
        if driver.phase is Phase.CONFIRM:
            break
        driver.watch(0.3, at=(0.1, 0.05, 0.6), hand=(0.1, 0.05, 0.57))
    assert driver.phase is Phase.CONFIRM
    assert ask(driver).text == "Take it and show me."


def test_nothing_is_looked_for() -> None:
    """Before, and after a stop."""
    driver = Driver()
    assert ask(driver).text == "No product is chosen."
    driver.start()
    driver.stop()
    assert ask(driver).text.startswith("I have stopped.")


def test_a_dead_camera_is_told() -> None:
    """An answer comes without any picture."""
    driver = Driver()
    driver.start()
    driver.watch(1.0, at=AT, hand=HAND)
    driver.wait(2.0)
    answer = ask(driver, in_view(driver.now_ns - 2000 * MS, "Tea"))
    assert answer.text.startswith("I am waiting for the camera.")
    assert not any(side in answer.text for side in SIDES)
    assert answer.valid_until_ns > driver.now_ns


@given(st.floats(0, 600), st.floats(0, 600), st.floats(0, 600))
@settings(deadline=None, max_examples=60)
def test_no_answer_tells_a_place_from_old_data(seen, hand, waited) -> None:
    """Whatever is how old: a side is named only from a picture and a hand of less than 300 ms, and holds no longer."""
    driver = Driver()
    driver.start()
    driver.guide.on_hand(HAND, np.eye(3) * 1e-4, driver.now_ns - int(hand * MS))
    driver.see(at=AT, age_ms=seen)
    driver.now_ns += int(waited * MS)
    answer = ask(driver)
    if any(side in answer.text for side in SIDES):
        assert max(seen, hand) + waited < 300
        assert answer.valid_until_ns <= driver.now_ns + FRESH_NS - int((max(seen, hand) + waited) * MS) + 2
    assert answer.text
    assert answer.valid_until_ns > driver.now_ns
