"""Leaks between splits: copies are found however they were changed, look-alikes are not taken for copies."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")
pytest.importorskip("imagehash", reason="ImageHash comes with the extra 'training'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.cli import evaluate_main
from shelfhelp_training.commands.evaluate_bursts import command as bursts_command
from shelfhelp_training.data import fingerprints as module
from shelfhelp_training.data.boxes import load_split
from shelfhelp_training.data.bursts import find_bursts, split_bursts
from shelfhelp_training.data.crop_sources import CropSource
from shelfhelp_training.data.crops import CropData
from shelfhelp_training.data.drawn_shelves import draw_shelves
from shelfhelp_training.data.fingerprints import cache_file, fingerprints, near_duplicates
from shelfhelp_training.data.leaks import find_leaks, refuse_leaks
from shelfhelp_training.data.shelves import ShelfData, Source
from shelfhelp_training.data.source_files import Part, crop_files, leaks_of, read_parts

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "training"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight photographs of different scenes: many packs thrown together, seen through a lens."""
    folder = tmp_path_factory.mktemp("scenes")
    faces = [draw_face(product, 120) for product in make_products(4, 24)]
    paths = []
    for number in range(8):
        rng = np.random.default_rng([7, number])
        picture = np.full((240, 320, 3), rng.integers(0, 256, 3), np.uint8)
        for _ in range(14):
            face = faces[int(rng.integers(len(faces)))][:100, :110]
            top, left = int(rng.integers(0, 240 - face.shape[0])), int(rng.integers(0, 320 - face.shape[1]))
            picture[top : top + face.shape[0], left : left + face.shape[1]] = face
        paths.append(folder / f"scene{number}.png")
        cv2.imwrite(str(paths[-1]), cv2.GaussianBlur(picture, (0, 0), 1.0))
    return paths


def changed(path: Path, how: str, target: Path) -> Path:
    """A copy of a picture as it turns up elsewhere."""
    image = cv2.imread(str(path))
    height, width = image.shape[:2]
    if how == "half":
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    elif how == "cut":
        image = image[height // 60 :, width // 60 :]
    elif how == "light":
        image = np.clip(image * 1.25, 0, 255).astype(np.uint8)
    elif how == "turned":
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.0, 1.0)
        image = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return target


@pytest.mark.parametrize("how", ["compressed", "half", "cut", "light", "turned"])
def test_changed_copies_are_found_and_nothing_else(scenes: list[Path], tmp_path: Path, how: str) -> None:
    """A copy leaks whatever was done to it on its way; other scenes do not."""
    copies = [changed(path, how, tmp_path / f"{path.stem}.jpg") for path in scenes[:4]]
    leaks = find_leaks(fingerprints(scenes), fingerprints(copies), "here", "there")
    assert {(leak.first.stem, leak.second.stem) for leak in leaks} == {(p.stem, p.stem) for p in scenes[:4]}
    assert {(leak.first_part, leak.second_part) for leak in leaks} == {("here", "there")}


def test_packshots_of_two_flavours_are_no_copies(tmp_path: Path) -> None:
    """One maker's packs share their layout, and have to be on both sides when products are held out."""
    recoloured = draw_face(make_products(3, 1)[0], 200)
    paths = [tmp_path / f"{name}.png" for name in ("apple", "orange")]
    cv2.imwrite(str(paths[0]), recoloured)
    cv2.imwrite(str(paths[1]), np.ascontiguousarray(recoloured[..., [1, 2, 0]]))
    assert not find_leaks(fingerprints(paths[:1]), fingerprints(paths[1:]))
    assert find_leaks(fingerprints(paths[:1]), fingerprints(paths[:1]))[0].distance == 0


def test_grey_pictures_are_compared_by_brightness_alone(tmp_path: Path, scenes: list[Path]) -> None:
    """Without colours there are none to disagree; a grey copy of a colourful picture is another picture."""
    grey = tmp_path / "grey.png"
    cv2.imwrite(str(grey), cv2.cvtColor(cv2.imread(str(scenes[0])), cv2.COLOR_BGR2GRAY))
    assert find_leaks(fingerprints([grey]), fingerprints([changed(grey, "half", tmp_path / "half.jpg")]))
    assert not find_leaks(fingerprints([grey]), fingerprints(scenes))


