"""From the landmarks of a hand to metres: with depth at the palm, without it from how large the hand looks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand import HandMeasurement
from shelfhelp_ros.sightings import FloatArray

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

# MediaPipe's numbers: the wrist and the knuckles of the four fingers; with the thumb's root they go round the palm.
WRIST, MIDDLE_KNUCKLE = 0, 9
PALM = (0, 5, 9, 13, 17)
OUTLINE = (0, 1, 5, 9, 13, 17)

# The rim of the palm is where a landmark is a few pixels off and a depth image bleeds into what is behind.
_SHRINK = 0.7
# What lies this much behind the front of the palm, in metres, is not the palm.
_THICK = 0.06
_LEAST_PIXELS, _LEAST_SHARE = 12, 0.1
# Depth that makes the hand this much larger or smaller than hands are is that of something else.
_SIZES = (0.6, 1.7)

# Shares of the hand's length (wrist to knuckles, doubled) by which the palm's middle is missed across the picture.
_ACROSS_NOISE, _ACROSS_BIAS = 0.02, 0.05
# The palm's surface stands for its middle, and depth cameras are no better than a hundredth of the distance.
_SURFACE, _DEPTH_SHARE = 0.015, 0.01
# Hands differ in length by 8 %, and their length in the picture is misjudged by more.
_SIZE_NOISE, _SIZE_BIAS = 0.05, 0.2


@dataclass(frozen=True)
class HandLandmarks:
    """One hand: ``pixels`` 21×2 in the picture; ``metres`` 21×3 about the hand's middle, x right, y down, z away."""

    pixels: Vector
    metres: Vector


def measure_hand(hand: HandLandmarks, camera: CameraModel, depth: FloatArray | None) -> HandMeasurement | None:
    """Where the middle of a palm is; None when the landmarks make no hand in front of the camera.

    ``depth`` is H×W metres, aligned to the colour image (it may be smaller), NaN where unknown. Where it is unknown at
    the palm, the range comes from the hand's apparent size, with a standard deviation of a fifth of it.
    """
    u, v = (float(x) for x in hand.pixels[list(PALM)].mean(axis=0))
    by_size = palm_by_size(hand, camera)
    if by_size is None:
        return None
    along = camera.bearing(u, v)
    across = np.eye(3) - np.outer(along, along)
    measured = None if depth is None else palm_depth(hand.pixels, depth, camera)
    if measured is not None and _SIZES[0] < measured[0] / by_size[2] < _SIZES[1]:
        z, spread = measured
        noise, bias = max(spread, _DEPTH_SHARE * z), _SURFACE
    else:
        z = float(by_size[2])
        noise, bias = _SIZE_NOISE * z, _SIZE_BIAS * z
    length = 2 * float(np.linalg.norm(hand.pixels[MIDDLE_KNUCKLE] - hand.pixels[WRIST])) * z / camera.fx
    ray = np.outer(along, along)
    return HandMeasurement(
        xyz=camera.deproject(u, v, z),
        noise=noise**2 * ray + (_ACROSS_NOISE * length + 0.002) ** 2 * across,
        bias=bias**2 * ray + (_ACROSS_BIAS * length) ** 2 * across,
        upward=_upward(hand.pixels),
    )


def palm_depth(pixels: Vector, depth: FloatArray, camera: CameraModel) -> tuple[float, float] | None:
    """Depth of the palm's surface and the standard error of it, metres; None without enough known depth.

    ``pixels`` are 21×2 landmarks in the colour image of ``camera``; ``depth`` as in `measure_hand`. The outline of the
    palm is shrunk, and only depths near its front count: holes that a camera fills with the shelf behind lie deeper.
    """
    height, width = depth.shape[:2]
    outline = pixels[list(OUTLINE)]
    outline = outline.mean(axis=0) + _SHRINK * (outline - outline.mean(axis=0))
    outline = outline * [width / camera.width, height / camera.height]
    low = np.clip(np.floor(outline.min(axis=0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)) + 1, 0, [width, height]).astype(int)
    patch = depth[low[1] : high[1], low[0] : high[0]]
    if patch.size == 0:
        return None
    mask = np.zeros(patch.shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(outline - low).astype(np.int32)), 1)
    known = patch[(mask > 0) & np.isfinite(patch) & (patch > 0)]
    if known.size < max(_LEAST_PIXELS, _LEAST_SHARE * np.count_nonzero(mask)):
        return None
    surface = known[np.abs(known - np.quantile(known, 0.25)) < _THICK]
    middle = float(np.median(surface))
    # Neighbouring pixels err together: the spread is not divided by their number.
    return middle, 1.4826 * float(np.median(np.abs(surface - middle)))


def palm_by_size(hand: HandLandmarks, camera: CameraModel) -> Vector | None:
    """Where the palm's middle (3,), metres, would be if the hand were as large as the model takes it to be.

    The translation that projects the 21 landmarks in metres onto those in pixels, by linear least squares: for a point
    X + t seen at x = (u - cx) / fx it is t_x - x t_z = x X_z - X_x, and the same for y. The model sees the hand as if
    it lay in the middle of the picture, so its metres are first turned to the ray that the palm is on.
    """
    rays = (hand.pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    points = hand.metres @ _towards(camera.bearing(*(float(x) for x in hand.pixels[list(PALM)].mean(axis=0)))).T
    system = np.zeros((len(points), 2, 3))
    system[:, 0, 0] = system[:, 1, 1] = 1.0
    system[:, :, 2] = -rays
    wanted = rays * points[:, 2:] - points[:, :2]
    shift = np.linalg.lstsq(system.reshape(-1, 3), wanted.ravel(), rcond=None)[0]
    middle = points[list(PALM)].mean(axis=0) + shift
    return np.asarray(middle) if np.isfinite(middle).all() and middle[2] > 0.05 else None


def _towards(ray: Vector) -> Matrix:
    """The least rotation, 3×3, that takes the optical axis to a unit vector in front of the camera."""
    axis = np.cross([0.0, 0.0, 1.0], ray)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return np.asarray(cv2.Rodrigues(axis / sine * np.arctan2(sine, ray[2]))[0])


def _upward(pixels: Vector) -> float:
    """Cosine between the way from wrist to knuckles and the upward direction of the picture."""
    x, y = pixels[MIDDLE_KNUCKLE] - pixels[WRIST]
    return float(-y / max(1e-9, np.hypot(x, y)))
