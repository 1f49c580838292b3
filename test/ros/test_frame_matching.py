"""Newest frame wins, and a frame gets the depth and calibration of its own stamp."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.nodes.frame_matching import FrameMatcher

MS = 1_000_000


def test_the_newest_frame_is_taken_and_the_older_ones_are_counted_as_dropped() -> None:
    """A slow machine must work on what is in front of the camera now."""
    matcher = FrameMatcher(20 * MS, 0.0)
    for stamp in (1, 2, 3):
        matcher.put_colour(stamp, f"image {stamp}")
    taken = matcher.take(0.0)
    assert taken is not None
    assert taken.colour == "image 3"
    assert matcher.dropped == 2
    assert matcher.take(0.0) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_every_frame_is_taken_or_counted_as_dropped(stamps: list[int]) -> None:
    """Diagnostics add up, also with stamps that repeat or run backwards."""
    matcher = FrameMatcher(0, 0.0)
    for stamp in stamps:
        matcher.put_colour(stamp * MS, stamp)
    taken = 0
    while matcher.take(0.0) is not None:
        taken += 1
    assert taken + matcher.dropped == matcher.received == len(stamps)


def test_depth_and_calibration_of_the_same_stamp_come_along() -> None:
    """A position from the depth of another moment would send the hand to where the shelf was."""
    matcher = FrameMatcher(20 * MS, 0.0)
    for stamp in (100, 200, 300):
        matcher.put_depth(stamp * MS, f"depth {stamp}")
        matcher.put_camera(stamp * MS, f"camera {stamp}")
    matcher.put_colour(205 * MS, "image")
    taken = matcher.take(0.0)
    assert taken is not None
    assert (taken.depth, taken.camera) == ("depth 200", "camera 200")


def test_depth_beyond_the_slop_is_left_out() -> None:
    """Without depth of its own the frame still gives a direction."""
    matcher = FrameMatcher(20 * MS, 0.0)
    matcher.put_depth(100 * MS, "depth")
    matcher.put_colour(150 * MS, "image")
    taken = matcher.take(0.0)
    assert taken is not None
    assert taken.depth is None


def test_a_frame_waits_for_depth_that_is_on_its_way() -> None:
    """Aligning depth takes the camera longer than colour; the frame waits for it."""
    matcher = FrameMatcher(0, 5.0)
    matcher.put_depth(0, "old depth")
    matcher.put_colour(100 * MS, "image")
    later = threading.Timer(0.1, matcher.put_depth, (100 * MS, "depth"))
    later.start()
    taken = matcher.take(10.0)
    later.join()
    assert taken is not None
    assert taken.depth == "depth"


def test_a_complete_frame_goes_before_a_newer_one_without_its_depth() -> None:
    """With depth always one frame late, every frame still has its depth."""
    matcher = FrameMatcher(0, 5.0)
    matcher.put_colour(100 * MS, "first")
    matcher.put_depth(100 * MS, "depth of the first")
    matcher.put_colour(200 * MS, "second")
    taken = matcher.take(0.0)
    assert taken is not None
    assert (taken.colour, taken.depth) == ("first", "depth of the first")
    assert matcher.dropped == 0


def test_without_a_depth_camera_nothing_waits() -> None:
    """A webcam must not pay for depth that never comes."""
    matcher = FrameMatcher(0, 60.0)
    matcher.put_colour(1, "image")
    assert matcher.take(0.0) is not None


def test_closing_wakes_the_worker() -> None:
    """A node that shuts down does not hang on a camera that is silent."""
    matcher = FrameMatcher(0, 0.0)
    closing = threading.Timer(0.05, matcher.close)
    closing.start()
    began = time.monotonic()
    assert matcher.take(60.0) is None
    closing.join()
    assert time.monotonic() - began < 30
