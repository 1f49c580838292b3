"""Readers of published collections: tiny ones in exactly their form, and what happens when parts are broken."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.boxes import load_split
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.d2s import d2s_crops, load_d2s
from shelfhelp_training.data.freiburg_groceries import freiburg_crops
from shelfhelp_training.data.grocery_store import grocery_store_crops
from shelfhelp_training.data.labelled import LabelledCrop
from shelfhelp_training.data.pictures import picture_fault
from shelfhelp_training.data.products10k import products10k_crops
from shelfhelp_training.data.published import LABELLED
from shelfhelp_training.data.shelves import ShelfCrops, Source, load_source
from shelfhelp_training.data.sku110k import load_sku110k
from shelfhelp_training.data.stanford_products import of_part, stanford_crops


def write_picture(path: Path, width: int = 64, height: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(sum(path.name.encode())).integers(0, 256, (height, width, 3), np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# --- picture files


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_picture_faults_are_told_apart(tmp_path: Path, suffix: str) -> None:
    """The reason is what a user acts on: fetch again, or unpack in another place."""
    path = write_picture(tmp_path / f"a.{suffix}")
    assert picture_fault(path) is None
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 500)
    assert picture_fault(path) is None
    path.write_bytes(content[: len(content) // 2])
    assert picture_fault(path) == "truncated"
    path.write_bytes(b"")
    assert picture_fault(path) == "empty"
    path.write_text("<html>404</html>")
    assert picture_fault(path) == "no picture"
    path.unlink()
    assert picture_fault(path) == "missing"


# --- SKU-110K


def write_sku110k(folder: Path, rows: list[str], pictures: int = 3) -> Path:
    for number in range(pictures):
        write_picture(folder / "images" / f"train_{number}.jpg")
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "annotations_train.csv").write_text("".join(f"{row}\n" for row in rows))
    return folder


def test_sku110k_rows_become_boxes_of_their_pictures(tmp_path: Path) -> None:
    """The published csv has no header, and a picture's rows need not follow each other."""
    rows = [f"train_{n}.jpg,{x},5,{x + 10},25,object,64,48" for x in (2, 30) for n in (0, 1)]
    pictures = load_sku110k(write_sku110k(tmp_path, rows), "train")
    assert [p.path.name for p in pictures] == ["train_0.jpg", "train_1.jpg"]
    for picture in pictures:
        np.testing.assert_array_equal(picture.boxes, [[2, 5, 12, 25], [30, 5, 40, 25]])
        assert picture.ignore.shape == (0, 4)


def test_damaged_sku110k_pictures_and_boxes_are_counted_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The published archive holds damaged JPEGs: training goes on without them and says how many they are."""
    rows = [f"train_{n}.jpg,5,5,20,20,object,64,48" for n in (0, 1, 2, 9)]
    rows += ["train_0.jpg,50,-4,90,30,object,64,48", "train_0.jpg,70,5,90,20,object,64,48"]
    rows += ["train_3.jpg,5,5,20,20,object,100,48"]
    folder = write_sku110k(tmp_path, rows, pictures=4)
    truncate(folder / "images" / "train_1.jpg")
    (folder / "images" / "train_2.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        (picture,) = load_sku110k(folder, "train")
    np.testing.assert_array_equal(picture.boxes, [[5, 5, 20, 20], [50, 0, 64, 30]])
    for reason in ("box outside its picture", "picture truncated", "picture empty", "picture missing", "another size"):
        assert f"1 × {reason}" in caplog.text or f"1 × picture of {reason}" in caplog.text, reason


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        (["train_0.jpg,5,5,20,20,object,64"], "line 1"),
        (["train_0.jpg,5,5,20,20,object,64,48", "train_0.jpg,a,5,20,20,object,64,48"], "line 2"),
        (["other.jpg,5,5,20,20,object,64,48"], "none of the pictures"),
    ],
)
def test_a_broken_sku110k_list_is_one_clear_error(tmp_path: Path, rows: list[str], message: str) -> None:
    """A row of another form means another file, not a box less."""
    with pytest.raises(ShelfHelpError, match=message):
        load_sku110k(write_sku110k(tmp_path, rows), "train")


def test_unknown_or_missing_sku110k_parts_are_named(tmp_path: Path) -> None:
    """A typing error and a wrong folder are told apart."""
    with pytest.raises(ShelfHelpError, match="train, val, test"):
        load_sku110k(tmp_path, "training")
    with pytest.raises(ShelfHelpError, match=r"annotations_val\.csv cannot be read"):
        load_sku110k(tmp_path, "val")


# --- D2S


def write_d2s(folder: Path, annotations: list[dict[str, object]], archives: bool = False) -> Path:
    images = folder / "d2s_images_v1" / "images" if archives else folder / "images"
    labels = (folder / "d2s_annotations_v1.1" if archives else folder) / "annotations"
    write_picture(images / "D2S_000200.jpg")
    labels.mkdir(parents=True)
    categories = [
        {"id": 1, "name": "adelholzener_alpenquelle_classic_075", "supercategory": "water"},
        {"id": 9, "name": "franken_tafelreiniger", "supercategory": "cleaning"},
    ]
    rle = {"counts": "PPYo0", "size": [48, 64]}
    rows = [{"id": i, "image_id": 200, "iscrowd": 0, "segmentation": rle, **a} for i, a in enumerate(annotations)]
    image = {"id": 200, "file_name": "D2S_000200.jpg", "width": 64, "height": 48, "license": 1}
    coco = {"info": {}, "images": [image], "annotations": rows, "categories": categories, "licenses": []}
    (labels / "D2S_training.json").write_text(json.dumps(coco))
    (labels / "D2S_test_info.json").write_text(json.dumps({**coco, "annotations": []}))
    return folder


@pytest.mark.parametrize("archives", [False, True])
def test_d2s_gives_boxes_and_products(tmp_path: Path, archives: bool) -> None:
    """Both ways the archives are unpacked; masks in run-length form do no harm, boxes end at the picture's edge."""
    boxes = [{"bbox": [5, 5, 20, 30], "category_id": 1}, {"bbox": [50, 10, 30, 20], "category_id": 9}]
    folder = write_d2s(tmp_path, boxes, archives)
    (picture,) = load_d2s(folder, "train")
    np.testing.assert_array_equal(picture.boxes, [[5, 5, 25, 35], [50, 10, 64, 30]])
    crops = d2s_crops(folder, "training")
    assert [(c.product, c.family, c.photo) for c in crops] == [
        ("adelholzener_alpenquelle_classic_075", "water", "D2S_000200"),
        ("franken_tafelreiniger", "cleaning", "D2S_000200"),
    ]
    assert crops[1].box is not None
    np.testing.assert_array_equal(crops[1].box, [50, 10, 64, 30])


