"""MVTec D2S (Follmann et al. 2018): groceries on a turntable, every one with its box, mask and product.

On disk: COCO files ``annotations/D2S_training.json`` and so on, and ``images/*.jpg``, in one folder or, as the two
archives unpack, in ``d2s_annotations_v1.1`` and ``d2s_images_v1``. Boxes are those of the annotations; masks are not
used. The test pictures are published without labels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray, clip
from shelfhelp_training.data.boxes import BoxedPicture
from shelfhelp_training.data.labelled import LabelledCrop, usable
from shelfhelp_training.data.pictures import Skipped, picture_fault

PARTS = {"train": "training", "val": "validation"}


def load_d2s(folder: Path, part: str) -> list[BoxedPicture]:
    """The pictures of one part (train, val, or the rest of a file's name: augmented, validation_clutter …).

    Raises ShelfHelpError when files are missing, broken, or no COCO.
    """
    path, raw = _annotations(folder, part)
    try:
        boxes: dict[int, list[BoxArray]] = {image["id"]: [] for image in raw["images"]}
        for annotation, box in _boxes(raw, path):
            boxes[annotation["image_id"]].append(box)
        none = np.zeros((0, 4), np.float32)
        images = _image_folder(folder)
        return [
            BoxedPicture(_whole(images / image["file_name"], path), np.array(boxes[image["id"]]).reshape(-1, 4), none)
            for image in raw["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ShelfHelpError(f"{path} is not D2S's COCO: {error!r}") from error


def d2s_crops(folder: Path, part: str) -> list[LabelledCrop]:
    """One crop a box; product and family are the category's name and its supercategory."""
    path, raw = _annotations(folder, part)
    try:
        kinds = {kind["id"]: (str(kind["name"]), str(kind["supercategory"])) for kind in raw["categories"]}
        images = _image_folder(folder)
        files = {image["id"]: images / image["file_name"] for image in raw["images"]}
        return usable(
            (
                LabelledCrop(files[a["image_id"]], *kinds[a["category_id"]], files[a["image_id"]].stem, box)
                for a, box in _boxes(raw, path)
            ),
            path,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ShelfHelpError(f"{path} is not D2S's COCO: {error!r}") from error


def _annotations(folder: Path, part: str) -> tuple[Path, dict[str, Any]]:
    name = f"D2S_{PARTS.get(part, part)}.json"
    found = [p for p in (folder / "annotations", folder / "d2s_annotations_v1.1" / "annotations", folder) if p.is_dir()]
    for candidate in found:
        if (candidate / name).is_file():
            try:
                raw = json.loads((candidate / name).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ShelfHelpError(f"{candidate / name} cannot be read as JSON: {error}") from error
            if not isinstance(raw, dict) or not raw.get("annotations"):
                raise ShelfHelpError(f"{candidate / name} holds no annotations; the test pictures have none")
            return candidate / name, raw
    known = sorted({p.stem.removeprefix("D2S_") for place in found for p in place.glob("D2S_*.json")})
    raise ShelfHelpError(f"{folder} holds no {name}; parts there: {', '.join(known) or 'none'}")


def _image_folder(folder: Path) -> Path:
    for candidate in (folder / "images", folder / "d2s_images_v1" / "images"):
        if candidate.is_dir():
            return candidate
    raise ShelfHelpError(f"{folder} holds no folder images; unpack D2S's pictures there")


def _whole(path: Path, annotations: Path) -> Path:
    fault = picture_fault(path)
    if fault is not None:
        raise ShelfHelpError(f"{path}, which {annotations.name} names, is {fault}; unpack D2S's pictures again")
    return path


def _boxes(raw: dict[str, Any], path: Path) -> list[tuple[dict[str, Any], BoxArray]]:
    """Each annotation with its box (4,) xyxy, cut at the picture's edges; those without area there are left out."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in raw["images"]}
    skipped = Skipped()
    kept = []
    for annotation in raw["annotations"]:
        x, y, width, height = annotation["bbox"]
        box = clip(np.array([[x, y, x + width, y + height]], np.float32), *sizes[annotation["image_id"]])[0]
        if annotation.get("iscrowd", 0):
            skipped["crowd"] += 1
        elif (box[2:] - box[:2]).min() < 1:
            skipped["box outside its picture"] += 1
        else:
            kept.append((annotation, box))
    skipped.warn(path)
    return kept
