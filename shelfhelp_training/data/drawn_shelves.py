"""Shelves of coloured rectangles as a COCO data set: something a detector learns within seconds, with no download."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError


def draw_shelves(folder: Path, count: int, side: int = 128, seed: int = 0) -> Path:
    """Write ``count`` square pictures and ``annotations.json`` into ``folder``; returns the latter's path.

    Raises ShelfHelpError when the folder cannot be written.
    """
    rng = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    path = folder / "annotations.json"
    categories = [{"id": 1, "name": "product"}]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture, boxes = _draw(side, rng)
            name = f"{number:03d}.png"
            (folder / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            images.append({"id": number, "file_name": name, "width": side, "height": side})
            for box in boxes:
                annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box})
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    except OSError as error:
        raise ShelfHelpError(f"{folder} cannot be written: {error.strerror}; give another folder") from error
    return path


def _draw(side: int, rng: np.random.Generator) -> tuple[np.ndarray, list[list[int]]]:
    """A picture and the boxes of its products, as COCO has them (left, top, width, height)."""
    picture = np.full((side, side, 3), 60, np.uint8)
    boxes = []
    for top in range(6, side - 40, 44):
        for left in range(int(rng.integers(4, 16)), side - 26, 32):
            width, height = int(rng.integers(16, 24)), int(rng.integers(28, 36))
            colour = [0, 0, 255]
            rng.shuffle(colour)
            cv2.rectangle(picture, (left, top), (left + width - 1, top + height - 1), colour, -1)
            boxes.append([left, top, width, height])
    return picture, boxes