def test_broken_d2s_is_one_clear_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing parts name those there are; unlabelled test pictures, damaged files and other JSON say so."""
    folder = write_d2s(
        tmp_path, [{"bbox": [90, 5, 20, 30], "category_id": 1}, {"bbox": [1, 1, 9, 9], "category_id": 1}]
    )
    with caplog.at_level(logging.WARNING):
        assert len(load_d2s(folder, "train")[0].boxes) == 1
    assert "1 × box outside its picture" in caplog.text
    with pytest.raises(ShelfHelpError, match="parts there: test_info, training"):
        load_d2s(folder, "val")
    with pytest.raises(ShelfHelpError, match="no annotations"):
        load_d2s(folder, "test_info")
    truncate(folder / "images" / "D2S_000200.jpg")
    with pytest.raises(ShelfHelpError, match=r"D2S_000200\.jpg.* truncated"):
        load_d2s(folder, "train")
    (folder / "annotations" / "D2S_training.json").write_text('{"annotations": [{"bbox": 3}]}')
    for reader in (load_d2s, d2s_crops):
        with pytest.raises(ShelfHelpError, match="not D2S"):
            reader(folder, "train")
    (folder / "annotations" / "D2S_training.json").write_text("")
    with pytest.raises(ShelfHelpError, match="cannot be read as JSON"):
        load_d2s(folder, "train")


# --- lists of labelled pictures


def write_freiburg(folder: Path) -> list[Path]:
    names = ["BEANS/BEANS0008.png", "BEANS/BEANS0012.png", "CAKE/CAKE0013.png"]
    (folder / "splits").mkdir(parents=True)
    (folder / "splits" / "train0.txt").write_text(
        "BEANS/BEANS0008.png 15\nBEANS/BEANS0012.png 15\nCAKE/CAKE0013.png 19\n"
    )
    (folder / "splits" / "test3.txt").write_text("CAKE/CAKE0013.png 19\n")
    return [write_picture(folder / "images" / name) for name in names]


def write_grocery_store(folder: Path) -> list[Path]:
    header = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
    header += "Iconic Image Path (str),Product Description Path (str)"
    iconic = "/iconic-images-and-descriptions/Packages/Juice/{0}/{0}_Iconic.jpg"
    rows = [f"{n},{i},{c},{k},{iconic.format(n)},x.txt" for n, i, c, k in
            (("Bravo-Apple-Juice", 28, "Juice", 19), ("Arla-Sour-Milk", 48, "Sour-Milk", 24))]  # fmt: skip
    (folder / "train" / "Packages").mkdir(parents=True)
    (folder / "classes.csv").write_text("\n".join([header, *rows]) + "\n")
    files = [f"train/Packages/Juice/Bravo-Apple-Juice/Bravo-Apple-Juice_00{n}.jpg" for n in (1, 2)]
    (folder / "train.txt").write_text("".join(f"{file}, 28, 19\n" for file in files))
    for name in ("Bravo-Apple-Juice", "Arla-Sour-Milk"):
        write_picture(folder / iconic.format(name).lstrip("/"))
    return [write_picture(folder / file) for file in files]


def write_stanford(folder: Path) -> list[Path]:
    names = ["bicycle_final/111085122871_0.JPG", "bicycle_final/111085122871_1.JPG", "chair_final/110715681235_0.JPG"]
    lines = [f"{n} {1 + n // 3} {1 + n // 3} {name}" for n, name in enumerate(names, 1)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Ebay_train.txt").write_text("\n".join(["image_id class_id super_class_id path", *lines]) + "\n")
    return [write_picture(folder / name) for name in names]


def write_products10k(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.csv").write_text("name,class,group\n31.jpg,0,0\n32.jpg,0,0\n40.jpg,7,3\n")
    (folder / "test_kaggletest.csv").write_text("name,class,group,Usage\n9.jpg,7,3,Public\n")
    write_picture(folder / "test" / "9.jpg")
    return [write_picture(folder / "train" / f"{n}.jpg") for n in (31, 32, 40)]


def facts(crops: list[LabelledCrop]) -> list[tuple[str, str, str]]:
    return [(c.product, c.family, c.photo) for c in crops]


def test_freiburg_pictures_come_by_split_and_kind(tmp_path: Path) -> None:
    """The labels are kinds of groceries: pictures of one kind are never taken for one product."""
    write_freiburg(tmp_path)
    assert facts(freiburg_crops(tmp_path, "train")) == [
        ("BEANS0008", "BEANS", "BEANS0008"),
        ("BEANS0012", "BEANS", "BEANS0012"),
        ("CAKE0013", "CAKE", "CAKE0013"),
    ]
    assert facts(freiburg_crops(tmp_path, "test3")) == [("CAKE0013", "CAKE", "CAKE0013")]


def test_grocery_store_lines_get_the_names_of_their_classes(tmp_path: Path) -> None:
    """Folder names differ from class names in places, so the labels decide; iconic pictures are packshots."""
    write_grocery_store(tmp_path)
    assert facts(grocery_store_crops(tmp_path, "train")) == [
        ("Bravo-Apple-Juice", "Juice", f"Bravo-Apple-Juice_00{n}") for n in (1, 2)
    ]
    assert facts(grocery_store_crops(tmp_path, "iconic")) == [
        ("Bravo-Apple-Juice", "Juice", "packshot"),
        ("Arla-Sour-Milk", "Sour-Milk", "packshot"),
    ]


def test_stanford_lines_become_products(tmp_path: Path) -> None:
    """Class and super-class come from the list, not from file names."""
    write_stanford(tmp_path)
    assert facts(stanford_crops(tmp_path, "train")) == [
        ("1", "bicycle", "111085122871_0"),
        ("1", "bicycle", "111085122871_1"),
        ("2", "chair", "110715681235_0"),
    ]


def test_stanford_training_products_are_split_9000_to_2318() -> None:
    """Every training product is in exactly one part, the held-out ones spread over the list; pictures stay together."""
    every = [LabelledCrop(Path(), str(k), str(k // 1000), f"{k}_{i}") for k in range(11318) for i in (0, 1)]
    fit, validation = (of_part(every, part) for part in ("fit", "validation"))
    products = [{crop.product for crop in part} for part in (fit, validation)]
    assert [len(of) for of in products] == [9000, 2318]
    assert not products[0] & products[1]
    assert len(fit) + len(validation) == 2 * 11318
    shares = [len([p for p in products[1] if int(p) // 1000 == kind]) for kind in range(11)]
    assert min(shares) > 200


def test_products10k_reads_both_forms_of_its_lists(tmp_path: Path) -> None:
    """The test list was published with one column more."""
    write_products10k(tmp_path)
    assert facts(products10k_crops(tmp_path, "train")) == [("0", "0", "31"), ("0", "0", "32"), ("7", "3", "40")]
    assert facts(products10k_crops(tmp_path, "test")) == [("7", "3", "9")]


COLLECTIONS = {
    "freiburg_groceries": (write_freiburg, "splits/train0.txt"),
    "grocery_store": (write_grocery_store, "train.txt"),
    "stanford_products": (write_stanford, "Ebay_train.txt"),
    "products10k": (write_products10k, "train.csv"),
}


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_broken_pictures_are_counted_and_left_out(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Large archives lose files on the way; training says so once and goes on."""
    write, _ = COLLECTIONS[kind]
    files = write(tmp_path)
    truncate(files[0])
    with caplog.at_level(logging.WARNING):
        left = LABELLED[kind](tmp_path, "train")
    assert len(left) == len(files) - 1
    assert "left out 1 × truncated picture" in caplog.text
    for file in files:
        file.unlink()
    with pytest.raises(ShelfHelpError, match="none of the pictures"):
        LABELLED[kind](tmp_path, "train")


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_broken_lists_are_one_clear_error(kind: str, tmp_path: Path) -> None:
    """A line of another form, an empty list and a missing one name the file."""
    write, name = COLLECTIONS[kind]
    write(tmp_path)
    whole = (tmp_path / name).read_text()
    (tmp_path / name).write_text(whole + "a line of something else\n")
    with pytest.raises(ShelfHelpError, match=f"{Path(name).name}, line {len(whole.splitlines()) + 1}"):
        LABELLED[kind](tmp_path, "train")
    (tmp_path / name).write_text("\n")
    with pytest.raises(ShelfHelpError, match="is empty"):
        LABELLED[kind](tmp_path, "train")
    (tmp_path / name).unlink()
    with pytest.raises(ShelfHelpError, match=f"{Path(name).name} cannot be read"):
        LABELLED[kind](tmp_path, "train")


