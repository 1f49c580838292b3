"""How things move in the image: the camera's own motion, and a constant-velocity Kalman filter for boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.sightings import ImageArray

Affine = npt.NDArray[np.float64]

# Optical flow runs on a picture of this width: a pan of a third of the picture per frame still fits its pyramid.
_FLOW_WIDTH = 320
_MAX_CORNERS = 150
_MIN_INLIERS = 12


def still() -> Affine:
    """No motion at all."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def then(first: Affine, second: Affine) -> Affine:
    """One motion for two, ``first`` and after it ``second``."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def growth(motion: Affine) -> float:
    """The factor by which a motion enlarges the picture."""
    return math.sqrt(abs(float(motion[0, 0] * motion[1, 1] - motion[0, 1] * motion[1, 0])))


class CameraMotion:
    """The similarity (2×3, pixels) that takes the previous frame's pixels to this one's.

    Phase correlation for a first guess, sparse Lucas-Kanade flow of corners from there, and RANSAC; where too few
    corners agree the camera counts as still, and ``measured`` is False.
    """

    def __init__(self) -> None:
        self.measured = False
        self._previous: ImageArray | None = None
        self._size: tuple[int, int] | None = None

    def update(self, image: ImageArray) -> Affine:
        """Motion from the frame given before to this H×W×3 BGR one; no motion for the first."""
        height, width = image.shape[:2]
        scale = min(1.0, _FLOW_WIDTH / width)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        previous, self._previous = self._previous, grey
        same_size, self._size = self._size == (width, height), (width, height)
        motion = None if previous is None or not same_size else _similarity(previous, grey)
        self.measured = motion is not None
        if motion is None:
            return still()
        motion[:, 2] /= scale
        return motion


def _similarity(previous: ImageArray, current: ImageArray) -> Affine | None:
    """The motion from one grey picture to the next; None where too few corners agree on one."""
    corners = cv2.goodFeaturesToTrack(previous, _MAX_CORNERS, 0.01, 7)
    if corners is None or len(corners) < _MIN_INLIERS:
        return None
    guess = (corners + _shift(previous, current)).astype(np.float32)
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, corners, guess, winSize=(21, 21), maxLevel=3, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    tracked = status.reshape(-1) == 1
    if tracked.sum() < _MIN_INLIERS:
        return None
    affine, inliers = cv2.estimateAffinePartial2D(corners[tracked], moved[tracked], ransacReprojThreshold=2.0)
    agreeing = 0 if inliers is None else int(inliers.sum())
    if affine is None or agreeing < max(_MIN_INLIERS, 0.4 * tracked.sum()):
        return None
    return np.asarray(affine, np.float64)


def _shift(previous: ImageArray, current: ImageArray) -> npt.NDArray[np.float64]:
    """The shift (x, y) between two grey pictures by phase correlation: coarse, but no pan is too long for it."""
    height, width = previous.shape
    size = (width // 2, height // 2)
    first, second = (
        cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32) for grey in (previous, current)
    )
    shift, _ = cv2.phaseCorrelate(first, second, cv2.createHanningWindow(size, cv2.CV_32F))
    return 2 * np.array(shift)


def move_boxes(boxes: BoxArray, motion: Affine) -> BoxArray:
    """N×4 boxes carried along by a similarity: the centre moves, the sides scale, nothing turns."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ motion[:, :2].T + motion[:, 2]
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * growth(motion)
    return np.asarray(np.concatenate([centres - halves, centres + halves], axis=1), np.float32)


@dataclass(frozen=True)
class FilterNoise:
    """Standard deviations in shares of the box's mean side: of a measurement, and of the speed's change in a second."""

    measurement: float = 0.05
    acceleration: float = 1.0
    initial_speed: float = 1.0


class BoxFilter:
    """Constant-velocity Kalman filter of one box: centre x, y, width and height, each with its own speed (pixels/s).

    The four are independent, so the covariance is four 2×2 blocks. Kalman 1960; the noise follows the box's size as in
    Bewley et al., Simple Online and Realtime Tracking, 2016.
    """

    def __init__(self, box: npt.NDArray[np.float32], noise: FilterNoise) -> None:
        self._noise = noise
        self._value = _to_centre(box)
        self._speed = np.zeros(4)
        side = self._side
        self._covariance = np.zeros((4, 2, 2))
        self._covariance[:, 0, 0] = (noise.measurement * side) ** 2
        self._covariance[:, 1, 1] = (noise.initial_speed * side) ** 2

    @property
    def box(self) -> npt.NDArray[np.float32]:
        centre, half = self._value[:2], np.maximum(self._value[2:], 1.0) / 2
        return np.concatenate([centre - half, centre + half]).astype(np.float32)

    @property
    def _side(self) -> float:
        return float(max(1.0, self._value[2:].mean()))

    def predict(self, seconds: float, motion: Affine) -> None:
        """Go forward in time, carried along by the camera's motion in the image."""
        scale = growth(motion)
        self._value = np.concatenate([motion[:, :2] @ self._value[:2] + motion[:, 2], self._value[2:] * scale])
        self._value = self._value + self._speed * seconds
        transition = np.array([[1.0, seconds], [0.0, 1.0]])
        drift = (self._noise.acceleration * self._side) ** 2
        process = drift * np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
        self._covariance = transition @ self._covariance @ transition.T + process

    def stand(self) -> None:
        """From here on the box moves with the camera only, until it is measured again."""
        self._speed = np.zeros(4)

    def correct(self, box: npt.NDArray[np.float32]) -> None:
        """Take in the box measured at the time predicted to."""
        error = _to_centre(box) - self._value
        variance = self._covariance[:, 0, 0] + (self._noise.measurement * self._side) ** 2
        gain = self._covariance[:, :, 0] / variance[:, None]
        self._value = self._value + gain[:, 0] * error
        self._speed = self._speed + gain[:, 1] * error
        self._covariance = self._covariance - gain[:, :, None] * self._covariance[:, None, 0, :]


def _to_centre(box: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    low, high = box[:2].astype(np.float64), box[2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low])
