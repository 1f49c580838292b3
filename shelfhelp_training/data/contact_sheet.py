"""What a detector is trained and measured on, drawn: after crops, augmentation and resizing, with boxes and regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.drawing import draw_box, write_line
from shelfhelp_ros.sightings import ImageArray

# BGR, from the Okabe-Ito palette.
PRODUCT, IGNORED = (115, 158, 0), (0, 159, 230)
GAP = 4
WHITE = 255


def draw_target(image: Tensor, target: dict[str, Tensor]) -> ImageArray:
    """An image (3×H×W RGB in 0..1) as H×W×3 BGR, products framed in green, ignored regions hatched in orange."""
    pixels = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()[:, :, ::-1]
    drawn: ImageArray = np.ascontiguousarray(pixels)
    _hatch(drawn, target["ignore"].numpy())
    for region in target["ignore"].numpy():
        draw_box(drawn, region, "", IGNORED)
    for box in target["boxes"].numpy():
        draw_box(drawn, box, "", PRODUCT)
    write_line(drawn, f"{len(target['boxes'])} products")
    return drawn


def _hatch(image: ImageArray, regions: np.ndarray) -> None:
    """Slanting lines over the regions (K×4), in place."""
    rows, columns = np.indices(image.shape[:2])
    lines = (rows + columns) % 8 == 0
    inside = np.zeros(image.shape[:2], bool)
    for x1, y1, x2, y2 in regions:
        inside |= (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
    image[lines & inside] = IGNORED


def sheet(pictures: Sequence[ImageArray], columns: int) -> ImageArray:
    """Pictures side by side, ``columns`` a row, on white; smaller ones stand in the corner of their cell."""
    height = max(picture.shape[0] for picture in pictures) + GAP
    width = max(picture.shape[1] for picture in pictures) + GAP
    rows = -(-len(pictures) // columns)
    page = np.full((rows * height - GAP, min(columns, len(pictures)) * width - GAP, 3), WHITE, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return page


def write_sheet(page: ImageArray, path: Path) -> None:
    """Write a PNG. Raises ShelfHelpError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", page)[1].tobytes())
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another folder") from error