def test_known_pictures_are_not_read_again(scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look takes seconds; a file that has changed is looked at anew."""
    copy = changed(scenes[0], "compressed", tmp_path / "a.jpg")
    before = fingerprints([*scenes, copy])
    assert cache_file().is_file()
    read: list[Path] = []
    original = module.fingerprint
    monkeypatch.setattr(module, "fingerprint", lambda path: read.append(path) or original(path))
    again = fingerprints([*scenes, copy])
    assert read == []
    np.testing.assert_array_equal(again.bits, before.bits)
    np.testing.assert_array_equal(again.tiny, before.tiny)
    changed(scenes[1], "half", copy)
    os.utime(copy, ns=(1, 1))
    assert not np.array_equal(fingerprints([copy]).bits, before.bits[-1:])
    assert read == [copy]


def test_a_broken_cache_does_not_stop_the_check(scenes: list[Path], own_cache: Path) -> None:
    """A cache is a convenience: unreadable, it is done without."""
    cache_file().parent.mkdir(parents=True)
    cache_file().write_bytes(b"no database" * 100)
    assert len(fingerprints(scenes[:2]).paths) == 2
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(cache_file()).execute("SELECT * FROM fingerprint")


def test_missing_and_broken_pictures_are_named(tmp_path: Path) -> None:
    """One line that says which file."""
    with pytest.raises(ShelfHelpError, match=r"nowhere\.jpg is missing"):
        fingerprints([tmp_path / "nowhere.jpg"])
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ShelfHelpError, match=r"text\.jpg cannot be read"):
        fingerprints([tmp_path / "text.jpg"])
    assert near_duplicates(fingerprints([]), fingerprints([])) == []


@pytest.mark.photos
def test_copies_of_photographs_are_found_and_no_others(photos: Path, tmp_path: Path) -> None:
    """The thresholds hold for real collections: 98 of 100 changed copies found, and nothing between collections."""
    chosen = []
    for folder in ("cornershop", "freiburg5k/images", "upd_grocery24/images", "grocerystore_packages/iconic"):
        files = sorted((photos / folder).glob("*.jpg"))
        chosen.append([files[i] for i in np.linspace(0, len(files) - 1, 12).round().astype(int)])
    originals = [path for paths in chosen for path in paths]
    known = fingerprints(originals)
    found = wrong = 0
    for how in ("compressed", "half", "cut", "light", "turned"):
        copies = [changed(path, how, tmp_path / how / f"{number}.jpg") for number, path in enumerate(originals)]
        leaks = find_leaks(known, fingerprints(copies))
        right = [leak for leak in leaks if originals[int(leak.second.stem)].samefile(leak.first)]
        found += len(right)
        wrong += len(leaks) - len(right)
    assert found >= 0.98 * 5 * len(originals)
    assert wrong <= 2  # a brightened packshot beside that of another flavour
    for number, paths in enumerate(chosen):
        others = [path for rest in chosen[number + 1 :] for path in rest]
        assert find_leaks(fingerprints(paths), fingerprints(others)) == []


# --- training refuses


def leaky_folders(scenes: list[Path], root: Path) -> None:
    """Two products each to train and to test on; one test photograph is a copy of a training one."""
    for number, path in enumerate(scenes):
        part = "learnt" if number < 4 else "held_out"
        changed(path, "compressed", root / part / f"product{number % 2}" / f"{number}.jpg")
    changed(scenes[1], "half", root / "held_out" / "product1" / "copy.jpg")


def test_the_encoder_refuses_to_train_on_a_leak(scenes: list[Path], tmp_path: Path) -> None:
    """Before anything is learnt, with the pair in the message; without the pair it goes on."""
    leaky_folders(scenes, tmp_path)
    train, test = (CropSource("folders", "shop", part) for part in ("learnt", "held_out"))
    data = CropData([train], [test], root=tmp_path)
    with pytest.raises(ShelfHelpError, match=r"1 pairs.*product1/1\.jpg \(train\).*copy\.jpg \(validate\)"):
        data.setup("fit")
    data.setup("validate")
    (tmp_path / "held_out" / "product1" / "copy.jpg").unlink()
    CropData([train], [test], root=tmp_path).setup("fit")


def test_the_encoder_refuses_to_be_tested_on_invented_products_it_saw(scenes: list[Path], tmp_path: Path) -> None:
    """The same seed draws the same packs, however many of them."""
    leaky_folders(scenes, tmp_path)
    train = [CropSource("folders", "shop", "learnt"), CropSource("drawn", "drawn", count=4, seed=5)]
    with pytest.raises(ShelfHelpError, match="seed 5"):
        CropData(train, [CropSource("drawn", "drawn", count=2, seed=5)], root=tmp_path).setup("fit")
    rendered = tmp_path / "annotations.json"
    info = {"description": "rendered shelves", "seed": 5, "packshots": ""}
    rendered.write_text(json.dumps({"info": info, "images": [], "annotations": [], "categories": []}))
    parts = [Part("train", "train", tuple(train[1:])), Part("q", "queries", (CropSource("coco", "r", str(rendered)),))]
    (leak,) = leaks_of(parts, tmp_path)
    assert leak.second == rendered


def test_the_detector_refuses_to_train_on_a_leak(tmp_path: Path) -> None:
    """Training and validating on the same file is the plainest leak of all."""
    draw_shelves(tmp_path / "train", 3, seed=1)
    source = Source("train/annotations.json")
    with pytest.raises(ShelfHelpError, match="3 pairs"):
        ShelfData([source], [source], root=tmp_path).setup("fit")
    ShelfData([source], [source], root=tmp_path).setup("validate")


# --- the command


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["shelfhelp-evaluate", *arguments])
    with pytest.raises(SystemExit) as exit_:
        evaluate_main()
    return int(exit_.value.code or 0)  # type: ignore[arg-type]


def test_the_command_lists_the_pairs_and_fails(
    scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Across configurations: what one trains on, another tests with. Exit status 1 stops a script."""
    leaky_folders(scenes, tmp_path)
    monkeypatch.setenv("SHELFHELP_DATA", str(tmp_path))
    training, tests = tmp_path / "training.yaml", tmp_path / "tests.yaml"
    source = {"kind": "folders", "name": "shop", "path": "learnt"}
    training.write_text(yaml.safe_dump({"data": {"train": [source], "validate": [{**source, "path": "nowhere"}]}}))
    tests.write_text(yaml.safe_dump([{"name": "shop test", "queries": [{**source, "path": "held_out"}]}]))
    arguments = ["leaks", "--config", str(training), "--config", str(tests)]
    assert run(arguments, monkeypatch) == 1
    assert "nowhere does not exist" in capsys.readouterr().err
    assert run([*arguments, "--skip-missing"], monkeypatch) == 1
    out, err = capsys.readouterr()
    (pair,) = [json.loads(line) for line in out.splitlines()]
    assert (Path(pair["first"]).name, Path(pair["second"]).name) == ("1.jpg", "copy.jpg")
    assert (pair["first_part"], pair["second_part"]) == ("train of training.yaml", "queries of shop test")
    assert "1 pairs of near-duplicate pictures straddle" in err
    assert "not checked" in err
    (tmp_path / "held_out" / "product1" / "copy.jpg").unlink()
    assert run([*arguments, "--skip-missing"], monkeypatch) == 0
    assert "no leaks among 8 pictures" in capsys.readouterr().err


def test_photographs_with_several_products_count_where_a_chosen_one_is(scenes: list[Path], tmp_path: Path) -> None:
    """Products are kept out by name: a photograph that shows one of each side is on both sides."""
    labels = {"a": ["0"], "b": ["0", "7"], "c": ["7"], "d": []}
    for (stem, classes), scene in zip(labels.items(), scenes, strict=False):
        changed(scene, "compressed", tmp_path / "images" / f"{stem}.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{stem}.txt").write_text("".join(f"{c} 0.5 0.5 0.5 0.5\n" for c in classes))
    images = [{"id": n, "file_name": f"images/{stem}.jpg"} for n, stem in enumerate(labels)]
    boxes = [
        {"image_id": n, "category_id": int(c), "bbox": [1, 1, 9, 9]} for n, of in enumerate(labels.values()) for c in of
    ]
    categories = [{"id": n, "name": str(n)} for n in (0, 7)]
    coco = tmp_path / "coco.json"
    coco.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    for kind, path in (("yolo", "."), ("coco", "coco.json")):
        train, test = (
            crop_files(CropSource(kind, "x", str(tmp_path / path), **chosen), tmp_path)  # type: ignore[arg-type]
            for chosen in ({"without": ("7",)}, {"only": ("7",)})
        )
        assert [file.stem for file in train] == ["a", "b"]
        assert [file.stem for file in test] == ["b", "c"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is no configuration is named, and so is a setting that no source has."""
    wrong = tmp_path / "wrong.yaml"
    for text in ("", "data: 3", "- 7", "{"):
        wrong.write_text(text)
        with pytest.raises(ShelfHelpError, match=r"wrong\.yaml is no configuration"):
            read_parts(wrong)
    wrong.write_text("data: {train: [{path: a, wieght: 3}], validate: []}")
    with pytest.raises(ShelfHelpError, match="wieght"):
        read_parts(wrong)


def test_every_configuration_of_the_repository_is_understood() -> None:
    """A new field of a source must not make the check silently see nothing."""
    others = {"benchmark", "evaluate", "lookalikes", "text"}
    configs = [path for path in CONFIGS.rglob("*.yaml") if path.stem not in others]
    assert len(configs) >= 20
    for config in configs:
        parts = read_parts(config)
        assert parts, config
        assert all(part.sources for part in parts), config


# --- bursts and the published splits


def test_bursts_go_by_number_and_by_look(scenes: list[Path], tmp_path: Path) -> None:
    """Frames close in number, and frames that look alike under any name, belong together; the rest stands alone."""
    for number, scene in ((1, 0), (9, 1), (400, 2)):
        changed(scenes[scene], "compressed", tmp_path / f"01{number:04d}.jpg")
    changed(scenes[2], "cut", tmp_path / "020007.jpg")
    changed(scenes[3], "compressed", tmp_path / "other.jpg")
    bursts = find_bursts(sorted(tmp_path.glob("*.jpg")))
    assert [[path.stem for path in burst] for burst in bursts] == [
        ["010001", "010009"],
        ["010400", "020007"],
        ["other"],
    ]
    train, test = split_bursts(bursts, 0.5)
    assert sorted(train + test) == [["010001", "010009"], ["010400", "020007"], ["other"]]
    assert test
    result = CliRunner().invoke(bursts_command, [str(tmp_path), "--share", "0.5"], catch_exceptions=False)
    assert yaml.safe_load(result.stdout) == {"train": train, "test": test}


@pytest.mark.photos
def test_published_bursts_are_whole_and_complete(photos: Path) -> None:
    """No photograph of upd_grocery24 is forgotten or on both sides, and no burst is torn apart."""
    train, test = (set(load_split("upd_grocery24", part)) for part in ("train", "test"))
    paths = sorted((photos / "upd_grocery24" / "images").glob("*.jpg"))
    assert not train & test
    assert train | test == {path.stem for path in paths}
    for burst in find_bursts(paths):
        assert len({path.stem in test for path in burst}) == 1
    refuse_leaks([p for p in paths if p.stem in train], [p for p in paths if p.stem in test])


@pytest.mark.photos
def test_held_out_groceries_are_those_of_the_split(photos: Path) -> None:
    """The encoder's configurations keep out exactly the products that the split names."""
    held_out = set(load_split("grocerystore_products", "test"))
    everything = {path.name for path in (photos / "grocerystore_packages" / "test").iterdir()}
    assert set(load_split("grocerystore_products", "train")) | held_out == everything
    for name in ("metric.yaml",):
        parts = {part.role: part for part in read_parts(CONFIGS / name)}
        for role, part in parts.items():
            for source in part.sources:
                if isinstance(source, CropSource) and source.path == "grocerystore_packages/train":
                    products = {path.parent.name for path in crop_files(source, photos)}
                    assert products == (everything - held_out if role == "train" else held_out), (name, role)
