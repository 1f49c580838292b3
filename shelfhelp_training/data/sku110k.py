"""SKU-110K (Goldman et al. 2019): shelf photographs in which every product has a box, without names.

On disk, as published: ``images/train_0.jpg …`` and ``annotations/annotations_{train,val,test}.csv``, whose rows are
``image_name,x1,y1,x2,y2,class,image_width,image_height`` without a header. Dozens of the published JPEGs are damaged;
they are left out and counted, as are pictures that are not there.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray, clip
from shelfhelp_training.data.boxes import BoxedPicture
from shelfhelp_training.data.pictures import Skipped, picture_fault

FORM = "image_name,x1,y1,x2,y2,class,image_width,image_height"
PARTS = ("train", "val", "test")


def load_sku110k(folder: Path, part: str) -> list[BoxedPicture]:
    """The pictures of one part. Boxes are cut at the picture's edges; what lies outside altogether is left out.

    Raises:
        ShelfHelpError: there is no such part, a row is malformed, or no picture is left.
    """
    if part not in PARTS:
        raise ShelfHelpError(f"SKU-110K has no part {part}; known: {', '.join(PARTS)}")
    path = folder / "annotations" / f"annotations_{part}.csv"
    skipped = Skipped()
    pictures = []
    for name, (size, rows) in _rows(path).items():
        picture = _picture(folder / "images" / name, size, np.array(rows, np.float32), skipped)
        if picture is not None:
            pictures.append(picture)
    if not pictures:
        raise ShelfHelpError(f"{folder} holds none of the pictures that {path.name} names, in its folder images")
    skipped.warn(path)
    return pictures


def _rows(path: Path) -> dict[str, tuple[tuple[int, int], list[list[float]]]]:
    """Size and boxes by picture."""
    found: dict[str, tuple[tuple[int, int], list[list[float]]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row:
                    continue
                try:
                    name, x1, y1, x2, y2, _, width, height = row
                    box = [float(x1), float(y1), float(x2), float(y2)]
                    found.setdefault(name, ((int(width), int(height)), []))[1].append(box)
                except ValueError as error:
                    text = ",".join(row)
                    raise ShelfHelpError(f"{path}, line {number}: {text!r} is not of the form {FORM}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ShelfHelpError(f"{path} cannot be read; give the folder that SKU-110K was unpacked to") from error
    if not found:
        raise ShelfHelpError(f"{path} is empty; unpack SKU-110K again")
    return found


def _picture(path: Path, size: tuple[int, int], boxes: BoxArray, skipped: Skipped) -> BoxedPicture | None:
    fault = picture_fault(path)
    if fault is None:
        with Image.open(path) as picture:
            if picture.size != size:
                fault = "of another size than its labels say"
    if fault is not None:
        skipped[f"picture {fault}"] += 1
        return None
    width, height = size
    inside = clip(boxes, width, height)
    whole = (inside[:, 2:] - inside[:, :2]).min(axis=1) >= 1
    if not whole.all():
        skipped["box outside its picture"] += int((~whole).sum())
    return BoxedPicture(path, inside[whole], np.zeros((0, 4), np.float32))
