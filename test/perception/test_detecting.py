"""Detection beside the frames: none waits for it, and what it finds is where the camera has carried it since."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from by_hand import ByHand
from drawn_shelf import draw_shelf

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.perception.detecting import Detecting
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.motion import Affine
from shelfhelp_ros.sightings import Frame

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
STEP_NS = 50_000_000


@pytest.fixture(scope="module")
def detector(tiny_models) -> Detector:
    return Detector.load(tiny_models, "cpu", 1)


def frame(step: int) -> Frame:
    """The shelf in a picture that moves on by six pixels a step."""
    return Frame(step * STEP_NS, "camera", draw_shelf(SHELF, shift=(6 * step, 0))[0])


def moved(pixels: float = 6.0) -> Affine:
    return np.array([[1.0, 0.0, pixels], [0.0, 1.0, 0.0]])


def begun(detector: Detector, beside: Executor) -> Detecting:
    """Products are known from frame 0."""
    detecting = Detecting(lambda frame, threshold: detector.detect(frame.image, threshold), beside)
    if isinstance(beside, ByHand):
        detecting._beside = None
        detecting.update(frame(0), None, 0.1, None)
        detecting._beside = beside
    else:
        detecting.update(frame(0), None, 0.1, None)
    return detecting


def test_what_is_found_is_carried_to_the_frame_in_which_it_is_known(detector: Detector) -> None:
    """Begun in frame 2 and done in frame 5: the boxes are those of frame 5, and the next detection begins there."""
    thread = ByHand()
    detecting = begun(detector, thread)
    for step in (1, 2, 3, 4):
        assert detecting.update(frame(step), moved(), 0.1, None) is None
    thread.run()
    found = detecting.update(frame(5), moved(), 0.1, None)
    assert found is not None
    truth = draw_shelf(SHELF, shift=(30, 0))[1]
    assert (iou(truth, found.boxes).max(axis=1) > 0.8).all()
    assert detecting.update(frame(6), moved(), 0.1, None) is None
    thread.run()
    assert detecting.update(frame(7), moved(), 0.1, None) is not None


def test_a_frame_that_cannot_be_followed_is_waited_for(detector: Detector) -> None:
    """What was begun in another view is not taken for this one."""
    with ThreadPoolExecutor(1) as thread:
        detecting = begun(detector, thread)
        detecting.update(frame(2), moved(12), 0.1, None)
        found = detecting.update(frame(5), None, 0.1, None)
    assert found is not None
    truth = draw_shelf(SHELF, shift=(30, 0))[1]
    assert (iou(truth, found.boxes).max(axis=1) > 0.8).all()


def test_products_are_not_followed_for_ever(detector: Detector) -> None:
    """Where detection takes longer than half a second, the frame waits: nothing older is shown as new."""
    with ThreadPoolExecutor(1) as thread:
        detecting = begun(detector, thread)
        frames = [Frame(step * STEP_NS, "camera", frame(2).image) for step in (6, 10, 14)]
        detecting.update(frame(2), moved(12), 0.1, None)
        detecting._running = slow = thread.submit(_slow, detecting._running)
        found = [detecting.update(frame, moved(0), 0.1, None) for frame in frames]
        assert found[-1] is not None or found[-2] is not None
        assert slow.done()


def test_each_frame_of_a_slow_camera_is_detected_in(detector: Detector) -> None:
    """What is found must not come a third of a second late where there is time enough for it."""
    with ThreadPoolExecutor(1) as thread:
        detecting = begun(detector, thread)
        for step in (6, 12, 18):
            assert detecting.update(Frame(step * STEP_NS, "camera", frame(0).image), moved(0), 0.1, None) is not None


def _slow(found: Future[Any]) -> Any:
    import time

    time.sleep(0.3)
    return found.result()


def test_what_the_detector_says_is_raised_in_the_frame_that_hears_of_it(detector: Detector) -> None:
    """Once; the next detection is tried again."""
    thread = ByHand()
    detecting = begun(detector, thread)
    broken = Frame(2 * STEP_NS, "camera", np.zeros((0, 0, 3), np.uint8))
    assert detecting.update(broken, moved(0), 0.1, None) is None
    thread.run()
    with pytest.raises(ShelfHelpError):
        detecting.update(frame(3), moved(0), 0.1, None)
    assert detecting.update(frame(4), moved(0), 0.1, None) is None
    thread.run()
    assert detecting.update(frame(5), moved(), 0.1, None) is not None
