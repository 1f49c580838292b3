"""The last seconds of a camera, within the memory that they may take."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from drawn_shelf import draw_shelf
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.regression.ring import FrameRing
from shelfhelp_ros.sightings import Frame

SECOND = 1_000_000_000
CAMERA = CameraModel(640, 480, 600, 600, 320, 240)


def frame(stamp_ns: int, side: int = 32) -> Frame:
    return Frame(stamp_ns, "camera", np.full((side, side, 3), 90, np.uint8))


def test_what_goes_in_comes_out() -> None:
    """The picture but for JPEG, depth to the millimetre with its holes, calibration and stamp as they were."""
    image = draw_shelf([1, 2, 3, 4], (640, 480))[0]
    depth = np.full((480, 640), 0.8004, np.float32)
    depth[:50] = np.nan
    ring = FrameRing(10, 5)
    assert ring.add(Frame(7 * SECOND, "camera", image, depth, CAMERA), SECOND)
    (kept,) = ring.frames()
    assert (kept.stamp_ns, kept.frame_id, kept.camera) == (7 * SECOND, "camera", CAMERA)
    assert np.abs(kept.image.astype(int) - image).mean() < 3
    np.testing.assert_allclose(kept.depth, np.where(np.isnan(depth), np.nan, 0.8), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3 * SECOND), max_size=40), st.floats(1, 5), st.floats(0.5, 30))
def test_never_more_than_was_asked_for(steps: list[int], seconds: float, rate: float) -> None:
    """However frames come: in order, none older than the span, none closer than the rate allows, the newest kept."""
    ring, stamp = FrameRing(seconds, rate), 0
    for step in steps:
        stamp += step
        ring.add(frame(stamp), stamp)
        stamps = [kept.stamp_ns for kept in ring.frames()]
        assert stamps == sorted(stamps)
        assert stamps[-1] - stamps[0] <= seconds * 1e9 + 1
        assert all(b - a >= 0.89e9 / rate for a, b in pairwise(stamps))
        assert stamp - stamps[-1] < 1e9 / rate


def test_memory_is_bounded() -> None:
    """Frames that would take more memory let the oldest go."""
    ring, random = FrameRing(1000, 1, megabytes=0.2), np.random.default_rng(0)
    for second in range(30):
        noise = random.integers(0, 256, (128, 128, 3), np.uint8)
        ring.add(Frame(second * SECOND, "camera", noise), second * SECOND)
        assert ring.megabytes <= 0.2
    stamps = [kept.stamp_ns for kept in ring.frames()]
    assert 2 <= len(stamps) < 30
    assert stamps[-1] == 29 * SECOND


def test_time_that_runs_backwards_begins_anew() -> None:
    """A bag that begins again does not mix with its own end."""
    ring = FrameRing(10, 5)
    for second, stamp in enumerate((5 * SECOND, 6 * SECOND, 1 * SECOND)):
        ring.add(frame(stamp), second * SECOND)
    assert [kept.stamp_ns for kept in ring.frames()] == [1 * SECOND]


def test_a_clock_that_jumps_ahead_leaves_the_past() -> None:
    """The camera's stamps jump by an hour: what came before is kept for as long as any, and no frame more."""
    ring, stamps = FrameRing(10, 5), [second * SECOND + (3600 * SECOND if second >= 6 else 0) for second in range(14)]
    for second, stamp in enumerate(stamps):
        ring.add(frame(stamp), second * SECOND)
    assert [kept.stamp_ns for kept in ring.frames()] == stamps[3:]
