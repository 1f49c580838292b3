"""Is a photo good enough to know a product by? Measures, thresholds and the advice in words, all in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import BoxArray, area, iou
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray

# Sharpness is measured at one size, because a picture shrinks sharp: this is about what an encoder sees of it.
SHARPNESS_SIDE = 256


@dataclass(frozen=True)
class QualityLimits:
    """From where on a photo gets advice. Sides are pixels of the photo, grey levels 0..255.

    ``min_side``: below it the encoder's input is mostly invented by enlarging. ``unusable_side``: nothing to see.
    ``min_sharpness``: sharp photos of packs, from web shops and shelves, measure 0.28 to 1.4; blurred by a Gaussian of
    a hundredth of their longer side, which takes the small print away, 0.04 to 0.1.
    ``min_brightness``, with ``min_highlight`` for the bright parts, so that a dark pack in good light passes.
    ``unusable_highlight``: the photo is black. ``border``: a side this near to the edge (share of the photo) is cut.
    ``filling``: a product this large in its photo (share of the area) is what the photo was cropped to: all is taken.
    ``min_share``: a smaller detection (share of the area) is a part of the product or something else, not the product.
    ``rival_area``: a second product this large, relative to the chosen one, makes it unclear which is meant, unless its
    score is lower by ``rival_score``.
    """

    min_side: int = 80
    unusable_side: int = 16
    min_sharpness: float = 0.1
    min_brightness: float = 45.0
    min_highlight: float = 110.0
    unusable_highlight: float = 20.0
    border: float = 0.006
    filling: float = 0.6
    min_share: float = 0.01
    rival_area: float = 0.6
    rival_score: float = 0.1


@dataclass(frozen=True)
class Finding:
    """The product in a photo: its ``box`` in pixels, the detector's ``score`` (None: the whole photo was taken),
    whether other products are as prominent, and whether the photo cuts it off."""

    box: npt.NDArray[np.float32]
    score: float | None
    several: bool
    cut_off: bool


def find_main_product(
    detections: Detections, width: int, height: int, limits: QualityLimits = QualityLimits()
) -> Finding:
    """The product a photo is of: large, near the middle and surely detected; without any, the whole photo."""
    large = area(detections.boxes) >= limits.min_share * width * height
    boxes, scores = detections.boxes[large], detections.scores[large]
    if not len(boxes):
        return Finding(np.array([0, 0, width, height], np.float32), None, several=False, cut_off=False)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array([width, height]) - 0.5
    central = np.exp(-((centres / 0.25) ** 2).sum(axis=1) / 2)
    prominence = scores * area(boxes) * central
    chosen = int(np.argmax(prominence))
    box, score = boxes[chosen], float(scores[chosen])
    if float(area(box[None])[0]) >= limits.filling * width * height:
        return Finding(np.array([0, 0, width, height], np.float32), score, several=False, cut_off=False)
    sure = scores >= score - limits.rival_score
    return Finding(box, score, _has_rival(boxes, chosen, sure, limits), _cut_off(box, width, height, limits))


def _has_rival(boxes: BoxArray, chosen: int, sure: npt.NDArray[np.bool_], limits: QualityLimits) -> bool:
    """Another sure product nearly as large, that is not a part of the chosen one nor the other way round."""
    sizes = area(boxes)
    apart = iou(boxes[chosen][None], boxes)[0] < 0.3
    inside = _covered(boxes, boxes[chosen]) > 0.7
    return bool((sure & apart & ~inside & (sizes >= limits.rival_area * sizes[chosen])).any())


def _covered(boxes: BoxArray, by: npt.NDArray[np.float32]) -> FloatArray:
    """The share of each box that lies inside another one."""
    low, high = np.maximum(boxes[:, :2], by[:2]), np.minimum(boxes[:, 2:], by[2:])
    sides = np.clip(high - low, 0, None)
    return np.asarray(sides.prod(axis=1) / np.maximum(area(boxes), 1e-9), np.float32)


def _cut_off(box: npt.NDArray[np.float32], width: int, height: int, limits: QualityLimits) -> bool:
    """Whether the product runs out of the photo."""
    x, y = limits.border * width, limits.border * height
    return bool(box[0] <= x or box[1] <= y or box[2] >= width - x or box[3] >= height - y)


def sharpness(crop: ImageArray) -> float:
    """How much fine detail there is for the contrast there is: no unit, 0 (blank) to about 1 (noise).

    The standard deviation of the Laplacian over that of the grey levels, at a fixed size (variance of Laplacian,
    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000, here made independent of contrast).
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    scale = SHARPNESS_SIDE / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    contrast = float(grey.std())
    # Sensor noise of a few grey levels on a blank wall is no detail.
    return float(cv2.Laplacian(grey, cv2.CV_64F).std()) / max(contrast, 8.0) if contrast > 1 else 0.0


def brightness(crop: ImageArray) -> tuple[float, float]:
    """Mean grey level and that of the brightest twentieth, 0..255."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    return float(grey.mean()), float(np.percentile(grey, 95))


def unusable(crop: ImageArray, limits: QualityLimits = QualityLimits()) -> str | None:
    """Why a crop cannot serve as a reference at all, in words, or None."""
    if min(crop.shape[:2]) < limits.unusable_side:
        return "shows the product far too small to be of use; take it again from closer"
    if brightness(crop)[1] < limits.unusable_highlight:
        return "is black; take it again with more light"
    if float(crop.std()) < 2:
        return "is blank; take it again with the product in view"
    return None


def advise(crop: ImageArray, finding: Finding, limits: QualityLimits = QualityLimits()) -> list[str]:
    """What would make a usable photo better, in words."""
    mean, highlight = brightness(crop)
    side = min(crop.shape[:2])
    checks = [
        (side < limits.min_side, f"shows the product too small ({side} pixels across); hold the camera closer"),
        (mean < limits.min_brightness and highlight < limits.min_highlight, "is too dark; turn on a light"),
        (sharpness(crop) < limits.min_sharpness, "is too blurred; hold the camera still and a little further away"),
        (finding.cut_off, "cuts the product off at the edge; hold the camera further away or move it to the middle"),
        (finding.several, "shows several products and the middle one was taken; photograph one alone"),
    ]
    return [words for holds, words in checks if holds]


def odd_ones_out(probability_same: FloatArray, least: float) -> Sequence[int]:
    """Photos that disagree with the rest, by the N×N probabilities that two of them show one product.

    A photo agrees when that probability reaches ``least`` with at least one other photo. When no two agree the first is
    trusted and the others are named.
    """
    count = len(probability_same)
    if count < 2:
        return []
    others = np.where(np.eye(count, dtype=bool), 0, probability_same)
    odd = np.flatnonzero(others.max(axis=1) < least)
    return [int(row) for row in odd if len(odd) < count or row > 0]
