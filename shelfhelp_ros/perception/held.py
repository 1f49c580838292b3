"""What stands clear of the shelf: a pack that somebody holds up, or the hand that does."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import BoxArray, area, overlap_of_smaller
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import crop_box
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

#: What is by itself fills its picture: half the size shows it better than the whole, in a quarter of the time.
_ZOOMS = (0.5,)

#: What shares more than this of the smaller box with it is the same thing, or is behind it.
_SAME = 0.5

#: A box that it fills so much of shows it, and not what is behind; a box this much smaller than another shows a part.
_FILLED, _LARGE_PART = 0.75, 0.4

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


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


def detect(
    detector: Detector, frame: Frame, shelf: Shelf | None, threshold: float | None, most_s: float = math.inf
) -> Detections:
    """The products in a frame. What stands clear of the shelf and was not seen as such is looked at once more, by
    itself: before all that is behind it, it is easily taken for parts of other things. Where one look took more than
    ``most_s`` seconds there is no time for another."""
    begun = time.perf_counter()
    whole = detector.detect(frame.image, threshold)
    late = time.perf_counter() - begun > most_s
    mask = None if shelf is None or late else clear_part(frame, shelf)
    if mask is None:
        return whole
    picture, corner = alone(frame.image, mask)
    again = detector.detect(picture, threshold, zooms=_ZOOMS)
    boxes = np.asarray(again.boxes + np.tile(np.array(corner, np.float32), 2), np.float32)
    clear = np.array([_share(mask, box) >= _FILLED for box in whole.boxes], np.bool_)
    known = (
        (overlap_of_smaller(boxes, whole.boxes) > _SAME)
        & clear
        & (area(whole.boxes)[None, :] > _LARGE_PART * area(boxes)[:, None])
    )
    new = ~known.any(axis=1)
    kept = ~(overlap_of_smaller(whole.boxes, boxes[new]) > _SAME).any(axis=1)
    order = [*np.flatnonzero(kept & clear), *np.flatnonzero(kept & ~clear)]
    return Detections(
        np.concatenate([boxes[new], whole.boxes[order]]),
        np.concatenate([again.scores[new], whole.scores[order]]),
        clear=int(new.sum() + (kept & clear).sum()),
    )


def clear_part(frame: Frame, shelf: Shelf) -> Mask | None:
    """The pixels (H×W) of the largest thing before the shelf; None where there is none of a pack's size."""
    return _largest(_before(frame.depth, shelf, frame.image.shape[:2]))


def alone(image: ImageArray, mask: Mask) -> tuple[ImageArray, tuple[int, int]]:
    """What of a picture is in a mask, on grey, and where (x, y) in the picture that begins."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = rows[-1] - rows[0], columns[-1] - columns[0]
    top, left = max(0, int(rows[0] - _MARGIN * height)), max(0, int(columns[0] - _MARGIN * width))
    bottom, right = int(rows[-1] + _MARGIN * height) + 1, int(columns[-1] + _MARGIN * width) + 1
    picture = np.where(mask[..., None], image, np.uint8(_GREY))[top:bottom, left:right]
    return np.ascontiguousarray(picture), (left, top)


def _share(mask: Mask, box: BoxArray) -> float:
    """How much of a box a mask fills."""
    covered = crop_box(mask.astype(np.uint8), box)
    return 0.0 if covered is None else float(covered.mean())


def _before(depth: FloatArray | None, shelf: Shelf, shape: tuple[int, int]) -> Mask:
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


def _largest(mask: Mask) -> Mask | None:
    """The largest connected part of a mask; None where that is too small to be a pack that is shown."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    areas = facts[1:, cv2.CC_STAT_AREA]
    if areas.max() < _LEAST_SHARE * mask.size:
        return None
    return np.asarray(labels == 1 + int(np.argmax(areas)), np.bool_)
