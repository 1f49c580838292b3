"""Folders of invented packs, one a product, with several photographs of each: learnt within seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.data.crop_sources import LONGEST, whole
from shelfhelp_training.data.views import random_view


def photograph_products(folder: Path, seed: int, count: int, photos: int, height: int = 160, width: int = 120) -> Path:
    """Write ``photos`` views of each of ``count`` products, ``folder/PRODUCT/NUMBER.png``; returns ``folder``."""
    products = make_products(seed, count, near_duplicates=0.3)
    faces = [draw_face(product, LONGEST) for product in products]
    for number, (product, face) in enumerate(zip(products, faces, strict=True)):
        (folder / product.id).mkdir(parents=True)
        crop = whole(face, product.id, "", "")
        for photo in range(photos):
            rng = np.random.default_rng([seed, number, photo])
            view = random_view(crop, faces[int(rng.integers(count))], height, width, rng)
            cv2.imwrite(str(folder / product.id / f"{seed}-{photo}.png"), view)
    return folder
