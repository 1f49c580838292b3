"""How alike a crop and a reference are, place by place, once the one is laid over the other.

Varieties of one brand share layout and lettering and differ in a picture, a colour or a word. Over the whole pack they
are alike; in the cells where they differ they are not. So the pictures are compared cell by cell, and the worst cells
count as well as the middle ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shelfhelp_ros.perception.local_features import Alignment, LocalFeatures, outline
from shelfhelp_ros.sightings import FloatArray, ImageArray

# The reference's frame, its cells and how far a cell may lie off the plane (a curved or bent pack), in pixels.
_LONGEST = 160
_CELL, _STEP, _SEARCH = 24, 12, 5
# A cell without print says nothing on structure; a pack with fewer cells in view is not compared.
_PLAIN = 4.0
_FEWEST = 8


@dataclass(frozen=True)
class Overlay:
    """``reference`` and ``crop`` in one frame (H×W×3 BGR, equally sharp); ``seen`` (H×W) where the crop has pixels."""

    reference: ImageArray
    crop: ImageArray
    seen: ImageArray


@dataclass(frozen=True)
class Likeness:
    """``structure``: mean correlation over the cells with print. ``colour``: difference of hue and saturation (CIE Lab)
    once the light has been evened out, its median over the cells, and ``colour_worst`` of the tenth that differs most.
    """

    structure: float
    colour: float
    colour_worst: float


def overlay(reference: LocalFeatures, crop: LocalFeatures, alignment: Alignment) -> Overlay:
    """Lay the crop over the reference."""
    scale = _LONGEST / max(reference.size)
    width, height = (max(_CELL, round(side * scale)) for side in reference.size)
    frame = np.asarray(cv2.resize(reference.image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    to_reference = np.diag([reference.size[0] / width, reference.size[1] / height, 1.0])
    place = alignment.homography @ to_reference
    area = float(cv2.contourArea(outline((width, height), place)))
    sharpness = float(np.sqrt(area / (width * height)))
    source = crop.image
    if sharpness > 1.0:
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 * sharpness), np.uint8)
    elif sharpness < 0.8:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.6 / max(sharpness, 0.1)), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(source, place, (width, height), flags=flags)
    inside = np.full(source.shape[:2], 255, np.uint8)
    seen = cv2.warpPerspective(inside, place, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return Overlay(frame, np.asarray(warped, np.uint8), np.asarray(seen, np.uint8))


def compare(laid: Overlay) -> Likeness | None:
    """How alike the two pictures of an overlay are; None when too little of the pack is in view to say."""
    grey = [_smooth(picture) for picture in (laid.reference, laid.crop)]
    colour = [cv2.cvtColor(p.astype(np.float32) / 255, cv2.COLOR_BGR2Lab) for p in (laid.reference, laid.crop)]
    height, width = grey[0].shape
    structure: list[float] = []
    tints: list[FloatArray] = []
    for y in range(0, height - _CELL + 1, _STEP):
        for x in range(0, width - _CELL + 1, _STEP):
            cell = (slice(y, y + _CELL), slice(x, x + _CELL))
            if (laid.seen[cell] > 0).mean() < 0.95:
                continue
            moved = cell
            if grey[0][cell].std() >= _PLAIN:
                best, moved = _search(grey[0][cell], grey[1], y, x)
                structure.append(best)
            tints.append(colour[1][moved].mean(axis=(0, 1)) - colour[0][cell].mean(axis=(0, 1)))
    if len(structure) < _FEWEST:
        return None
    shift = np.array(tints)[:, 1:]
    difference = np.linalg.norm(shift - np.median(shift, axis=0), axis=1)
    return Likeness(
        structure=float(np.mean(structure)),
        colour=float(np.median(difference)),
        colour_worst=float(np.percentile(difference, 90)),
    )


def _smooth(picture: ImageArray) -> FloatArray:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.float32)


def _search(template: FloatArray, picture: FloatArray, y: int, x: int) -> tuple[float, tuple[slice, slice]]:
    """The best correlation of a cell with what lies near its place, and where that is."""
    top, left = max(0, y - _SEARCH), max(0, x - _SEARCH)
    near = picture[top : y + _CELL + _SEARCH, left : x + _CELL + _SEARCH]
    _, best, _, (dx, dy) = cv2.minMaxLoc(cv2.matchTemplate(near, template, cv2.TM_CCOEFF_NORMED))
    place = (slice(top + dy, top + dy + _CELL), slice(left + dx, left + dx + _CELL))
    return (float(best) if np.isfinite(best) else 0.0), place
