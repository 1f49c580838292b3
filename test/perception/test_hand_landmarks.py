"""MediaPipe's landmarks on labelled pictures of hands, and what is said when a part of it is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hand_benchmark
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception import hand_landmarks
from shelfhelp_ros.perception.hand_landmarks import HandLandmarker, find_model
from shelfhelp_ros.perception.hand_position import PALM
from shelfhelp_ros.sightings import Frame


@pytest.fixture(scope="module")
def landmarker() -> Iterator[HandLandmarker]:
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed: scripts/setup hands")
    made = HandLandmarker()
    yield made
    made.close()


@pytest.fixture
def hands(photos: Path) -> list[hand_benchmark.LabelledHand]:
    if not (photos / "mmpose_hand").is_dir():
        pytest.skip(f"no labelled pictures of hands at {photos / 'mmpose_hand'}")
    return hand_benchmark.labelled_hands(photos / "mmpose_hand")


@pytest.mark.photos
def test_hands_in_labelled_pictures_are_found(
    hands: list[hand_benchmark.LabelledHand], landmarker: HandLandmarker
) -> None:
    """The figures of docs/benchmarks.md: 16 of 25 hands, most of them stranger than one that reaches for a shelf."""
    found = [miss for miss in hand_benchmark.misses(hands, landmarker) if miss.share <= hand_benchmark.NEAR]
    assert len({hand.picture for hand in hands}) == 23
    assert len(hands) == 25
    assert len(found) >= 15
    assert np.median([miss.share for miss in found]) < 0.06


@pytest.mark.photos
def test_a_photographed_hand_is_put_where_its_depth_is(
    hands: list[hand_benchmark.LabelledHand], landmarker: HandLandmarker
) -> None:
    """The whole way from a photo to metres: the labelled palm at a depth that fits the hand's size, and a nearer and a
    farther wall that do not."""
    misses = hand_benchmark.misses(hands, landmarker)
    clear = [miss.hand for miss in misses if miss.share < 0.05][:5]
    assert len(clear) == 5
    for hand in clear:
        image = load_image(hand.picture)
        height, width = image.shape[:2]
        camera = CameraModel.from_field_of_view(width, height, 50.0)
        by_size = landmarker.find(Frame(0, "", image), camera)[0]
        z = 1.1 * float(by_size.xyz[2])
        depth = np.full((height, width), z, np.float32)
        (found, *_) = landmarker.find(Frame(0, "", image, depth), camera)
        true = camera.deproject(*(float(v) for v in hand.palm), z)
        assert found.xyz[2] == pytest.approx(z, rel=1e-3)
        assert np.linalg.norm(found.xyz - true) < 0.05 * hand.size * z / camera.fx + 0.002
        (unsure, *_) = landmarker.find(Frame(0, "", image, 3 * depth), camera)
        assert unsure.xyz[2] == pytest.approx(by_size.xyz[2], rel=1e-3)


def test_no_hand_in_noise(landmarker: HandLandmarker) -> None:
    """A picture without a hand gives none."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert landmarker.landmarks(noise) == []


def test_the_points_of_the_palm_are_mediapipes() -> None:
    """The numbers are those of the library's own names."""
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed: scripts/setup hands")
    from mediapipe.tasks.python.vision.hand_landmarker import HandLandmark as names

    palm = (names.WRIST, names.INDEX_FINGER_MCP, names.MIDDLE_FINGER_MCP, names.RING_FINGER_MCP, names.PINKY_MCP)
    assert tuple(int(point) for point in palm) == PALM


def test_a_named_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """A typing error in the parameter."""
    with pytest.raises(ShelfHelpError, match=r"nowhere\.task is missing"):
        find_model(tmp_path / "nowhere.task")


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    """The library's own message is a page of C++."""
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed: scripts/setup hands")
    file = tmp_path / "hand_landmarker.task"
    file.write_bytes(b"not a network" * 100)
    with pytest.raises(ShelfHelpError, match="does not load") as caught:
        HandLandmarker(file)
    assert "\n" not in str(caught.value)


def test_a_carrier_with_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of the package may carry another network: its figures would not be ours."""
    folder = tmp_path / "hand_tracking"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "hand_landmarker.task").write_bytes(b"another network")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hand_tracking", raising=False)
    with pytest.raises(ShelfHelpError, match="SHA-256 differs"):
        find_model()


def test_what_is_not_installed_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A robot without the extra `hands`."""
    monkeypatch.setattr(hand_landmarks, "CARRIERS", (("no_such_package", "hand_landmarker.task"),))
    with pytest.raises(ShelfHelpError, match="scripts/setup hands"):
        HandLandmarker()
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ShelfHelpError, match=r"MediaPipe does not import .*scripts/setup hands"):
        hand_landmarks.load_library()


def test_opencv_is_still_the_headless_one() -> None:
    """MediaPipe asks for opencv-contrib-python, which would overwrite it; set-up leaves out what it asks for."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("pip is not there to ask")
    assert [line.split("==")[0] for line in listing.stdout.splitlines() if line.startswith("opencv")] == [
        "opencv-python-headless"
    ]
