"""Boxes, letterboxing and the pinhole camera hold for every size a camera may have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.geometry import (
    CameraModel,
    Letterbox,
    area,
    box_depth,
    clip,
    front_depth,
    grown,
    iou,
    overlap_of_smaller,
    position_at,
    size_at,
)

SIZES = st.sampled_from(
    [(320, 240), (640, 480), (480, 640), (1280, 720), (720, 1280), (1920, 1080), (4032, 3024), (3024, 4032)]
)
ANY_SIZE = st.one_of(SIZES, st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
TARGETS = st.tuples(st.integers(32, 1280), st.integers(32, 1280))


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> np.ndarray:
    """One to five boxes inside an image of this size."""
    values = [
        sorted(draw(st.tuples(*[st.floats(0, side, width=32)] * 2)))
        for side in (width, height) * draw(st.integers(1, 5))
    ]
    return np.array([[x[0], y[0], x[1], y[1]] for x, y in zip(values[::2], values[1::2], strict=True)], np.float32)


@given(ANY_SIZE, TARGETS, st.sampled_from([1.0, 0.5, 0.25]), st.data())
def test_letterbox_round_trip(source, target, zoom, data):
    """A box comes back from the network's input to where it was, to a hundredth of a pixel of the input."""
    letterbox = Letterbox(*source, *target, zoom)
    boxes = data.draw(boxes_in(*source))
    back = letterbox.to_source(letterbox.to_target(boxes))
    assert back.dtype == np.float32
    tolerance = 0.01 * max(1.0, source[0] / letterbox.resized[0], source[1] / letterbox.resized[1])
    np.testing.assert_allclose(back, boxes, atol=tolerance)


@given(ANY_SIZE, TARGETS)
def test_letterbox_maps_edges_onto_edges(source, target):
    """The picture's corners are those of the resized picture inside the padding, and the padding is even."""
    letterbox = Letterbox(*source, *target)
    width, height = letterbox.resized
    left, top = letterbox.padding
    corners = letterbox.to_target(np.array([[0, 0, *source]], np.float32))[0]
    np.testing.assert_allclose(corners, [left, top, left + width, top + height], rtol=1e-5, atol=1e-3)
    assert abs(target[0] - width - 2 * left) <= 1
    assert abs(target[1] - height - 2 * top) <= 1


@given(ANY_SIZE, TARGETS, st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4))
def test_boxes_never_leave_the_source(source, target, box):
    """Whatever a network says, its boxes lie in the source image."""
    back = Letterbox(*source, *target).to_source(np.array([box], np.float32))[0]
    assert (back >= 0).all()
    assert back[[0, 2]].max() <= source[0]
    assert back[[1, 3]].max() <= source[1]


@given(SIZES)
def test_letterbox_places_the_picture(source):
    """The picture's pixels lie where the box map says, the padding everywhere else."""
    width, height = source[0] // 8, source[1] // 8
    image = np.full((height, width, 3), 200, np.uint8)
    letterbox = Letterbox(width, height, 160, 160)
    out = letterbox.apply(image, pad_value=7)
    x1, y1, x2, y2 = letterbox.to_target(np.array([[0, 0, width, height]], np.float32))[0].round().astype(int)
    assert out.shape == (160, 160, 3)
    assert (out[y1:y2, x1:x2] == 200).all()
    out[y1:y2, x1:x2] = 7
    assert (out == 7).all()


def test_letterbox_refuses_empty_sizes():
    """A picture without pixels or a zoom of nothing is a programming error, not a division by zero later on."""
    with pytest.raises(ValueError, match="at least one pixel"):
        Letterbox(0, 10, 32, 32)
    with pytest.raises(ValueError, match="zoom"):
        Letterbox(10, 10, 32, 32, 0.0)


def test_letterbox_zoom():
    """Zoomed out by half the picture has half the size, in the middle."""
    letterbox = Letterbox(640, 480, 320, 320, 0.5)
    assert letterbox.resized == (160, 120)
    assert letterbox.padding == (80, 100)


@given(st.data())
def test_iou_properties(data):
    """IoU is symmetric, 1 with itself, and within 0..1."""
    first, second = data.draw(boxes_in(100, 80)), data.draw(boxes_in(100, 80))
    overlap = iou(first, second)
    assert overlap.shape == (len(first), len(second))
    np.testing.assert_allclose(overlap, iou(second, first).T, atol=1e-6)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-5)).all()
    wide = area(first) > 1e-3
    np.testing.assert_allclose(np.diag(iou(first, first))[wide], 1, rtol=1e-4)


def test_iou_known_value():
    """Two squares that share a quarter of each."""
    assert iou(np.array([[0, 0, 2, 2]], np.float32), np.array([[1, 1, 3, 3]], np.float32))[0, 0] == pytest.approx(1 / 7)


def test_overlap_of_smaller():
    """A box inside another counts fully, whichever is first; boxes apart do not count."""
    outer, inner, apart = np.array([[0, 0, 10, 10], [2, 2, 4, 4], [20, 20, 22, 22]], np.float32)
    values = overlap_of_smaller(np.stack([outer, inner]), np.stack([outer, inner, apart]))
    np.testing.assert_allclose(values, [[1, 1, 0], [1, 1, 0]])


