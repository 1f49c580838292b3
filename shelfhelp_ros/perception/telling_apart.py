"""Which of two look-alikes a crop shows, by the places in which the two differ.

Varieties of one brand share layout and lettering, and any crop of either resembles both. Their references are laid over
each other first: what differs between them is known before the crop is seen. Laid over the crop together, by one
homography, they are compared with it there alone; what they share says nothing, and an error of the homography hurts
both alike. This is the matched filter for two known patterns in noise (Turin, "An introduction to matched filters",
1960), cell by cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.perception.local_features import Homography, LocalFeatures, outline
from shelfhelp_ros.sightings import FloatArray, ImageArray

# The crop's frame, its cells and how far a cell may lie off the plane, in pixels; a crop is never enlarged.
_LONGEST = 320
_CELL, _STEP, _SEARCH = 16, 8, 2
_FEWEST = 3
# References that differ by less, CIE Lab units, look the same from where the crop was taken.
_CONTRAST = 2.0
# Where a picture has no contrast of its own, the light's cannot be told from it.
_FLAT = 4.0
_GAIN = (0.4, 1.6)
# A cell that is so much farther from either reference than they are from each other shows neither: fingers, or glare.
_NEITHER = 16.0


@dataclass(frozen=True)
class Comparison:
    """``side``: with which of two references a crop agrees where they differ, about 1 for the first, -1 for the second;
    ``spread``: how far that may be off by what the crop differs from the nearer of them."""

    side: float
    spread: float

    @property
    def agreement(self) -> float:
        """``side``, the less the less it can be relied on: what the evidence is a function of. A crop that is farther
        on one side than that reference itself is neither's."""
        beyond = max(0.0, abs(self.side) - 1.0)
        return math.copysign(max(0.0, min(abs(self.side), 1.0) - beyond), self.side) / (0.5 + self.spread)


def tell_apart(
    picture: ImageArray, place: Homography, first: LocalFeatures, second: LocalFeatures, between: Homography
) -> Comparison | None:
    """Compare a ``picture`` (H×W×3 BGR) with two references, by their features: ``place`` (3×3) maps pixels of the
    first one's image to the picture's, ``between`` those of the second one's to the first one's. None when too little
    of them is in the picture, or they do not differ there."""
    shown = _part(picture, outline(first.size, place))
    if shown is None:
        return None
    picture, corner = shown
    place = np.array([[1.0, 0.0, -corner[0]], [0.0, 1.0, -corner[1]], [0.0, 0.0, 1.0]]) @ place
    scale = min(1.0, _LONGEST / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    place = np.diag([size[0] / picture.shape[1], size[1] / picture.shape[0], 1.0]) @ place
    valid = _inside(first, place, size) & _inside(second, place @ between, size)
    if not valid.any():
        return None
    seen = _colours(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8))
    one, other = _colours(_laid(first, place, size)), _colours(_laid(second, place @ between, size))
    return _compare(_in_their_light(seen, one, other, valid), one, other, valid)


def _part(picture: ImageArray, corners: FloatArray) -> tuple[ImageArray, tuple[int, int]] | None:
    """What of a picture holds a reference whose corners (4×2) lie there, and where that begins; None when nothing."""
    if not np.isfinite(corners).all():
        return None
    height, width = picture.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    if right <= left or bottom <= top:
        return None
    return picture[top:bottom, left:right], (int(left), int(top))


def _laid(reference: LocalFeatures, place: Homography, size: tuple[int, int]) -> ImageArray:
    """A reference where it lies in the crop, as sharp as the crop can be."""
    area = float(cv2.contourArea(outline(reference.size, place)))
    sharpness = float(np.sqrt(max(area, 1.0) / (reference.size[0] * reference.size[1])))
    source = reference.image
    if sharpness < 0.9:
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.45 / sharpness), np.uint8)
    return np.asarray(cv2.warpPerspective(source, place, size, flags=cv2.INTER_LINEAR), np.uint8)


def _inside(reference: LocalFeatures, place: Homography, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Where the crop's frame shows a reference, but for its rim, where a detected box may err."""
    whole = np.full(reference.image.shape[:2], 255, np.uint8)
    shown = cv2.warpPerspective(whole, place, size, flags=cv2.INTER_NEAREST)
    rim = max(2, round(0.03 * min(size)))
    return np.asarray(cv2.erode(shown, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)) > 0, np.bool_)


def _colours(picture: ImageArray) -> FloatArray:
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.7), np.float32)


def _in_their_light(seen: FloatArray, one: FloatArray, other: FloatArray, valid: npt.NDArray[np.bool_]) -> FloatArray:
    """The crop as it would look in the references' light, channel by channel, learnt where those agree."""
    middle, apart = (one + other) / 2, np.linalg.norm(one - other, axis=2) / 2
    agreeing = valid & (apart <= max(float(np.median(apart[valid])), 1.0))
    lit = np.empty_like(seen)
    for channel in range(3):
        known, there = middle[..., channel][agreeing], seen[..., channel][agreeing]
        spread = float(known.std())
        covariance = float(((known - known.mean()) * (there - there.mean())).mean())
        gain = float(np.clip(covariance / spread**2, *_GAIN)) if spread > _FLAT else 1.0
        lit[..., channel] = (seen[..., channel] - np.median(there - gain * known)) / gain
    return lit


def _compare(seen: FloatArray, one: FloatArray, other: FloatArray, valid: npt.NDArray[np.bool_]) -> Comparison | None:
    """The comparison, once all three lie in one frame (H×W×3 CIE Lab). Every cell of the crop is moved to where it fits
    either reference best."""
    height, width = valid.shape
    if min(height, width) < _CELL:
        return None
    cells = _cells(valid.astype(np.float32)) >= 0.8
    if int(cells.sum()) < _FEWEST:
        return None
    to_one = np.full(cells.shape, np.inf, np.float32)
    to_other = to_one.copy()
    padded = cv2.copyMakeBorder(seen, _SEARCH, _SEARCH, _SEARCH, _SEARCH, cv2.BORDER_REPLICATE)
    for dy in range(2 * _SEARCH + 1):
        for dx in range(2 * _SEARCH + 1):
            moved = padded[dy : dy + height, dx : dx + width]
            far_one, far_other = (_cells(((moved - r) ** 2).sum(axis=2)) for r in (one, other))
            better = np.minimum(far_one, far_other) < np.minimum(to_one, to_other)
            to_one, to_other = np.where(better, far_one, to_one), np.where(better, far_other, to_other)
    apart = _cells(((one - other) ** 2).sum(axis=2))[cells] / 4
    to_one, to_other = to_one[cells], to_other[cells]
    neither = np.minimum(to_one, to_other) > _NEITHER * apart
    if float(np.sqrt(np.sort(apart)[-_FEWEST:].mean())) < _CONTRAST:
        return None
    energy = float(apart.sum())
    return Comparison(
        side=float((to_other - to_one)[~neither].sum() / (4 * energy)),
        spread=float(np.sqrt((apart * np.minimum(to_one, to_other)).sum())) / energy,
    )


def _cells(values: FloatArray) -> FloatArray:
    """The mean of H×W values over each cell of the grid."""
    means = cv2.boxFilter(values, cv2.CV_32F, (_CELL, _CELL), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    height, width = values.shape
    return np.asarray(means[: height - _CELL + 1 : _STEP, : width - _CELL + 1 : _STEP], np.float32)
