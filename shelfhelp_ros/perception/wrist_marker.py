"""An ArUco marker on the wrist: where the hand is, without a network and without a depth image.

Garrido-Jurado et al., "Automatic generation and detection of highly reliable fiducial markers under occlusion", 2014;
the marker's two possible poses as in Collins and Bartoli, "Infinitesimal plane-based pose estimation", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand import HandMeasurement
from shelfhelp_ros.sightings import FloatArray, Frame

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

DICTIONARIES = ("4x4_50", "5x5_100", "6x6_250", "apriltag_36h11")

# Standard deviation of a corner in the picture, pixels.
_CORNER = 0.4
# A marker is put on by feel, and the hand bends at the wrist: metres.
_WORN = 0.02
# Depth cameras: share of the distance, and by how many deviations their depth may contradict the marker's size.
_DEPTH_SHARE, _CONTRADICTION = 0.01, 4.0
_LEAST_SHARE, _INDEPENDENT = 0.2, 25


@dataclass(frozen=True)
class MarkerSettings:
    """``dictionary`` one of `DICTIONARIES`; ``number`` the user's marker in it; ``size`` of its black square, metres a
    side; ``offset`` metres from its middle, over its upper edge, to the point of the hand that is guided (0.1: the
    palm, 0.18: the fingertips)."""

    dictionary: str = "4x4_50"
    number: int = 0
    size: float = 0.04
    offset: float = 0.1


class WristMarker:
    """Finds the user's marker. Others are not theirs and are left out."""

    def __init__(self, settings: MarkerSettings | None = None) -> None:
        """Raises ShelfHelpError for a dictionary or a number that does not exist, and where OpenCV has no ArUco."""
        self.settings = settings = settings or MarkerSettings()
        self.name = f"ArUco marker {settings.number} of {settings.dictionary}"
        self._detector = _open_detector(settings)
        half = settings.size / 2
        self._corners = np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])

    def close(self) -> None:
        """Nothing to let go of."""

    def find(self, frame: Frame, camera: CameraModel) -> list[HandMeasurement]:
        """The hand at each marker with the user's number; range from the marker's size, made better by depth."""
        corners, numbers, _ = self._detector.detectMarkers(frame.image)
        if numbers is None:
            return []
        own = np.stack(corners).reshape(-1, 4, 2)[numbers.ravel() == self.settings.number].astype(np.float64)
        measured = (self._measure(pixels, camera, frame.depth) for pixels in own)
        return [hand for hand in measured if hand is not None]

    def _measure(self, pixels: Vector, camera: CameraModel, depth: FloatArray | None) -> HandMeasurement | None:
        """A square has two poses that explain a picture of it almost equally well when it is small. Both count, each by
        its likelihood, and the covariance holds what they disagree on."""
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
        _, turns, shifts, _ = cv2.solvePnPGeneric(self._corners, pixels, matrix, None, flags=cv2.SOLVEPNP_IPPE_SQUARE)
        surface = None if depth is None else _surface(pixels, depth, camera)
        poses = [
            self._hand_of_pose(np.ravel(turn), np.ravel(shift), pixels, matrix, surface)
            for turn, shift in zip(turns, shifts, strict=True)
            if np.isfinite(turn).all() and np.isfinite(shift).all() and np.ravel(shift)[2] > 0
        ]
        if not poses:
            return None
        xyz, noise = _mixture(poses)
        return HandMeasurement(xyz, noise, _WORN**2 * np.eye(3))

    def _hand_of_pose(
        self, turn: Vector, shift: Vector, pixels: Vector, matrix: Matrix, surface: Vector | None
    ) -> tuple[float, Vector, Matrix]:
        """Log likelihood of one pose, the hand's position under it and its covariance."""
        projected, slopes = cv2.projectPoints(self._corners, turn, shift, matrix, None)
        error = projected.reshape(4, 2) - pixels
        likelihood = -0.5 * float(np.sum(error**2)) / _CORNER**2
        by_pose = np.asarray(slopes, np.float64)[:, :6]
        covariance = _CORNER**2 * np.linalg.pinv(by_pose.T @ by_pose, hermitian=True)
        pose = np.concatenate([turn, shift])
        if surface is not None:
            likelihood += _likelihood_of_tilt(pose, surface)
            pose, covariance = _with_depth(pose, covariance, float(np.median(surface[:, 2])))
        rotation, by_turn = cv2.Rodrigues(pose[:3])
        offset = np.array([0.0, self.settings.offset, 0.0])
        by_pose = np.hstack([np.einsum("kij,j->ik", np.asarray(by_turn).reshape(3, 3, 3), offset), np.eye(3)])
        # Rounding only: a marker right before the camera has next to no covariance.
        noise = by_pose @ covariance @ by_pose.T + 1e-8 * np.eye(3)
        return likelihood, np.asarray(rotation) @ offset + pose[3:], noise


