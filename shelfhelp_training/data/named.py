"""Pictures whose boxes say which product they hold, from COCO and YOLO folders."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.boxes import PICTURES


@dataclass(frozen=True)
class NamedPicture:
    """A decoded picture and its N products: ``boxes`` N×4 float32 xyxy in pixels, ``names`` as the labels give them.

    ``families`` tells which products are near-duplicates, where the labels do; empty names otherwise.
    """

    image: ImageArray
    stem: str
    boxes: BoxArray
    names: tuple[str, ...]
    families: tuple[str, ...]


def read_coco(annotations: Path, stems: Collection[str] | None = None) -> list[NamedPicture]:
    """The pictures of a COCO file (beside it, or in its folder ``images``), those with the given file stems if any.

    Raises ShelfHelpError when the file is no COCO or a picture is missing.
    """
    try:
        raw = json.loads(annotations.read_text(encoding="utf-8"))
        names = {category["id"]: str(category["name"]) for category in raw["categories"]}
        families = {category["id"]: str(category.get("family", "")) for category in raw["categories"]}
        pictures = []
        for image in raw["images"]:
            file = annotations.parent / image["file_name"]
            if stems is None or file.stem in stems:
                rows = [a for a in raw["annotations"] if a["image_id"] == image["id"] and not a.get("iscrowd", 0)]
                boxes = np.array([a["bbox"] for a in rows], np.float32).reshape(-1, 4)
                boxes[:, 2:] += boxes[:, :2]
                file = file if file.is_file() else annotations.parent / "images" / image["file_name"]
                kinds = [a["category_id"] for a in rows]
                pictures.append(
                    NamedPicture(
                        load_image(file),
                        file.stem,
                        boxes,
                        tuple(names[k] for k in kinds),
                        tuple(families[k] for k in kinds),
                    )
                )
        return pictures
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ShelfHelpError(f"{annotations} is not COCO detection data: {error!r}") from error


def read_yolo(folder: Path, stems: Collection[str] | None = None) -> list[NamedPicture]:
    """The pictures of a YOLO folder, those with the given file stems if any.

    A product's name is the number of its class. Polygons become their boxes.
    """
    chosen = None if stems is None else set(stems)
    files = sorted(
        p
        for p in (folder / "images").glob("*")
        if p.suffix.lower() in PICTURES and (chosen is None or p.stem in chosen)
    )
    return [_read_yolo(file, folder / "labels" / f"{file.stem}.txt") for file in files]


def _read_yolo(file: Path, labels: Path) -> NamedPicture:
    image = load_image(file)
    size = np.array([image.shape[1], image.shape[0]], np.float32)
    boxes: list[list[float]] = []
    names: list[str] = []
    for line in labels.read_text(encoding="utf-8").splitlines() if labels.is_file() else []:
        name, *rest = line.split()
        values = np.array([float(v) for v in rest], np.float32)
        if len(values) == 4:
            low, high = values[:2] - values[2:] / 2, values[:2] + values[2:] / 2
        else:
            points = values[: len(values) // 2 * 2].reshape(-1, 2)
            low, high = points.min(axis=0), points.max(axis=0)
        boxes.append([*(low * size), *(high * size)])
        names.append(name)
    return NamedPicture(image, file.stem, np.array(boxes, np.float32).reshape(-1, 4), tuple(names), ("",) * len(names))
