"""Boxes read from COCO and YOLO folders, and the published split."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.boxes import load_coco, load_split, load_yolo, read


def write_picture(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def write_coco(folder: Path, annotations: list[dict[str, object]], file_name: str = "a.jpg") -> Path:
    path = folder / "coco.json"
    images = [{"id": 7, "file_name": file_name, "width": 200, "height": 100}]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def test_coco_boxes_are_corners_and_crowds_are_ignored_regions(tmp_path: Path) -> None:
    """Width and height must not be taken for corners, nor hidden products be asked for."""
    write_picture(tmp_path / "a.jpg", 200, 100)
    rows = [
        {"image_id": 7, "bbox": [10, 20, 30, 40]},
        {"image_id": 7, "bbox": [50, 20, 10, 10], "iscrowd": 1},
        {"image_id": 7, "bbox": [50, 20, 0, 10]},
    ]
    (picture,) = load_coco(write_coco(tmp_path, rows))
    np.testing.assert_array_equal(picture.boxes, [[10, 20, 40, 60]])
    np.testing.assert_array_equal(picture.ignore, [[50, 20, 60, 30]])


def test_reading_scales_boxes_with_the_picture(tmp_path: Path) -> None:
    """A picture that is shrunk in memory keeps its boxes on the products."""
    write_picture(tmp_path / "a.jpg", 200, 100)
    (picture,) = load_coco(write_coco(tmp_path, [{"image_id": 7, "bbox": [10, 20, 30, 40]}]))
    sample = read(picture, longest=100)
    assert sample.image.shape == (50, 100, 3)
    np.testing.assert_array_equal(sample.boxes, [[5, 10, 20, 30]])


def test_yolo_rows_may_be_boxes_or_polygons(tmp_path: Path) -> None:
    """Both kinds give pixels of the picture; what has no label there is ignored, not background."""
    write_picture(tmp_path / "images" / "a.jpg", 200, 100)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("3 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.3 0.1 0.2 0.6\n\n")
    (picture,) = load_yolo(tmp_path)
    np.testing.assert_allclose(picture.boxes, [[80, 30, 120, 70], [20, 10, 60, 60]], atol=1e-4)
    np.testing.assert_array_equal(picture.ignore, [[0, 0, 200, 100]])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"id": 1}], "annotations": []}'])
def test_a_file_that_is_no_coco_is_named(tmp_path: Path, text: str) -> None:
    """The user learns which file is wrong."""
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(ShelfHelpError, match=r"wrong\.json"):
        load_coco(path)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    """An incomplete data set is noticed before training starts."""
    with pytest.raises(ShelfHelpError, match=r"a\.jpg"):
        load_coco(write_coco(tmp_path, []))


@pytest.mark.parametrize("row", ["0 0.5 0.5 0.2", "0 a b c d"])
def test_a_broken_yolo_row_is_named(tmp_path: Path, row: str) -> None:
    """A damaged label file must not silently lose boxes."""
    write_picture(tmp_path / "images" / "a.jpg", 20, 10)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(row)
    with pytest.raises(ShelfHelpError, match=r"a\.txt"):
        load_yolo(tmp_path)


def test_unknown_splits_are_named() -> None:
    """A typing error names what there is."""
    with pytest.raises(ShelfHelpError, match="cornershop"):
        load_split("cornershp", "test")
    with pytest.raises(ShelfHelpError, match="train, test"):
        load_split("cornershop", "held-out")


@pytest.mark.photos
def test_the_published_split_covers_every_photo_once(photos: Path) -> None:
    """No photo stands on both sides and none is forgotten."""
    train, test = (load_split("cornershop", part) for part in ("train", "test"))
    assert not set(train) & set(test)
    on_disk = {p.stem for p in (photos / "cornershop").glob("*.jpg")}
    assert set(train) | set(test) == on_disk
    pictures = load_coco(photos / "cornershop" / "coco.json", test)
    assert {p.path.stem for p in pictures} == set(test)
    assert all(len(p.boxes) > 20 for p in pictures)
