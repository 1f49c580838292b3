"""Rows of coloured rectangles as a COCO data set: something a detector learns within seconds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def draw_shelves(folder: Path, count: int, side: int = 128, seed: int = 0) -> Path:
    """Write ``count`` square pictures and ``annotations.json`` into ``folder``; returns the latter's path."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number in range(count):
        picture = np.full((side, side, 3), 60, np.uint8)
        for top in range(6, side - 40, 44):
            for left in range(int(rng.integers(4, 16)), side - 26, 32):
                width, height = int(rng.integers(16, 24)), int(rng.integers(28, 36))
                colour = [0, 0, 255]
                rng.shuffle(colour)
                cv2.rectangle(picture, (left, top), (left + width - 1, top + height - 1), colour, -1)
                box = [left, top, width, height]
                annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box})
        name = f"{number:03d}.png"
        cv2.imwrite(str(folder / name), picture)
        images.append({"id": number, "file_name": name, "width": side, "height": side})
    path = folder / "annotations.json"
    categories = [{"id": 1, "name": "product"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path