def test_grown_on_every_side():
    """By a share of its own width and height, about the same middle."""
    np.testing.assert_allclose(grown(np.float32([10, 20, 30, 60]), 0.1), [8, 16, 32, 64])


def test_clip_and_area():
    """Boxes are cut to the image and an inverted box has no area."""
    boxes = np.array([[-5, -5, 5, 5], [8, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(clip(boxes, 4, 3)[0], [0, 0, 4, 3])
    np.testing.assert_array_equal(area(boxes), [100, 0])


@given(SIZES, st.floats(30, 120), st.floats(0.1, 10), st.floats(0, 1), st.floats(0, 1))
def test_camera_round_trip(size, field_of_view, depth, across, down):
    """A pixel and its depth make a point that projects back onto the pixel; the bearing points at it."""
    camera = CameraModel.from_field_of_view(*size, field_of_view)
    u, v = across * size[0], down * size[1]
    point = camera.deproject(u, v, depth)
    assert point[2] == depth
    np.testing.assert_allclose(camera.project(point), (u, v), atol=1e-6 * max(size))
    np.testing.assert_allclose(camera.bearing(u, v), point / np.linalg.norm(point), atol=1e-9)


def test_camera_axes_and_scale():
    """x points right and y down; a picture of half the size sees the same directions."""
    camera = CameraModel(640, 480, 600, 610, 320, 240)
    assert camera.bearing(500, 240)[0] > 0
    assert camera.bearing(320, 400)[1] > 0
    np.testing.assert_allclose(camera.scaled(320, 240).bearing(50, 70), camera.bearing(100, 140))


def test_uncalibrated_camera_is_refused():
    """A camera_info full of zeros, as an uncalibrated driver sends, is no camera."""
    with pytest.raises(ValueError, match="not calibrated"):
        CameraModel(640, 480, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="not calibrated"):
        CameraModel(0, 480, 600, 600, 320, 240)
    with pytest.raises(ValueError, match="behind"):
        CameraModel(640, 480, 600, 600, 320, 240).project(np.array([0, 0, -1.0]))


def test_box_depth_ignores_holes_and_neighbours():
    """Unknown pixels do not count and a neighbour at another depth that reaches in does not move the answer."""
    depth = np.full((100, 100), np.nan, np.float32)
    depth[20:80, 20:80] = 0.8
    depth[20:80, 20:38] = 2.0
    depth[50:52] = 0.0
    middle, spread = box_depth(np.array([20, 20, 80, 80], np.float32), depth)
    assert middle == pytest.approx(0.8)
    assert spread < 0.05


def test_box_depth_unknown():
    """Too few known pixels, or a box beside the image, give no depth."""
    depth = np.full((100, 100), np.nan, np.float32)
    depth[50, 50] = 1.0
    assert box_depth(np.array([0, 0, 100, 100], np.float32), depth) is None
    assert box_depth(np.array([300, 300, 400, 400], np.float32), np.ones((100, 100), np.float32)) is None


def test_position_covariance():
    """The position lies on the ray through the box's middle; depth noise lies along it."""
    camera = CameraModel(640, 480, 600, 600, 320, 240)
    random = np.random.default_rng(0)
    depth = (1.0 + 0.05 * random.standard_normal((480, 640))).astype(np.float32)
    box = np.array([300, 220, 340, 260], np.float32)
    middle = box_depth(box, depth)
    assert middle is not None
    position, covariance = position_at(box, middle[0], camera, middle[1])
    np.testing.assert_allclose(position, [0, 0, 1], atol=0.02)
    assert np.sqrt(covariance[2, 2]) == pytest.approx(0.05, rel=0.3)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


@given(st.floats(0.05, 1.0), st.floats(0.05, 1.0), st.floats(0.3, 3.0))
def test_the_size_of_a_box_is_that_of_what_fills_it(width, height, distance):
    """A flat front of known size, projected and measured again, whatever its distance."""
    camera = CameraModel(640, 480, 600, 500, 320, 240)
    corners = [camera.project(np.array([side * width / 2, side * height / 2, distance])) for side in (-1, 1)]
    box = np.array([*corners[0], *corners[1]], np.float32)
    assert size_at(box, distance, camera) == pytest.approx((width, height), rel=1e-4)


def test_front_depth_is_that_of_what_reaches_into_the_box():
    """A hand over a third of the box gives its own depth; over a twentieth it does not; holes do not count."""
    depth = np.full((100, 100), 0.8, np.float32)
    box = np.array([20, 20, 80, 80], np.float32)
    depth[60:80, 20:80] = 0.5
    assert front_depth(box, depth) == pytest.approx(0.5)
    depth[60:77, 20:80] = 0.8
    assert front_depth(box, depth) == pytest.approx(0.8)
    depth[:] = np.nan
    assert front_depth(box, depth) is None
    assert front_depth(np.array([200, 200, 300, 300], np.float32), depth) is None
