"""detect, embed, find and products as a user meets them: JSON lines out, one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from drawn_shelf import draw_pack, draw_shelf

from shelfhelp_ros.cli.main import cli
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image


@pytest.fixture
def run(tiny_models, tmp_path, monkeypatch):
    """Run a subcommand in a folder with a shelf, its packs and a file that is no picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELFHELP_MODELS", str(tiny_models))
    monkeypatch.setenv("SHELFHELP_CATALOGUE", str(tmp_path / "catalogue.db"))
    cv2.imwrite("shelf.png", draw_shelf(list(range(8)))[0])
    cv2.imwrite("other.png", draw_shelf([1, 2, 9, 8])[0])
    for number in (3, 5):
        cv2.imwrite(f"pack{number}.png", draw_pack(number, 200, 210))
    Path("bad.png").write_text("no picture")
    return lambda *arguments: CliRunner().invoke(cli, list(arguments))


def lines(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_detect(run):
    """One object a picture, boxes in its pixels, drawn copies on request."""
    result = run("detect", "shelf.png", "other.png", "--annotate", "drawn/here")
    assert result.exit_code == 0, result.output
    first, second = lines(result)
    assert (first["image"], first["width"], first["height"]) == ("shelf.png", 640, 480)
    assert [len(first["detections"]), len(second["detections"])] == [8, 4]
    boxes = np.array([detection["box"] for detection in first["detections"]])
    for box in draw_shelf(list(range(8)))[1]:
        assert np.abs(boxes - box).max(axis=1).min() < 12
    assert sorted(path.name for path in Path("drawn/here").iterdir()) == ["other.jpg", "shelf.jpg"]
    drawn = load_image("drawn/here/shelf.jpg")
    assert np.abs(drawn.astype(int) - load_image("shelf.png")).max() > 100


def test_tiled(run):
    """A pack too small for one look at a large photo is found in tiles; less than the first look shows is refused."""
    photo = np.full((960, 1280, 3), 128, np.uint8)
    photo[400:406, 700:706] = (0, 0, 230)
    cv2.imwrite("far.png", photo)
    assert lines(run("detect", "far.png"))[0]["detections"] == []
    assert len(lines(run("detect", "far.png", "--tiled", "4"))[0]["detections"]) == 1
    found = run("find", "--reference", "pack3.png", "shelf.png", "--tiled", "2")
    assert lines(found)[0]["decision"] == "found"
    assert run("detect", "far.png", "--tiled", "0.5").exit_code != 0


def test_pictures_of_the_same_name(run):
    """Two folders with a picture of one name give two drawn copies."""
    Path("folder").mkdir()
    Path("folder/shelf.png").write_bytes(Path("other.png").read_bytes())
    run("detect", "shelf.png", "folder/shelf.png", "--annotate", "drawn")
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["shelf-2.jpg", "shelf.jpg"]


def test_threshold(run):
    """The threshold of the command line replaces the model's."""
    assert lines(run("detect", "shelf.png", "--threshold", "1"))[0]["detections"] == []


@pytest.mark.parametrize("arguments", [("detect",), ("embed", "-o", "x.npz"), ("find", "-r", "pack3.png")])
def test_one_bad_picture_does_not_stop_the_others(run, arguments):
    """A bad picture is named, the pictures around it are done, and the exit is not zero."""
    result = run(*arguments, "shelf.png", "bad.png", "missing.png", "other.png")
    assert isinstance(result.exception, ShelfHelpError)
    assert "2 of 4 pictures" in str(result.exception)
    assert "bad.png is not a picture" in result.stderr
    assert "missing.png is not there" in result.stderr
    if arguments[0] == "embed":
        assert np.load("x.npz")["paths"].tolist() == ["shelf.png", "other.png"]
    else:
        assert [line["image"] for line in lines(result)] == ["shelf.png", "other.png"]


def test_embed(run):
    """The file holds unit vectors and the paths they belong to."""
    result = run("embed", "pack3.png", "pack5.png", "pack3.png", "--output", "out.npz")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    out = np.load("out.npz")
    assert out["paths"].tolist() == ["pack3.png", "pack5.png", "pack3.png"]
    assert out["embeddings"].shape == (3, 48)
    assert out["embeddings"].dtype == np.float32
    np.testing.assert_allclose(
        out["embeddings"] @ out["embeddings"][0], [1, out["embeddings"][0] @ out["embeddings"][1], 1], atol=1e-5
    )


def test_find_by_photo(run):
    """The pack of the photo is found in the picture that has it and absent in the one that has not."""
    result = run("find", "--reference", "pack5.png", "shelf.png", "other.png", "--annotate", "drawn")
    assert result.exit_code == 0, result.output
    with_it, without = lines(result)
    assert (with_it["decision"], without["decision"], without["matches"]) == ("found", "absent", [])
    match = with_it["matches"][0]
    assert np.abs(np.array(match["box"]) - draw_shelf(list(range(8)))[1][5]).max() < 12
    assert match["score"] > 0.9
    assert 0.7 <= match["probability"] <= 1
    assert (Path("drawn") / "shelf.jpg").is_file()


def test_products_and_find_by_name(run):
    """Add, list, find by name, remove: the catalogue as a user goes through it."""
    added = lines(run("products", "add", "Blue Tea", "pack3.png"))[0]
    assert (added["name"], added["photos"], added["accepted"]) == ("Blue Tea", 1, 1)
    assert lines(run("products", "add", "blue tea", "pack3.png"))[0]["photos"] == 2
    run("products", "add", "Red Oats", "pack5.png")
    listed = lines(run("products", "list", "--json"))
    assert [(product["name"], product["photos"]) for product in listed] == [("Blue Tea", 2), ("Red Oats", 1)]
    assert run("products", "list", "oat").stdout.startswith("Red Oats\t1 photo\t")
    assert lines(run("find", "--product", "BLUE tea", "shelf.png"))[0]["decision"] == "found"
    assert run("products", "remove", "blue tea").stdout == "removed Blue Tea\n"
    assert [product["name"] for product in lines(run("products", "list", "--json"))] == ["Red Oats"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("find", "shelf.png"), "either by --reference"),
        (("find", "-r", "pack3.png", "-p", "Tea", "shelf.png"), "either by --reference"),
        (("find", "-r", "bad.png", "shelf.png"), "bad.png is not a picture"),
        (("find", "-p", "Tea", "shelf.png"), "there is no catalogue"),
        (("find", *["-r", "pack3.png"] * 6, "shelf.png"), "one to 5 photos"),
        (("embed", "shelf.png", "-o", "x.txt"), "has to end in .npz"),
        (("embed", "shelf.png", "-o", "none/x.npz"), "cannot be written"),
        (("detect", "shelf.png", "--models", "nowhere"), "detector.onnx is missing"),
        (("detect", "shelf.png", "--annotate", "bad.png"), "cannot be written"),
        (("products", "add", "Tea", "bad.png"), "bad.png is not a picture"),
        (("products", "add", "...", "pack3.png"), "letter or digit"),
        (("products", "remove", "Tea"), "no product is called 'Tea'"),
        (("products", "list", "--catalogue", "bad.png"), "bad.png is damaged"),
    ],
)
def test_wrong_input(run, arguments, words):
    """Every wrong input is one sentence that names it."""
    result = run(*arguments)
    assert isinstance(result.exception, ShelfHelpError), result.output
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("command", ["detect", "embed", "find", "products"])
def test_help(run, command):
    """Every command explains itself with an example."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"shelfhelp {command}" in result.stdout


def test_real_process(run, tmp_path):
    """In a process of its own: results on standard output alone, one line on standard error, status 1, no traceback."""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "shelfhelp_ros", "detect", "shelf.png", "bad.png"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.splitlines() == [
        "shelfhelp: bad.png is not a picture this program can read; use JPEG or PNG",
        "shelfhelp: error: 1 of 2 pictures could not be read; the others are done",
    ]
