"""From landmarks to metres: exact geometry, depth with holes, and honesty about what size alone can tell."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from worn_marker import flat_hand, punch_holes

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand_position import OUTLINE, HandLandmarks, measure_hand, palm_by_size, palm_depth
from shelfhelp_ros.sightings import FloatArray

CAMERA = CameraModel.from_field_of_view(640, 480, 69.0)
SHELF = 1.4
PLACES = [(0.0, 0.0, 0.3), (0.1, 0.1, 0.5), (-0.2, 0.15, 0.7), (0.3, -0.1, 0.9), (0.35, 0.2, 1.2)]

Vector = npt.NDArray[np.float64]


def depth_with(hand: HandLandmarks, z: float) -> FloatArray:
    """The shelf, with the palm (and 12 pixels around it) before it at depth ``z``."""
    depth = np.full((CAMERA.height, CAMERA.width), SHELF, np.float32)
    palm = np.zeros(depth.shape, np.uint8)
    cv2.fillConvexPoly(palm, cv2.convexHull(np.round(hand.pixels[list(OUTLINE)]).astype(np.int32)), 1)
    depth[cv2.dilate(palm, np.ones((25, 25), np.uint8)) > 0] = z
    return depth


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("share", [0.0, 0.4, 0.6])
def test_depth_at_the_palm_gives_its_place_in_spite_of_holes(place: tuple[float, float, float], share: float) -> None:
    """Within 2 cm, with noise and up to three fifths of the depth unknown, whatever the range by size says."""
    true = np.array(place)
    hand = flat_hand(CAMERA, true, scale=1.15)
    depth = punch_holes(depth_with(hand, true[2]), np.random.default_rng(0), share)
    found = measure_hand(hand, CAMERA, depth)
    assert found is not None
    assert np.linalg.norm(found.xyz - true) < 0.02
    assert np.sqrt(np.linalg.eigvalsh(found.noise + found.bias)[-1]) < 0.03
    assert found.upward > 0.99


def test_a_palm_that_is_half_filled_with_the_shelf_behind_keeps_its_depth() -> None:
    """Cameras fill holes from the side; the median alone would then be the shelf's."""
    true = np.array([0.0, 0.0, 0.6])
    hand = flat_hand(CAMERA, true)
    depth = depth_with(hand, 0.6)
    middle = round(float(hand.pixels[list(OUTLINE), 0].mean()))
    depth[:, : middle + 3] = SHELF
    measured = palm_depth(hand.pixels, depth, CAMERA)
    assert measured is not None
    assert measured[0] == pytest.approx(0.6, abs=0.005)


@pytest.mark.parametrize("depth", [None, np.full((480, 640), np.nan, np.float32), np.full((480, 640), 2.5, np.float32)])
def test_without_depth_of_the_palm_the_direction_stays_and_the_range_is_vague(depth: FloatArray | None) -> None:
    """No depth image, one without a value, or one that saw through the hand: a fifth of the range along the ray, which
    no number of pictures makes smaller, and a few centimetres across."""
    true = np.array([0.1, 0.05, 0.6])
    found = measure_hand(flat_hand(CAMERA, true), CAMERA, depth)
    assert found is not None
    ray = true / np.linalg.norm(true)
    assert found.xyz / np.linalg.norm(found.xyz) == pytest.approx(ray, abs=0.01)
    assert np.sqrt(ray @ found.bias @ ray) == pytest.approx(0.2 * 0.6, rel=0.05)
    aside = np.cross(ray, [0.0, 1.0, 0.0])
    assert np.sqrt(aside @ (found.bias + found.noise) @ aside) < 0.04


@pytest.mark.parametrize("place", PLACES)
def test_range_by_size_is_right_for_a_hand_of_the_size_that_the_model_takes_it_for(
    place: tuple[float, float, float],
) -> None:
    """The linear solution adds next to no error, in the middle of the picture or at its edge."""
    found = palm_by_size(flat_hand(CAMERA, np.array(place)), CAMERA)
    assert found == pytest.approx(place, abs=3e-3 * place[2])


def test_a_childs_hand_looks_farther_and_the_covariance_allows_for_it() -> None:
    """A hand of four fifths the size is taken to be a quarter farther away; that is little more than one deviation."""
    true = np.array([0.0, 0.1, 0.5])
    found = measure_hand(flat_hand(CAMERA, true, scale=0.8), CAMERA, None)
    assert found is not None
    assert found.xyz == pytest.approx(true * 1.25, abs=0.01)
    error = found.xyz - true
    assert error @ np.linalg.solve(found.noise + found.bias, error) < 2.0


def test_a_smaller_depth_image_is_read_at_the_same_place() -> None:
    """Aligned depth may come at half the size."""
    true = np.array([0.1, 0.1, 0.5])
    hand = flat_hand(CAMERA, true)
    found = measure_hand(hand, CAMERA, depth_with(hand, 0.5)[::2, ::2])
    assert found is not None
    assert found.xyz == pytest.approx(true, abs=0.01)


@pytest.mark.parametrize("shift", [(2000.0, 0.0), (-2000.0, -2000.0), (330.0, 0.0)])
def test_a_palm_that_reaches_out_of_the_picture_is_no_error(shift: tuple[float, float]) -> None:
    """Landmarks may lie outside; then there is less depth, or none."""
    hand = flat_hand(CAMERA, np.array([0.0, 0.0, 0.5]))
    moved = replace(hand, pixels=hand.pixels + shift)
    found = measure_hand(moved, CAMERA, np.full((480, 640), 0.5, np.float32))
    assert found is None or np.isfinite(found.xyz).all()


def test_landmarks_that_are_no_hand_are_left_out() -> None:
    """All points in one: no size, no range."""
    point = HandLandmarks(np.full((21, 2), 100.0), np.zeros((21, 3)))
    assert measure_hand(point, CAMERA, None) is None
