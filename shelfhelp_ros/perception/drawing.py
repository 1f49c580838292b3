"""Boxes and words on a picture, for people who check what the program sees."""

from __future__ import annotations

import cv2
import numpy as np

from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.sightings import Decision, ImageArray, Sightings

# BGR, from the Okabe-Ito palette, which colour-blind people can tell apart.
PRODUCT = (180, 180, 180)
TARGET = (115, 158, 0)
RIVAL = (0, 94, 213)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(image: ImageArray, sightings: Sightings) -> ImageArray:
    """A copy of the frame: every product boxed, the target and its rival highlighted, the decision written on top."""
    drawn: ImageArray = image.copy()
    target = sightings.target
    for product in sightings.products:
        draw_box(drawn, product.box, "", PRODUCT)
    if target is None:
        return drawn
    if target.runner_up is not None and target.decision is Decision.AMBIGUOUS:
        draw_box(drawn, target.runner_up.box, f"{target.runner_up_probability:.2f}", RIVAL, bold=True)
    if target.product is not None and target.decision in (Decision.FOUND, Decision.AMBIGUOUS):
        draw_box(drawn, target.product.box, f"{target.target_name} {target.probability:.2f}", TARGET, bold=True)
    write_line(drawn, f"{target.target_name}: {target.decision.name.lower()}")
    return drawn


def draw_box(
    image: ImageArray, box: BoxArray, label: str, colour: tuple[int, int, int] = PRODUCT, bold: bool = False
) -> None:
    """Draw one box (4,) in place. A bold one has its whole label on a plate above it, others what fits inside."""
    unit = _unit(image)
    x1, y1, x2, y2 = (round(float(v)) for v in np.asarray(box).reshape(4))
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, unit * (3 if bold else 1))
    if bold:
        _plate(image, label, (x1, y1), 0.45 * unit, colour)
        return
    label = label[: (x2 - x1) // (7 * unit)]
    if len(label) > 2:
        _write(image, label, (x1 + 2 * unit, y2 - 4 * unit), 0.35 * unit, colour)


def write_line(image: ImageArray, text: str) -> None:
    """Write one line in the upper left corner, in place."""
    unit = _unit(image)
    _plate(image, text, (0, 0), 0.55 * unit, (40, 40, 40))


def _plate(image: ImageArray, text: str, corner: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    """White words on a plate above ``corner`` (x, y), moved to where all of it can be seen."""
    text = _ascii(text)
    pad = 4 * _unit(image)
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, _unit(image))
    left = max(0, min(corner[0], image.shape[1] - width - 2 * pad))
    top = max(0, corner[1] - height - 2 * pad)
    cv2.rectangle(image, (left, top), (left + width + 2 * pad, top + height + 2 * pad), colour, cv2.FILLED)
    origin = (left + pad, top + pad + height)
    cv2.putText(image, text, origin, _FONT, scale, (255, 255, 255), _unit(image), cv2.LINE_AA)


def _write(image: ImageArray, text: str, origin: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    for line, shade in ((_unit(image) * 3, (0, 0, 0)), (_unit(image), colour)):
        cv2.putText(image, _ascii(text), origin, _FONT, scale, shade, line, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """OpenCV's fonts know ASCII only."""
    return text.encode("ascii", "replace").decode()


def _unit(image: ImageArray) -> int:
    """Line width in pixels that stays visible on a picture of this size."""
    return max(1, round(int(max(image.shape[:2])) / 900))
