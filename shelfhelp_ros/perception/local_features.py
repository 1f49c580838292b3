"""Where a reference picture lies in a crop: local features matched one by one, and the plane they agree on.

RootSIFT (Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012) under
a homography by MAGSAC++ (Barath et al., CVPR 2020), all from OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.sightings import FloatArray, ImageArray

Homography = npt.NDArray[np.float64]

# Features are taken at one size: enough for the print on a pack, and at most twice what a small crop has.
_LONGEST, _ENLARGE = 400, 2.0
_FEATURES, _CONTRAST = 600, 0.03
# Lowe's ratio is lenient because the homography sorts out what is wrong.
_RATIO = 0.85
# A match may lie this share of the picture's longer side (and one pixel) off the plane.
_TOLERANCE = 0.012
_FEWEST = 8


@dataclass(frozen=True)
class LocalFeatures:
    """A picture at the size its features were taken: ``image`` H×W×3 BGR, ``points`` N×2 pixels, ``descriptors`` N×128
    of length one."""

    image: ImageArray
    points: FloatArray
    descriptors: FloatArray

    def __len__(self) -> int:
        return len(self.points)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]

    @classmethod
    def of(cls, image: ImageArray) -> LocalFeatures:
        """The features of an H×W×3 BGR picture of one product."""
        scale = min(_LONGEST / max(image.shape[:2]), _ENLARGE)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        scaled = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
        sift = cv2.SIFT.create(nfeatures=_FEATURES, contrastThreshold=_CONTRAST)
        keypoints, descriptors = sift.detectAndCompute(cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY), None)
        if descriptors is None:
            return cls(scaled, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
        rooted = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-7))
        return cls(scaled, np.array([k.pt for k in keypoints], np.float32), np.asarray(rooted, np.float32))


@dataclass(frozen=True)
class Alignment:
    """``homography`` (3×3) maps pixels of the reference's features to the crop's; ``inliers`` matches agree on it."""

    homography: Homography
    inliers: int


def match(reference: LocalFeatures, crop: LocalFeatures) -> npt.NDArray[np.int64]:
    """M×2 rows of features that are each other's nearest and clearly nearer than the second."""
    if len(reference) < 2 or len(crop) < 2:
        return np.zeros((0, 2), np.int64)
    cosines = reference.descriptors @ crop.descriptors.T
    nearest = cosines.argmax(axis=1)
    rows = np.arange(len(reference))
    best = cosines[rows, nearest].copy()
    mutual = cosines.argmax(axis=0)[nearest] == rows
    cosines[rows, nearest] = -1.0
    distance, second = (np.sqrt(np.maximum(2 - 2 * c, 0)) for c in (best, cosines.max(axis=1)))
    kept = mutual & (distance < _RATIO * second)
    return np.stack([rows[kept], nearest[kept]], axis=1).astype(np.int64)


def align(reference: LocalFeatures, crop: LocalFeatures) -> Alignment | None:
    """Where the reference lies in the crop; None when too few features agree on a place that a pack can have."""
    pairs = match(reference, crop)
    if len(pairs) < _FEWEST:
        return None
    tolerance = _TOLERANCE * max(crop.size) + 1
    source, target = reference.points[pairs[:, 0]], crop.points[pairs[:, 1]]
    found, mask = cv2.findHomography(source, target, cv2.USAC_MAGSAC, tolerance, maxIters=2000, confidence=0.999)
    if found is None or int(mask.sum()) < _FEWEST:
        return None
    homography = np.asarray(found, np.float64)
    return Alignment(homography, int(mask.sum())) if _possible(homography, reference.size, crop.size) else None


def outline(size: tuple[int, int], homography: Homography) -> FloatArray:
    """The four corners (4×2) of a picture of this width and height where a homography takes them."""
    width, height = size
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    return np.asarray(cv2.perspectiveTransform(corners, homography)[0], np.float32)


def _possible(homography: Homography, reference: tuple[int, int], crop: tuple[int, int]) -> bool:
    """Whether the reference's outline is seen from the front and fills the crop about as a detected pack does."""
    corners = outline(reference, homography)
    share = cv2.contourArea(corners, oriented=True) / (crop[0] * crop[1])
    return bool(np.isfinite(corners).all() and cv2.isContourConvex(corners) and 0.4 < share < 2.5)
