"""The marker on the wrist: where it puts the hand on rendered shelves, and that its covariance tells how well."""

from __future__ import annotations

import cv2
import hand_benchmark
import numpy as np
import pytest
from worn_marker import MarkerPose, wear

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.wrist_marker import DICTIONARIES, MarkerSettings, WristMarker
from shelfhelp_ros.sightings import Frame

CAMERA = CameraModel.from_field_of_view(640, 480, 69.0)
GREY = np.full((480, 640, 3), 110, np.uint8)
FAR = np.full((480, 640), 1.5, np.float32)


@pytest.fixture(scope="module")
def shelf() -> Frame:
    """A rendered shelf without a hand."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    try:
        return hand_benchmark.rendered_shelf()
    except ShelfHelpError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("depth", "median", "largest"), [("whole", 0.012, 0.03), ("holes", 0.012, 0.03), ("none", 0.04, 0.1)]
)
@pytest.mark.parametrize("distance", [0.3, 0.6, 0.9, 1.2])
def test_the_hand_is_where_the_marker_says(
    shelf: Frame, distance: float, depth: str, median: float, largest: float
) -> None:
    """Over an arm's reach: a centimetre with depth, also with two fifths of it missing, a few without."""
    errors, missing = hand_benchmark.marker_errors(shelf, distance, depth, count=8)
    far = np.linalg.norm(errors, axis=1)
    assert missing <= 1
    assert np.median(far) < median
    assert far.max() < largest


@pytest.mark.parametrize("depth", ["whole", "none"])
def test_the_covariance_tells_how_large_the_errors_are(shelf: Frame, depth: str) -> None:
    """Squared Mahalanobis distances of three dimensions have the mean 3; far more would promise too much."""
    rng, marker, distances = np.random.default_rng(5), WristMarker(), []
    for distance in (0.4, 0.6, 0.8, 1.0):
        for _ in range(5):
            frame, true = hand_benchmark.worn(shelf, distance, rng, depth)
            for hand in marker.find(frame, CAMERA):
                error = hand.xyz - true
                distances.append(error @ np.linalg.solve(hand.noise, error))
                assert np.linalg.eigvalsh(hand.noise)[0] > 0
    assert len(distances) >= 18
    assert 0.3 < np.mean(distances) < 9


def test_depth_that_sees_through_the_arm_changes_nothing() -> None:
    """A marker's size says 0.6 m, the depth image 1.5: the depth is the shelf's."""
    settings = MarkerSettings()
    pose = MarkerPose.random(np.random.default_rng(0), 0.6)
    image, _ = wear(GREY, FAR, CAMERA, pose, settings)
    (found,) = WristMarker().find(Frame(0, "", image, FAR, CAMERA), CAMERA)
    assert np.linalg.norm(found.xyz - pose.hand(settings)) < 0.03


@pytest.mark.parametrize("dictionary", DICTIONARIES)
def test_only_the_users_marker_counts(dictionary: str) -> None:
    """Another marker in the shop, or of another person, is not the hand."""
    worn, wanted = MarkerSettings(dictionary, number=3), MarkerSettings(dictionary, number=4)
    image, depth = wear(GREY, FAR, CAMERA, MarkerPose.random(np.random.default_rng(1), 0.5), worn)
    frame = Frame(0, "", image, depth, CAMERA)
    assert WristMarker(wanted).find(frame, CAMERA) == []
    assert len(WristMarker(worn).find(frame, CAMERA)) == 1


def test_the_size_and_the_offset_are_those_of_the_settings() -> None:
    """A marker of 6 cm taken for one of 4 would seem a third nearer."""
    settings = MarkerSettings(size=0.06, offset=0.18)
    pose = MarkerPose.random(np.random.default_rng(2), 0.6)
    image, _ = wear(GREY, FAR, CAMERA, pose, settings)
    frame = Frame(0, "", image, None, CAMERA)
    (found,) = WristMarker(settings).find(frame, CAMERA)
    assert np.linalg.norm(found.xyz - pose.hand(settings)) < 0.03
    (wrong,) = WristMarker(MarkerSettings(size=0.04, offset=0.0)).find(frame, CAMERA)
    assert wrong.xyz[2] == pytest.approx(0.4, abs=0.02)


def test_a_picture_without_a_marker_gives_no_hand() -> None:
    """Nothing, not a guess; nor does a marker that is cut off."""
    assert WristMarker().find(Frame(0, "", GREY, FAR, CAMERA), CAMERA) == []
    image, depth = wear(GREY, FAR, CAMERA, MarkerPose.random(np.random.default_rng(0), 0.5), MarkerSettings())
    corners, _, _ = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)).detectMarkers(
        image
    )
    half = image.copy()
    half[:, : int(corners[0][0, :, 0].mean())] = 110
    assert WristMarker().find(Frame(0, "", half, depth, CAMERA), CAMERA) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (MarkerSettings("7x7_9"), "has to be one of 4x4_50"),
        (MarkerSettings(number=50), "has no marker 50; it has 0 to 49"),
        (MarkerSettings(number=-1), "has no marker -1"),
    ],
)
def test_a_marker_that_does_not_exist_is_one_sentence(settings: MarkerSettings, says: str) -> None:
    """A typing error in the configuration."""
    with pytest.raises(ShelfHelpError, match=says):
        WristMarker(settings)
