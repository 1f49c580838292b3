"""What stands clear of the shelf: a pack that somebody holds up, or the hand that does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import overlap_of_smaller
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.sightings import Detections, FloatArray, Frame, ImageArray

#: So much nearer than the shelf, metres, a thing is no product that merely stands in front of the others.
_CLEAR = 0.08

#: Where too few are in view to tell how the shelf is turned, it is where this share of them is, or nearer.
_SHELF = 0.75

#: So many tell how it is turned.
_ENOUGH = 6

#: Steps towards the plane that fits most of them.
_STEPS = 8

#: What fills less of the picture is no pack that somebody shows.
_LEAST_SHARE = 0.03

#: What is behind it is painted over with this grey, and this share of its sides is left about it.
_GREY, _MARGIN = 128, 0.1

#: What shares more than this of the smaller box with it is the same thing, or is behind it.
_SAME = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shelf:
    """Where the shelf is: a plane, whose inverse distance is linear in the pixels, across and down."""

    across: float
    down: float
    inverse: float

    @classmethod
    def of(cls, seen: Mapping[int, tuple[float, float, float]]) -> Shelf | None:
        """The plane of most of what is ``seen``: where the middle of each thing is, pixels across and down, and its
        distance, metres along the optical axis. None where there are fewer than two: a thing alone may be held up.

        The sum of absolute errors is made small by weighted least squares (Schlossmacher 1973), so that what is not on
        the plane counts little.
        """
        if len(seen) < 2:
            return None
        across, down, distances = np.array(list(seen.values()), np.float64).T
        if len(seen) < _ENOUGH:
            return cls(0.0, 0.0, 1 / float(np.quantile(distances, _SHELF)))
        middle = across.mean(), down.mean()
        terms = np.stack([(across - middle[0]) / 100, (down - middle[1]) / 100, np.ones_like(across)], axis=1)
        inverse = 1 / distances
        fitted = np.full_like(inverse, np.median(inverse))
        for _ in range(_STEPS):
            weighted = terms.T / np.maximum(np.abs(inverse - fitted), 1e-3)
            # A trace of ridge: what stands in one line does not tell how the shelf is turned about it.
            slope = np.linalg.solve(weighted @ terms + 1e-6 * np.eye(3), weighted @ inverse)
            fitted = terms @ slope
        a, b = float(slope[0]) / 100, float(slope[1]) / 100
        return cls(a, b, float(slope[2]) - a * float(middle[0]) - b * float(middle[1]))

    def distance(self, across: Floats, down: Floats) -> Floats:
        """How far it is, metres, at places in the picture."""
        return np.asarray(1 / np.maximum(self.across * across + self.down * down + self.inverse, 1e-3))


def clear_of_shelf(seen: Mapping[int, tuple[float, float, float]], shelf: Shelf | None) -> set[int]:
    """Which tracks stand clear of the shelf; ``seen`` as in `Shelf.of`. None do where it is not known."""
    if shelf is None:
        return set()
    across, down, distances = np.array(list(seen.values()), np.float64).T
    clear = distances < shelf.distance(across, down) - _CLEAR
    return {track_id for track_id, one in zip(seen, clear, strict=True) if one}


def detect(detector: Detector, frame: Frame, shelf: Shelf | None, threshold: float | None) -> Detections:
    """The products in a frame. What stands clear of the shelf is looked at once more, by itself: before all that is
    behind it, it is easily taken for parts of other things."""
    whole = detector.detect(frame.image, threshold)
    shown = None if shelf is None else clear_part(frame, shelf)
    if shown is None:
        return whole
    picture, corner = shown
    alone = detector.detect(picture, threshold)
    boxes = np.asarray(alone.boxes + np.tile(np.array(corner, np.float32), 2), np.float32)
    if not len(boxes):
        return whole
    kept = overlap_of_smaller(whole.boxes, boxes).max(axis=1, initial=0) <= _SAME
    boxes, scores = (np.concatenate(both) for both in ((boxes, whole.boxes[kept]), (alone.scores, whole.scores[kept])))
    return Detections(boxes, scores, clear=len(alone))


def clear_part(frame: Frame, shelf: Shelf) -> tuple[ImageArray, tuple[int, int]] | None:
    """The largest thing before the shelf, on grey, and where (x, y) in the frame its picture begins; None where there
    is none of a pack's size."""
    mask = _largest(_before(frame.depth, shelf, frame.image.shape[:2]))
    if mask is None:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = rows[-1] - rows[0], columns[-1] - columns[0]
    top, left = max(0, int(rows[0] - _MARGIN * height)), max(0, int(columns[0] - _MARGIN * width))
    bottom, right = int(rows[-1] + _MARGIN * height) + 1, int(columns[-1] + _MARGIN * width) + 1
    picture = np.where(mask[..., None], frame.image, np.uint8(_GREY))[top:bottom, left:right]
    return np.ascontiguousarray(picture), (left, top)


def _before(depth: FloatArray | None, shelf: Shelf, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which pixels of a colour image (``shape`` H, W) show something that is clear of the shelf."""
    if depth is None or depth.size == 0:
        return np.zeros(shape, np.bool_)
    height, width = depth.shape[:2]
    across = (np.arange(width) + 0.5) * shape[1] / width
    down = (np.arange(height) + 0.5) * shape[0] / height
    far = shelf.distance(across[None, :], down[:, None])
    before = np.isfinite(depth) & (depth > 0) & (depth < far - _CLEAR)
    if before.shape == shape:
        return before
    return cv2.resize(before.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST).astype(np.bool_)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_] | None:
    """The largest connected part of a mask; None where that is too small to be a pack that is shown."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    areas = facts[1:, cv2.CC_STAT_AREA]
    if areas.max() < _LEAST_SHARE * mask.size:
        return None
    return np.asarray(labels == 1 + int(np.argmax(areas)), np.bool_)