def test_unlisted_parts_and_classes_are_named(tmp_path: Path) -> None:
    """A typing error in a configuration names what there is."""
    for kind, known in (("stanford_products", "train, test"), ("grocery_store", "iconic"), ("products10k", "train")):
        with pytest.raises(ShelfHelpError, match=known):
            LABELLED[kind](tmp_path, "trian")
    write_grocery_store(tmp_path)
    (tmp_path / "classes.csv").write_text("Name,ID\nApple,0\n")
    with pytest.raises(ShelfHelpError, match=r"classes\.csv is not"):
        grocery_store_crops(tmp_path, "train")


# --- named in a configuration


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_the_encoder_draws_from_a_published_collection(kind: str, tmp_path: Path) -> None:
    """Products carry the source's name, and choosing happens before anything is decoded."""
    files = COLLECTIONS[kind][0](tmp_path / "there")
    crops = load_crops(CropSource(kind, "shop", "there", central=0.5, limit=1), tmp_path)  # type: ignore[arg-type]
    assert all(crop.product.startswith("shop/") for crop in crops)
    assert len({crop.product for crop in crops}) == len(crops)
    assert crops[0].tight.shape[:2] == (24, 32)
    kept_out = crops[0].product.removeprefix("shop/")
    alone = load_crops(CropSource(kind, "shop", "there", only=(kept_out,)), tmp_path)  # type: ignore[arg-type]
    assert {crop.product for crop in alone} == {crops[0].product}
    assert len(files) > 1


