"""Rendered shelves as a COCO data set, written so that an interrupted export goes on where it stopped."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import Product, make_products, products_from_folder
from shelfhelp_ros.simulation.renderer import load_mujoco
from shelfhelp_ros.simulation.scene import RenderedFrame
from shelfhelp_ros.simulation.views import random_pictures

PICTURES_PER_SHELF = 4
# Packs that show less than this share are marked as crowd, which detectors neither learn from nor are blamed for.
IGNORE_BELOW = 0.3
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class CocoSettings:
    """What makes one data set different from another.

    ``products`` is how many different products there are to draw from; ``layout`` one of ``layout.LAYOUTS`` or empty
    for a random one a shelf; ``portrait`` the share of upright pictures; ``packshots`` a folder of pictures to use as
    packs.
    """

    seed: int = 0
    frames: int = 100
    width: int = 640
    height: int = 480
    products: int = 600
    layout: str = ""
    portrait: float = 0.3
    packshots: str = ""


def export_coco(folder: Path, settings: CocoSettings, processes: int = 1) -> Path:
    """Write ``frames/*.jpg`` and ``annotations.json`` into ``folder``; returns the latter's path.

    Categories are products: ``name`` is the product id, ``product_name`` its words. Boxes go round what is visible;
    ``visibility`` is the visible share, below 0.3 ``iscrowd`` and ``ignore`` are 1. Pictures that are there already
    stay; ShelfHelpError when the folder holds a data set made with other settings.
    """
    load_mujoco()
    _claim(folder, settings)
    shelves = range((settings.frames + PICTURES_PER_SHELF - 1) // PICTURES_PER_SHELF)
    missing = [
        shelf for shelf in shelves if not all(_label_file(folder, n).exists() for n in _numbers(settings, shelf))
    ]
    done = settings.frames - sum(len(_numbers(settings, shelf)) for shelf in missing)
    with tqdm(total=settings.frames, initial=done, unit="frame", desc="rendering") as bar:
        for count in _render_all(folder, settings, missing, processes):
            bar.update(count)
    return _merge(folder, settings)


def _numbers(settings: CocoSettings, shelf: int) -> range:
    first = shelf * PICTURES_PER_SHELF
    return range(first, min(first + PICTURES_PER_SHELF, settings.frames))


def _label_file(folder: Path, number: int) -> Path:
    return folder / "labels" / f"{number:06d}.json"


def _claim(folder: Path, settings: CocoSettings) -> None:
    """Make the folder this data set's, or find that it is; the number of frames may grow."""
    note = folder / "settings.json"
    wanted = asdict(settings)
    try:
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        (folder / "labels").mkdir(exist_ok=True)
        if note.exists():
            there = json.loads(note.read_text())
            if {**there, "frames": 0} != {**wanted, "frames": 0}:
                raise ShelfHelpError(f"{folder} holds frames made with other settings ({there}); choose another folder")
        note.write_text(json.dumps(wanted, indent=1) + "\n")
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"the data set cannot be written to {folder}: {error}") from error


def _render_all(folder: Path, settings: CocoSettings, shelves: list[int], processes: int) -> Iterator[int]:
    if processes <= 1:
        for shelf in shelves:
            yield _render_shelf(folder, settings, shelf)
        return
    # OpenGL contexts do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        tasks = [pool.submit(_render_shelf, folder, settings, shelf) for shelf in shelves]
        try:
            for task in tasks:
                yield task.result()
        finally:
            for task in tasks:
                task.cancel()


@lru_cache(maxsize=4)
def all_products(settings: CocoSettings) -> list[Product]:
    """Every product that the data set may show."""
    if settings.packshots:
        return products_from_folder(Path(settings.packshots))
    return make_products(settings.seed, settings.products)


def _render_shelf(folder: Path, settings: CocoSettings, shelf: int) -> int:
    """Render the pictures of one shelf; each label is written last, so that it vouches for its picture."""
    rng = np.random.default_rng([settings.seed, shelf, 0xF0])
    size = (settings.width, settings.height)
    if rng.random() < settings.portrait:
        size = size[::-1]
    numbers = _numbers(settings, shelf)
    layout = LAYOUTS[settings.layout] if settings.layout else None
    shelf_seed = int(rng.integers(2**31))
    pictures = random_pictures(all_products(settings), shelf_seed, len(numbers), size, layout)
    for number, frame in zip(numbers, pictures, strict=True):
        quality = int(rng.integers(70, 96))
        jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        _replace(folder / "frames" / f"{number:06d}.jpg", jpeg)
        _replace(_label_file(folder, number), json.dumps(_label(number, frame)).encode())
    return len(numbers)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _label(number: int, frame: RenderedFrame) -> dict[str, Any]:
    height, width = frame.image.shape[:2]
    packs = []
    for box, product_id, visibility in zip(frame.boxes, frame.product_ids, frame.visibility, strict=True):
        left, top, right, bottom = (float(v) for v in box)
        packs.append(
            {
                "product": product_id,
                "bbox": [left, top, right - left, bottom - top],
                "visibility": round(float(visibility), 3),
            }
        )
    image = {"id": number, "file_name": f"frames/{number:06d}.jpg", "width": width, "height": height}
    return {"image": image, "packs": packs}


def _merge(folder: Path, settings: CocoSettings) -> Path:
    """Join the labels of single pictures into one COCO file."""
    products = all_products(settings)
    category_of = {product.id: index + 1 for index, product in enumerate(products)}
    categories = [
        {"id": category_of[p.id], "name": p.id, "product_name": p.name, "family": p.family, "supercategory": p.category}
        for p in products
    ]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(settings.frames):
        label = json.loads(_label_file(folder, number).read_text())
        images.append(label["image"])
        for pack in label["packs"]:
            ignored = int(pack["visibility"] < IGNORE_BELOW or min(pack["bbox"][2:]) < SMALLEST_SIDE)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category_of[pack["product"]],
                    "bbox": pack["bbox"],
                    "area": pack["bbox"][2] * pack["bbox"][3],
                    "iscrowd": ignored,
                    "ignore": ignored,
                    "visibility": pack["visibility"],
                }
            )
    path = folder / "annotations.json"
    coco = {
        "info": {"description": "rendered shelves", **asdict(settings)},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    _replace(path, json.dumps(coco).encode())
    return path
