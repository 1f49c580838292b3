"""A marker put into a picture and its depth image as a camera would see it, and hands of points at known places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand_position import HandLandmarks
from shelfhelp_ros.perception.wrist_marker import MarkerSettings
from shelfhelp_ros.sightings import FloatArray, ImageArray

Vector = npt.NDArray[np.float64]
# Drawn this much larger and averaged down, so that edges are as soft as in a camera's picture.
_FINER = 4
_CELLS, _MARGIN = 200, 40


@dataclass(frozen=True)
class MarkerPose:
    """``rotation`` 3×3 and ``shift`` (3,) metres take the marker's points (y over its upper edge) to the camera."""

    rotation: Vector
    shift: Vector

    @classmethod
    def random(cls, rng: np.random.Generator, distance: float) -> MarkerPose:
        """On a forearm that reaches away: tilted by up to 40° forward, 30° sideways, 35° in the picture."""
        facing = np.diag([1.0, -1.0, -1.0])
        tilt = cv2.Rodrigues(np.array([rng.uniform(-0.7, 0.3), rng.uniform(-0.5, 0.5), 0.0]))[0]
        turn = cv2.Rodrigues(np.array([0.0, 0.0, rng.uniform(-0.6, 0.6)]))[0]
        middle = np.array([rng.uniform(-0.2, 0.2) * distance, rng.uniform(-0.1, 0.2) * distance, distance])
        return cls(np.asarray(tilt @ turn @ facing), middle)

    def hand(self, settings: MarkerSettings) -> Vector:
        """The point that is guided, (3,) metres."""
        return np.asarray(self.shift + self.rotation @ [0.0, settings.offset, 0.0])


def wear(
    image: ImageArray, depth: FloatArray, camera: CameraModel, pose: MarkerPose, settings: MarkerSettings
) -> tuple[ImageArray, FloatArray]:
    """Copies of a picture and its depth image, with the marker (on white card) before everything."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{settings.dictionary.upper()}"))
    drawn = cv2.aruco.generateImageMarker(dictionary, settings.number, _CELLS)
    card = cv2.copyMakeBorder(drawn, *[_MARGIN] * 4, cv2.BORDER_CONSTANT, value=255)
    side = card.shape[0]
    half = settings.size / 2 * side / _CELLS
    corners = np.array([[-half, half, 0], [half, half, 0], [half, -half, 0], [-half, -half, 0]])
    pixels = np.array([camera.project(point) for point in corners @ pose.rotation.T + pose.shift])
    # Pixel centres of the finer picture lie half of its pixels inside each pixel of the coarse one.
    target = (pixels * _FINER + (_FINER - 1) / 2).astype(np.float32)
    warp = cv2.getPerspectiveTransform(np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32) - 0.5, target)
    height, width = image.shape[:2]
    finer = (width * _FINER, height * _FINER)
    shown = cv2.resize(cv2.warpPerspective(card, warp, finer), (width, height), interpolation=cv2.INTER_AREA)
    solid = cv2.warpPerspective(np.full_like(card, 255), warp, finer)
    share = cv2.resize(solid, (width, height), interpolation=cv2.INTER_AREA) / 255.0
    paper = 20 + 0.8 * shown
    worn = image * (1 - share[..., None]) + paper[..., None] * share[..., None]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    normal = pose.rotation[:, 2]
    along = normal[0] * (columns - camera.cx) / camera.fx + normal[1] * (rows - camera.cy) / camera.fy + normal[2]
    plane = normal @ pose.shift / along
    return np.clip(worn, 0, 255).astype(np.uint8), np.where(share > 0.5, plane, depth).astype(np.float32)


def punch_holes(depth: FloatArray, rng: np.random.Generator, share: float = 0.4) -> FloatArray:
    """A copy with noise of 0.5 % of the distance, and ``share`` of it unknown, in patches as cameras leave them."""
    height, width = depth.shape
    patches = cv2.resize(rng.random((height // 8, width // 8)), (width, height), interpolation=cv2.INTER_NEAREST)
    noisy = depth * (1 + 0.005 * rng.normal(size=depth.shape))
    return np.where(patches < share, np.nan, noisy).astype(np.float32)


def flat_hand(camera: CameraModel, palm: Vector, scale: float = 1.0) -> HandLandmarks:
    """An open hand, fingers up, flat across the ray to the middle of its palm (3,), metres; ``scale`` times as large as
    the model takes it to be."""
    fingers = np.array([(-0.025, -0.035), (-0.005, -0.04), (0.013, -0.037), (0.03, -0.03)])
    points = [np.array([[0.0, 0.05], [-0.03, 0.03], [-0.045, 0.01], [-0.055, -0.01], [-0.06, -0.03]])]
    points += [root + np.outer([0.0, 0.035, 0.06, 0.08], root - [0.0, 0.05]) / np.hypot(*(root - [0.0, 0.05]))
               for root in fingers]  # fmt: skip
    flat = np.column_stack([np.concatenate(points), np.zeros(21)])
    flat -= flat[[0, 5, 9, 13, 17]].mean(axis=0)
    ray = palm / np.linalg.norm(palm)
    right = np.cross([0.0, 1.0, 0.0], ray)
    right /= np.linalg.norm(right)
    placed = palm + scale * flat @ np.stack([right, np.cross(ray, right), ray])
    pixels = np.array([camera.project(point) for point in placed])
    return HandLandmarks(pixels, flat)