def test_the_detector_draws_from_published_collections(tmp_path: Path) -> None:
    """``kind`` and ``part`` of a source reach the reader; crops come out with the boxes of the csv."""
    write_sku110k(tmp_path / "sku", [f"train_{n}.jpg,5,5,40,40,object,64,48" for n in range(3)])
    write_d2s(tmp_path / "d2s", [{"bbox": [5, 5, 20, 30], "category_id": 1}])
    sources = [Source("sku", kind="sku110k", scale=(0.9, 1.1)), Source("d2s", kind="d2s", scale=(0.9, 1.1))]
    assert [len(load_source(source, tmp_path)) for source in sources] == [3, 1]
    with pytest.raises(ShelfHelpError, match="annotations_val"):
        load_source(Source("sku", kind="sku110k", part="val"), tmp_path)
    crops = ShelfCrops(sources, tmp_path, 64, 8, seed=0)
    assert any(len(target["boxes"]) for _, target in (crops[i] for i in range(8)))


def test_pictures_that_do_not_fit_into_memory_are_decoded_when_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection of any size gives the same crops as one that is kept."""
    write_sku110k(tmp_path / "sku", [f"train_{n}.jpg,5,5,40,40,object,64,48" for n in range(3)])
    sources = [Source("sku", kind="sku110k")]
    kept = ShelfCrops(sources, tmp_path, 64, 4, seed=0)
    monkeypatch.setattr("shelfhelp_training.data.shelves.KEPT_BYTES", 1)
    drawn = ShelfCrops(sources, tmp_path, 64, 4, seed=0)
    assert len(kept.kept) == 3
    assert len(drawn.kept) == 1
    for index in range(4):
        np.testing.assert_array_equal(kept[index][0], drawn[index][0])


def test_a_split_row_may_hold_a_burst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts are written a row each; who reads the split wants the pictures."""
    (tmp_path / "bursts.yaml").write_text("train:\n- [a, b]\n- c\ntest:\n- [d]\n")
    monkeypatch.setattr("shelfhelp_training.data.boxes.SPLITS", tmp_path)
    assert load_split("bursts", "train") == ["a", "b", "c"]
    assert load_split("bursts", "test") == ["d"]
