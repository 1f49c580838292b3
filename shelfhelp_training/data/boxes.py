"""Pictures with boxes, read from COCO and YOLO folders, and the published splits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from PIL import Image

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import ImageArray

SPLITS = Path(__file__).parent / "splits"
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class BoxedPicture:
    """A picture file and its products.

    ``boxes`` N×4 and ``ignore`` M×4 are float32 xyxy in pixels of the picture. In an ignored region (and outside every
    box) products may stand unlabelled or are too hidden to ask for.
    """

    path: Path
    boxes: BoxArray
    ignore: BoxArray


@dataclass(frozen=True)
class Sample:
    """A decoded picture: ``image`` H×W×3 uint8 BGR, ``boxes`` N×4 and ``ignore`` M×4 xyxy pixels of it."""

    image: ImageArray
    boxes: BoxArray
    ignore: BoxArray


def load_split(name: str, part: str) -> list[str]:
    """File stems of ``part`` (train, test) of the published split ``name``; a row of it may list a whole burst."""
    path = SPLITS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SPLITS.glob("*.yaml")))
        raise ShelfHelpError(f"there is no split {name}; known: {known}")
    parts: dict[str, list[str | list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if part not in parts:
        raise ShelfHelpError(f"split {name} has no part {part}; known: {', '.join(parts)}")
    return [stem for row in parts[part] for stem in (row if isinstance(row, list) else [row])]


def load_coco(annotations: Path, stems: list[str] | None = None) -> list[BoxedPicture]:
    """Pictures of a COCO file; their names start at its folder, or at the folder ``images`` in it.

    Boxes marked ``iscrowd`` are ignored regions. ``stems`` keeps only pictures with these file stems.

    Raises:
        ShelfHelpError: the file is missing, is no COCO, or names a picture that is not there.
    """
    raw = _read_json(annotations)
    try:
        boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in raw["images"]}
        ignore: dict[int, list[list[float]]] = {image["id"]: [] for image in raw["images"]}
        for annotation in raw["annotations"]:
            x, y, width, height = annotation["bbox"]
            if width > 0 and height > 0:
                rows = ignore if annotation.get("iscrowd", 0) else boxes
                rows[annotation["image_id"]].append([x, y, x + width, y + height])
        return [
            BoxedPicture(_find(annotations.parent, i["file_name"]), _boxes(boxes[i["id"]]), _boxes(ignore[i["id"]]))
            for i in raw["images"]
            if stems is None or Path(i["file_name"]).stem in stems
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ShelfHelpError(f"{annotations} is not COCO detection data: {error!r}") from error


def load_yolo(folder: Path, stems: list[str] | None = None) -> list[BoxedPicture]:
    """Pictures of a YOLO folder (``images/*``, ``labels/*.txt``), whose labels are boxes or polygons in 0..1.

    Such collections label single products, not whole shelves, so all that is in no box is ignored. ``stems`` keeps only
    pictures with these file stems.
    """
    chosen = None if stems is None else set(stems)
    paths = sorted(
        p
        for p in (folder / "images").glob("*")
        if p.suffix.lower() in PICTURES and (chosen is None or p.stem in chosen)
    )
    if not paths:
        raise ShelfHelpError(f"{folder} has no pictures in its folder images; give the folder of a YOLO data set")
    pictures = []
    for path in paths:
        width, height = _size(path)
        boxes = _yolo_boxes(folder / "labels" / f"{path.stem}.txt", width, height)
        pictures.append(BoxedPicture(path, boxes, _boxes([[0, 0, width, height]])))
    return pictures


def read(picture: BoxedPicture, longest: int) -> Sample:
    """The picture decoded and, where it is larger, scaled so that its longer side has ``longest`` pixels."""
    image = load_image(picture.path)
    scale = min(1.0, longest / max(image.shape[:2]))
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return Sample(image, picture.boxes * np.float32(scale), picture.ignore * np.float32(scale))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} cannot be read as COCO JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ShelfHelpError(f"{path} is not COCO detection data")
    return raw


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / "images" / name):
        if candidate.is_file():
            return candidate
    raise ShelfHelpError(f"{folder} holds no picture {name} although its annotations name it")


def _boxes(rows: list[list[float]]) -> BoxArray:
    return np.asarray(rows, np.float32).reshape(-1, 4)


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file, without decoding it."""
    try:
        with Image.open(path) as picture:
            return int(picture.width), int(picture.height)
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be read as a picture") from error


def _yolo_boxes(labels: Path, width: int, height: int) -> BoxArray:
    """Boxes in pixels; a row is ``class cx cy w h`` or ``class x1 y1 x2 y2 x3 y3 …``."""
    if not labels.is_file():
        return _boxes([])
    size = np.array([width, height], np.float32)
    rows: list[list[float]] = []
    for line in labels.read_text(encoding="utf-8").splitlines():
        try:
            values = np.array([float(v) for v in line.split()[1:]], np.float32)
        except ValueError as error:
            raise ShelfHelpError(f"{labels} is not a YOLO label file: {line!r}") from error
        if values.size == 4:
            low, high = (values[:2] - values[2:] / 2) * size, (values[:2] + values[2:] / 2) * size
        elif values.size >= 6 and values.size % 2 == 0:
            points = values.reshape(-1, 2) * size
            low, high = points.min(axis=0), points.max(axis=0)
        elif values.size == 0:
            continue
        else:
            raise ShelfHelpError(f"{labels} is not a YOLO label file: {line!r}")
        rows.append([*low.tolist(), *high.tolist()])
    return _boxes(rows)
