"""Crops of single products: what is cut out, what it is called, and what happens when files are missing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.crop_sources import LONGEST, PACKSHOT, Crop, CropSource, cut, load_crops, without_border

HELD_OUT = {"p12", "p13", "p36", "p37"}


def positions(height: int, width: int) -> np.ndarray:
    """A picture whose pixels tell their place: blue holds x, green holds y."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


@given(st.integers(20, 250), st.integers(20, 250), st.data())
def test_the_tight_crop_is_the_box(height: int, width: int, data: st.DataObject) -> None:
    """Surrounding kept for training must not shift what counts as the product, at the picture's edges either."""
    x1, y1 = data.draw(st.integers(0, width - 9)), data.draw(st.integers(0, height - 9))
    x2, y2 = data.draw(st.integers(x1 + 8, width)), data.draw(st.integers(y1 + 8, height))
    crop = cut(positions(height, width), np.array([x1, y1, x2, y2], np.float32), "p", "f", "photo")
    np.testing.assert_array_equal(crop.tight, positions(height, width)[y1:y2, x1:x2])


def test_a_large_crop_is_shrunk_with_its_box() -> None:
    """The box keeps its share of the crop, and the crop its limit of pixels."""
    crop = cut(np.zeros((2000, 1500, 3), np.uint8), np.array([300, 400, 900, 1600], np.float32), "p", "f", "photo")
    assert max(crop.image.shape[:2]) == LONGEST
    share = (crop.box[2:] - crop.box[:2]) / np.array(crop.image.shape[1::-1])
    np.testing.assert_allclose(share, 1 / 1.3, atol=0.01)


def write_coco(folder: Path) -> Path:
    names = ("Corona", "__UNKNOWN", "CoronaZero", "Duvel")
    for stem in ("a", "b"):
        cv2.imwrite(str(folder / f"{stem}.png"), positions(100, 200))
    rows = [
        {"id": i, "image_id": i % 2, "category_id": i // 2, "bbox": [20 * i, 10, 18, 30], "iscrowd": int(i == 7)}
        for i in range(8)
    ]
    raw = {
        "images": [{"id": i, "file_name": f"{stem}.png"} for i, stem in enumerate("ab")],
        "annotations": rows,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(raw))
    return path


def test_named_boxes_become_crops_with_source_and_photo(tmp_path: Path) -> None:
    """Boxes without a name have no identity to learn, and crowds are no single product."""
    crops = load_crops(CropSource("coco", "shop", str(write_coco(tmp_path))), tmp_path)
    found = {(crop.product, crop.photo) for crop in crops}
    assert found == {(f"shop/{n}", p) for n in ("Corona", "CoronaZero") for p in "ab"} | {("shop/Duvel", "a")}
    assert {crop.family for crop in crops} == {"shop/Corona", "shop/Duvel"}
    assert crops[0].tight[0, 0].tolist() == [0, 10, 0]


def test_products_can_be_kept_out(tmp_path: Path) -> None:
    """Held-out products must not slip into training."""
    path = str(write_coco(tmp_path))
    without = load_crops(CropSource("coco", "shop", path, without=("Corona",)), tmp_path)
    only = load_crops(CropSource("coco", "shop", path, only=("Corona",)), tmp_path)
    assert {c.product for c in without} == {"shop/CoronaZero", "shop/Duvel"}
    assert {c.product for c in only} == {"shop/Corona"}


def test_folders_and_packshots_of_one_source_share_products(tmp_path: Path) -> None:
    """A catalogue picture and photographs in the shop are of one product when they are named alike."""
    (tmp_path / "train" / "Arla-Milk").mkdir(parents=True)
    (tmp_path / "iconic").mkdir()
    for number in range(6):
        cv2.imwrite(str(tmp_path / "train" / "Arla-Milk" / f"{number}.png"), positions(80, 60))
    bordered = np.full((80, 60, 3), 255, np.uint8)
    bordered[10:50, 20:40] = 90
    cv2.imwrite(str(tmp_path / "iconic" / "Arla-Milk.png"), bordered)
    folders = load_crops(CropSource("folders", "g", "train", central=0.5, limit=3), tmp_path)
    packshots = load_crops(CropSource("pictures", "g", "iconic", border=True), tmp_path)
    assert [c.photo for c in folders] == ["0", "2", "5"]
    assert {c.product for c in folders} == {c.product for c in packshots} == {"g/Arla-Milk"}
    assert folders[0].tight.shape[:2] == (40, 30)
    assert packshots[0].photo == PACKSHOT
    assert packshots[0].tight.shape[:2] == (40, 20)


def test_every_instance_is_a_product_of_its_own(tmp_path: Path) -> None:
    """Without product names, two boxes are never taken for the same product."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for stem in ("x", "y"):
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.png"), positions(200, 200))
        (tmp_path / "labels" / f"{stem}.txt").write_text("3 0.25 0.5 0.4 0.8\n3 0.6 0.2 0.9 0.2 0.9 0.9 0.6 0.9\n")
    crops = load_crops(CropSource("instances", "i", str(tmp_path)), tmp_path)
    assert len({crop.product for crop in crops}) == len(crops) == 4
    np.testing.assert_allclose(crops[1].box[2:] - crops[1].box[:2], [60, 140], atol=1)


def test_drawn_packs_know_their_near_duplicates() -> None:
    """Near-duplicates share a family, so that batches can hold them side by side."""
    crops = load_crops(CropSource("drawn", "drawn", count=12, seed=3), Path("."))
    families = [crop.family for crop in crops]
    assert len({crop.product for crop in crops}) == 12
    assert 1 < len(set(families)) < 12


@pytest.mark.parametrize("kind", ["coco", "folders", "pictures", "yolo", "instances"])
def test_a_missing_source_is_named(kind: str, tmp_path: Path) -> None:
    """The message says which path is missing."""
    with pytest.raises(ShelfHelpError, match="nowhere"):
        load_crops(CropSource(kind, "x", "nowhere"), tmp_path)  # type: ignore[arg-type]


def test_a_broken_coco_file_is_named(tmp_path: Path) -> None:
    """No traceback for a file that is no COCO."""
    (tmp_path / "coco.json").write_text('{"images": 3}')
    with pytest.raises(ShelfHelpError, match=r"coco\.json is not COCO"):
        load_crops(CropSource("coco", "x", "coco.json"), tmp_path)


def test_a_white_picture_keeps_its_pixels() -> None:
    """Cutting off the border must leave something."""
    white = np.full((5, 7, 3), 255, np.uint8)
    assert without_border(white).shape == (5, 7, 3)


@pytest.mark.photos
def test_the_published_split_keeps_photos_apart(photos: Path) -> None:
    """Training must never see a crop of a test photograph."""
    parts: dict[str, list[Crop]] = {
        part: load_crops(CropSource("coco", "c", "cornershop/coco.json", split="cornershop", part=part), photos)
        for part in ("train", "test")
    }
    assert {crop.photo for crop in parts["test"]} == HELD_OUT
    assert not {crop.photo for crop in parts["train"]} & HELD_OUT
    assert len({crop.product for part in parts.values() for crop in part}) == 220
