"""Rendered shelves as a COCO data set, written so that an interrupted export goes on where it stopped.

Every picture follows from the seed and its number alone: who renders it, when, and beside which others changes nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import Product, family_differences, make_products, products_from_folder
from shelfhelp_ros.simulation.renderer import load_mujoco
from shelfhelp_ros.simulation.views import DOMAINS, Domain, ShelfPicture, random_pictures

PICTURES_PER_SHELF = 4
# Packs that show less than this share are marked as crowd, which detectors neither learn from nor are blamed for.
IGNORE_BELOW = 0.3
SMALLEST_SIDE = 8


@dataclass(frozen=True)
class CocoSettings:
    """What makes one data set different from another.

    ``products`` is how many different products there are to draw from; ``layout`` one of ``layout.LAYOUTS`` or empty
    for a random one a shelf; ``portrait`` the share of upright pictures; ``packshots`` a folder of pictures to use as
    packs; ``domain`` *plain*, *wild* for harder light, lenses, hands and glass (``simulation.wild``), *held* for a pack
    in a hand before the camera (``simulation.held_up``), or *packshot* for one pack on a plain ground
    (``simulation.packshots``); ``depth`` writes a 16-bit PNG in millimetres beside every picture.
    """

    seed: int = 0
    frames: int = 100
    width: int = 640
    height: int = 480
    products: int = 600
    layout: str = ""
    portrait: float = 0.3
    packshots: str = ""
    domain: Domain = "plain"
    depth: bool = False

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise ShelfHelpError(f"the domain is {self.domain!r}; it has to be one of {', '.join(DOMAINS)}")


def usual_workers() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def export_coco(folder: Path, settings: CocoSettings, workers: int = 1) -> Path:
    """Write ``frames/*.jpg`` and ``annotations.json`` into ``folder``; returns the latter's path.

    Categories are products: ``name`` is the product id, ``product_name`` its words, ``family`` the number that
    near-duplicates share and ``differs`` what tells these apart (flavour, size, word). Boxes go round what is visible;
    ``visibility`` is the visible share, below 0.3 ``iscrowd`` and ``ignore`` are 1. Each image names its ``camera``
    (``fx``, ``fy``, ``cx``, ``cy`` in pixels), what was ``drawn`` at random for it and, if asked for, its ``depth``
    file: 16-bit millimetres along the optical axis, 0 where unknown.

    Pictures that are there already stay; ShelfHelpError when the folder holds a data set made with other settings.
    """
    load_mujoco()
    _claim(folder, settings)
    missing: dict[int, list[int]] = {}
    for number in range(settings.frames):
        if not all(path.exists() for path in _files(folder, settings, number)):
            missing.setdefault(number // PICTURES_PER_SHELF, []).append(number)
    done = settings.frames - sum(len(numbers) for numbers in missing.values())
    with tqdm(total=settings.frames, initial=done, unit="frame", desc="rendering") as bar:
        for count in _render_all(folder, settings, missing, workers):
            bar.update(count)
    return _merge(folder, settings)


def _label_file(folder: Path, number: int) -> Path:
    return folder / "labels" / f"{number:06d}.json"


def _files(folder: Path, settings: CocoSettings, number: int) -> list[Path]:
    """What a finished picture consists of."""
    depth = [folder / "depth" / f"{number:06d}.png"] if settings.depth else []
    return [folder / "frames" / f"{number:06d}.jpg", *depth, _label_file(folder, number)]


def _claim(folder: Path, settings: CocoSettings) -> None:
    """Make the folder this data set's, or find that it is; the number of frames may grow."""
    note = folder / "settings.json"
    wanted = asdict(settings)
    try:
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        (folder / "labels").mkdir(exist_ok=True)
        if settings.depth:
            (folder / "depth").mkdir(exist_ok=True)
        if note.exists():
            # Data sets of earlier versions do not name what is new and was not there to choose.
            there = {**asdict(CocoSettings()), **json.loads(note.read_text())}
            if {**there, "frames": 0} != {**wanted, "frames": 0}:
                raise ShelfHelpError(f"{folder} holds frames made with other settings ({there}); choose another folder")
        note.write_text(json.dumps(wanted, indent=1) + "\n")
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"the data set cannot be written to {folder}: {error}") from error


def _render_all(folder: Path, settings: CocoSettings, missing: dict[int, list[int]], workers: int) -> Iterator[int]:
    workers = min(workers, len(missing))
    if workers <= 1:
        for shelf, numbers in missing.items():
            yield _render_shelf(folder, settings, shelf, numbers)
        return
    # OpenGL contexts do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_be_one_of_many) as pool:
        tasks = [pool.submit(_render_shelf, folder, settings, shelf, numbers) for shelf, numbers in missing.items()]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            for task in tasks:
                task.cancel()


def _be_one_of_many() -> None:
    """One thread a process, as the processes share the cores; an interruption is the parent's to answer."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=4)
def all_products(settings: CocoSettings) -> list[Product]:
    """Every product that the data set may show."""
    if settings.packshots:
        return products_from_folder(Path(settings.packshots))
    return make_products(settings.seed, settings.products)


def _render_shelf(folder: Path, settings: CocoSettings, shelf: int, numbers: list[int]) -> int:
    """Render pictures of one shelf; each label is written last, so that it vouches for its picture."""
    rng = np.random.default_rng([settings.seed, shelf, 0xF0])
    size = (settings.width, settings.height)
    if rng.random() < settings.portrait:
        size = size[::-1]
    layout = LAYOUTS[settings.layout] if settings.layout else None
    shelf_seed = int(rng.integers(2**31))
    qualities = [int(rng.integers(70, 96)) for _ in range(PICTURES_PER_SHELF)]
    first = shelf * PICTURES_PER_SHELF
    wanted = [number - first for number in numbers]
    for picture in random_pictures(all_products(settings), shelf_seed, wanted, size, layout, settings.domain):
        number = first + picture.number
        quality = [cv2.IMWRITE_JPEG_QUALITY, qualities[picture.number]]
        _replace(
            folder / "frames" / f"{number:06d}.jpg", cv2.imencode(".jpg", picture.frame.image, quality)[1].tobytes()
        )
        if settings.depth:
            millimetres = depth_millimetres(picture.frame.depth)
            _replace(folder / "depth" / f"{number:06d}.png", cv2.imencode(".png", millimetres)[1].tobytes())
        _replace(_label_file(folder, number), json.dumps(_label(number, picture, settings)).encode())
    return len(numbers)


def depth_millimetres(metres: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """H×W metres (NaN where unknown) as whole millimetres, 0 where unknown, as depth cameras give them."""
    return np.nan_to_num(np.rint(metres * 1000), nan=0).clip(0, 65535).astype(np.uint16)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def _label(number: int, picture: ShelfPicture, settings: CocoSettings) -> dict[str, Any]:
    frame, camera = picture.frame, picture.frame.camera
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
    image = {
        "id": number,
        "file_name": f"frames/{number:06d}.jpg",
        "width": width,
        "height": height,
        **({"depth": f"depth/{number:06d}.png"} if settings.depth else {}),
        "camera": {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy")},
        "drawn": picture.drawn,
    }
    return {"image": image, "packs": packs}


def _merge(folder: Path, settings: CocoSettings) -> Path:
    """Join the labels of single pictures into one COCO file."""
    products = all_products(settings)
    category_of = {product.id: index + 1 for index, product in enumerate(products)}
    differs = family_differences(products)
    categories = [
        {
            "id": category_of[p.id],
            "name": p.id,
            "product_name": p.name,
            "family": p.family,
            "differs": differs[p.family],
            "flavour": p.flavour,
            "size": p.quantity,
            "word": p.claim,
            "shape": p.shape,
            "supercategory": p.category,
        }
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
