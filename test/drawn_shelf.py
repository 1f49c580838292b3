"""Drawn shelves for the tiny models: coloured packs on grey, so that every box and every name is known exactly."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.sightings import ImageArray

GREY = 128


def draw_pack(number: int, width: int = 96, height: int = 128) -> ImageArray:
    """The face of pack ``number``: two or three bands of its own colours and some print. Neighbours differ clearly."""
    random = np.random.default_rng(number)
    pack = np.zeros((height, width, 3), np.uint8)
    hues = [(number * 0.381966 + step) % 1 for step in (0.0, 0.33, 0.66)]
    edges = [0, *sorted(random.choice([0.25, 0.5, 0.75], 2, replace=False)), 1]
    for hue, top, bottom in zip(hues, edges[:-1], edges[1:], strict=True):
        colour = [round(255 * c) for c in colorsys.hsv_to_rgb(hue, 1.0, 0.9)][::-1]
        pack[round(top * height) : round(bottom * height)] = colour
    for line in range(3):
        origin = (round(0.1 * width), round((0.25 + 0.25 * line) * height))
        cv2.putText(pack, f"{random.integers(10**6)}", origin, cv2.FONT_HERSHEY_SIMPLEX, width / 160, (0, 0, 0), 2)
    return pack


def draw_shelf(
    numbers: list[int], size: tuple[int, int] = (640, 480), columns: int = 4, shift: tuple[int, int] = (0, 0)
) -> tuple[ImageArray, BoxArray]:
    """Packs in rows on grey with gaps between them, and their boxes; packs outside the picture are cut or left out.

    ``shift`` moves the whole shelf in the picture (pixels), as a camera that pans would.
    """
    width, height = size
    image = np.full((height, width, 3), GREY, np.uint8)
    image[::16, ::16] = 90  # something for optical flow to hold on to
    rows = -(-len(numbers) // columns)
    cell_width, cell_height = width // columns, height // max(rows, 1)
    pack_width, pack_height = cell_width * 2 // 3 // 4 * 4, cell_height * 2 // 3 // 4 * 4
    boxes = np.zeros((len(numbers), 4), np.float32)
    for place, number in enumerate(numbers):
        x = place % columns * cell_width + cell_width // 6 + shift[0]
        y = place // columns * cell_height + cell_height // 6 + shift[1]
        boxes[place] = x, y, x + pack_width, y + pack_height
        paste(image, draw_pack(number, pack_width, pack_height), x, y)
    return image, boxes


def paste(image: ImageArray, patch: ImageArray, x: int, y: int) -> None:
    """Copy ``patch`` into ``image`` with its upper left corner at (x, y), cut at the edges."""
    height, width = image.shape[:2]
    left, top = max(0, x), max(0, y)
    right, bottom = min(width, x + patch.shape[1]), min(height, y + patch.shape[0])
    if right > left and bottom > top:
        image[top:bottom, left:right] = patch[top - y : bottom - y, left - x : right - x]


def photo_of(number: int) -> bytes:
    """A photo of one pack, lying alone on grey, as PNG."""
    pack = draw_pack(number, 240, 320)
    photo = np.pad(pack, ((80, 80), (80, 80), (0, 0)), constant_values=GREY)
    return bytes(cv2.imencode(".png", photo)[1].tobytes())
