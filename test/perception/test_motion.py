"""The camera's motion is measured from the picture, and the box filter follows what moves evenly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.perception.motion import BoxFilter, CameraMotion, FilterNoise, move_boxes, still


def wall(width: int = 900, height: int = 700) -> np.ndarray:
    """A picture full of corners, without repetition."""
    random = np.random.default_rng(1)
    small = random.integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("shift", [(0, 0), (12, -7), (-60, 20), (110, 0)])
def test_pan(shift):
    """A pan of up to a sixth of the picture is measured to a pixel or two."""
    motion = CameraMotion()
    image = wall()
    np.testing.assert_array_equal(motion.update(image[100:580, 130:770]), still())
    x, y = 130 - shift[0], 100 - shift[1]
    measured = motion.update(image[y : y + 480, x : x + 640])
    np.testing.assert_allclose(measured[:, 2], shift, atol=2)
    np.testing.assert_allclose(measured[:, :2], np.eye(2), atol=0.01)
    assert motion.measured


def test_zoom():
    """Coming nearer is measured as a scale about the middle."""
    motion = CameraMotion()
    image = wall(640, 480)
    motion.update(image)
    zoomed = cv2.warpAffine(image, np.array([[1.1, 0, -32.0], [0, 1.1, -24.0]]), (640, 480))
    measured = motion.update(zoomed)
    np.testing.assert_allclose(measured, [[1.1, 0, -32], [0, 1.1, -24]], atol=2)
    assert measured[0, 0] == pytest.approx(1.1, abs=0.01)


@pytest.mark.parametrize("other", ["blank", "cut", "size"])
def test_what_cannot_be_measured_is_no_motion(other):
    """A blank wall, another scene and another picture size give no motion rather than a wild one."""
    motion = CameraMotion()
    motion.update(wall(640, 480))
    random = np.random.default_rng(9).integers(0, 256, (480, 640, 3), np.uint8)
    image = {"blank": np.zeros((480, 640, 3), np.uint8), "cut": random, "size": wall(320, 240)}[other]
    np.testing.assert_array_equal(motion.update(image), still())
    assert not motion.measured


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(0.5, 2))
def test_boxes_move_with_the_picture(x, y, scale):
    """A box carried along covers what it covered."""
    boxes = np.array([[10, 20, 50, 100]], np.float32)
    moved = move_boxes(boxes, np.array([[scale, 0, x], [0, scale, y]]))
    np.testing.assert_allclose(moved, boxes * scale + [x, y, x, y], rtol=1e-4, atol=1e-3)


def test_filter_learns_the_speed():
    """After a second of even motion the prediction is right to a few pixels, and a jittered box is smoothed."""
    random = np.random.default_rng(0)
    box = np.array([100, 100, 180, 220], np.float32)
    tracked = BoxFilter(box, FilterNoise())
    for step in range(1, 12):
        tracked.predict(0.1, still())
        tracked.correct((box + np.float32([8, 0, 8, 0]) * step + random.normal(0, 1, 4)).astype(np.float32))
    tracked.predict(0.3, still())
    np.testing.assert_allclose(tracked.box, box + np.float32([8, 0, 8, 0]) * 14, atol=6)


def test_filter_box_stays_valid():
    """A box that shrinks away keeps a pixel of width."""
    tracked = BoxFilter(np.array([0, 0, 10, 10], np.float32), FilterNoise())
    for side in (8, 6, 4, 2):
        tracked.predict(0.1, still())
        tracked.correct(np.array([0, 0, side, side], np.float32))
    tracked.predict(3.0, still())
    assert (tracked.box[2:] > tracked.box[:2]).all()