def _open_detector(settings: MarkerSettings) -> Any:
    aruco: Any = getattr(cv2, "aruco", None)
    if aruco is None or not hasattr(aruco, "ArucoDetector"):
        raise ShelfHelpError(f"OpenCV {cv2.__version__} finds no markers; install opencv-python-headless 4.8 or newer")
    if settings.dictionary not in DICTIONARIES:
        raise ShelfHelpError(
            f"the marker dictionary is {settings.dictionary!r}; it has to be one of {', '.join(DICTIONARIES)}"
        )
    dictionary = aruco.getPredefinedDictionary(getattr(aruco, f"DICT_{settings.dictionary.upper()}"))
    count = len(dictionary.bytesList)
    if not 0 <= settings.number < count:
        raise ShelfHelpError(
            f"the dictionary {settings.dictionary} has no marker {settings.number}; it has 0 to {count - 1}"
        )
    parameters = aruco.DetectorParameters()
    parameters.cornerRefinementMethod = aruco.CORNER_REFINE_SUBPIX
    return aruco.ArucoDetector(dictionary, parameters)


def _surface(pixels: Vector, depth: FloatArray, camera: CameraModel) -> Vector | None:
    """N×3 points, metres, of a marker's square in the depth image; None when too little of it is known."""
    height, width = depth.shape[:2]
    lens = camera.scaled(width, height)
    corners = np.round(pixels * [width / camera.width, height / camera.height]).astype(np.int32)
    low, high = np.clip([corners.min(axis=0), corners.max(axis=0) + 1], 0, [width, height])
    patch = depth[low[1] : high[1], low[0] : high[0]]
    if patch.size == 0:
        return None
    mask = np.zeros(patch.shape, np.uint8)
    cv2.fillConvexPoly(mask, corners - low.astype(np.int32), 1)
    rows, columns = np.nonzero((mask > 0) & np.isfinite(patch) & (patch > 0))
    if len(rows) < max(1, _LEAST_SHARE * np.count_nonzero(mask)):
        return None
    z = patch[rows, columns].astype(np.float64)
    x = (columns + low[0] + 0.5 - lens.cx) / lens.fx * z
    y = (rows + low[1] + 0.5 - lens.cy) / lens.fy * z
    return np.stack([x, y, z], axis=1)


def _likelihood_of_tilt(pose: Vector, surface: Vector) -> float:
    """Log likelihood of a pose (turn, shift) by how the depth inside the marker slopes."""
    z = surface[:, 2]
    normal = np.asarray(cv2.Rodrigues(pose[:3])[0])[:, 2]
    facing = surface @ normal / z
    error = z - normal @ pose[3:] / np.where(np.abs(facing) < 0.05, 0.05 * np.sign(facing + 1e-12), facing)
    deviation = _DEPTH_SHARE * float(np.median(z))
    # Neighbouring pixels err together, and some see past the arm.
    squares = np.minimum((error - np.median(error)) ** 2 / deviation**2, 9.0)
    return -0.5 * min(_INDEPENDENT, len(z)) * float(squares.mean())


def _with_depth(pose: Vector, covariance: Matrix, seen: float) -> tuple[Vector, Matrix]:
    """A pose (turn, shift) and its 6×6 covariance, corrected by the depth at the marker's middle.

    Depth that contradicts the marker's size is that of something else, and changes nothing.
    """
    variance = covariance[5, 5] + (_DEPTH_SHARE * seen) ** 2
    error = seen - pose[5]
    if error**2 > _CONTRADICTION**2 * (variance + (0.03 * seen) ** 2):
        return pose, covariance
    gain = covariance[:, 5] / variance
    return pose + gain * error, covariance - np.outer(gain, covariance[5])


def _mixture(poses: list[tuple[float, Vector, Matrix]]) -> tuple[Vector, Matrix]:
    """Mean and covariance of normal distributions, each with the logarithm of its weight."""
    weights = np.exp([weight - max(pose[0] for pose in poses) for weight, _, _ in poses])
    weights = weights / weights.sum()
    mean = sum((weight * xyz for weight, (_, xyz, _) in zip(weights, poses, strict=True)), np.zeros(3))
    covariance = np.zeros((3, 3))
    for weight, (_, xyz, noise) in zip(weights, poses, strict=True):
        covariance += weight * (noise + np.outer(xyz - mean, xyz - mean))
    return np.asarray(mean), covariance
