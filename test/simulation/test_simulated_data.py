"""What the simulation writes: COCO data sets, bags, and the command that asks for them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from shelfhelp_ros.cli.simulate import command
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.bag import BagSettings, photo_frames, photo_pan_bag, simulated_frames, write_bag
from shelfhelp_ros.simulation.camera import SimulatedShelf
from shelfhelp_ros.simulation.coco import CocoSettings, export_coco

SMALL = CocoSettings(seed=1, frames=6, width=160, height=120, products=20, layout="small")


def read_bag(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Messages of a bag by topic, each with its time."""
    from rosbags.highlevel import AnyReader

    messages: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([path]) as reader:
        for connection, stamp, raw in reader.messages():
            messages.setdefault(connection.topic, []).append((stamp, reader.deserialize(raw, connection.msgtype)))
    return messages


@pytest.mark.usefixtures("_opengl")
def test_coco_is_valid_and_resumes(tmp_path: Path) -> None:
    """Protects long exports: what is there stays, what is missing comes back the same, and the file is sound COCO."""
    path = export_coco(tmp_path / "data", SMALL)
    first = json.loads(path.read_text())
    assert len(first["images"]) == 6
    names = {category["id"]: category["name"] for category in first["categories"]}
    assert len(set(names.values())) == 20
    sizes = {image["id"]: (image["width"], image["height"]) for image in first["images"]}
    for image in first["images"]:
        picture = cv2.imread(str(tmp_path / "data" / image["file_name"]))
        assert picture.shape[:2] == (image["height"], image["width"])
    assert first["annotations"]
    for annotation in first["annotations"]:
        x, y, width, height = annotation["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + width <= sizes[annotation["image_id"]][0]
        assert y + height <= sizes[annotation["image_id"]][1]
        assert annotation["category_id"] in names
        assert 0 < annotation["visibility"] <= 1
        assert annotation["iscrowd"] == int(annotation["visibility"] < 0.3 or min(width, height) < 8)

    kept = tmp_path / "data" / "frames" / "000001.jpg"
    stamp = kept.stat().st_mtime_ns
    sibling = tmp_path / "data" / "frames" / "000004.jpg"
    sibling_stamp = sibling.stat().st_mtime_ns
    lost = tmp_path / "data" / "frames" / "000005.jpg"
    before = lost.read_bytes()
    (tmp_path / "data" / "labels" / "000005.json").unlink()
    lost.unlink()
    again = json.loads(export_coco(tmp_path / "data", SMALL).read_text())
    assert again == first
    assert lost.read_bytes() == before
    assert kept.stat().st_mtime_ns == stamp
    assert sibling.stat().st_mtime_ns == sibling_stamp


@pytest.mark.usefixtures("_opengl")
def test_coco_refuses_another_data_sets_folder(tmp_path: Path) -> None:
    """Protects data sets from being mixed; only the number of frames may differ."""
    few = replace(SMALL, frames=1)
    export_coco(tmp_path, few)
    with pytest.raises(ShelfHelpError, match="other settings"):
        export_coco(tmp_path, replace(few, seed=2))
    assert len(json.loads(export_coco(tmp_path, replace(few, frames=2)).read_text())["images"]) == 2


@pytest.mark.usefixtures("_opengl")
def test_coco_processes_render_the_same_pictures(tmp_path: Path) -> None:
    """Protects several processes: who renders a shelf does not change its pixels."""
    settings = replace(SMALL, frames=5)
    one = export_coco(tmp_path / "one", settings)
    two = export_coco(tmp_path / "two", settings, workers=2)
    assert json.loads(one.read_text()) == json.loads(two.read_text())
    for picture in sorted((tmp_path / "one" / "frames").iterdir()):
        assert picture.read_bytes() == (tmp_path / "two" / "frames" / picture.name).read_bytes()


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_simulated_bag_reads_back(shelf: SimulatedShelf, tmp_path: Path, storage: Any) -> None:
    """Protects bags: three topics, stamps that match, pixels, metres and the camera as they were rendered."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    frames = list(simulated_frames(shelf, 3, rate=10))
    assert write_bag(tmp_path / "bag", frames, BagSettings(storage=storage)) == 3
    messages = read_bag(tmp_path / "bag")
    colour = messages["/camera/color/image_raw"]
    depth = messages["/camera/aligned_depth_to_color/image_raw"]
    info = messages["/camera/color/camera_info"]
    assert [stamp for stamp, _ in colour] == [stamp for stamp, _ in depth] == [stamp for stamp, _ in info]
    assert np.diff([stamp for stamp, _ in colour]).tolist() == [100_000_000] * 2
    for frame, (stamp, image), (_, metres), (_, camera) in zip(frames, colour, depth, info, strict=True):
        assert image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == stamp == frame.stamp_ns
        assert (image.encoding, image.header.frame_id) == ("bgr8", shelf.frame_id)
        assert np.array_equal(image.data.reshape(240, 320, 3), frame.image)
        assert metres.encoding == "16UC1"
        assert frame.depth is not None
        millimetres = metres.data.view(np.uint16).reshape(240, 320)
        known = np.isfinite(frame.depth)
        assert np.abs(millimetres[known] / 1000 - frame.depth[known]).max() <= 0.00051
        assert (millimetres[~known] == 0).all()
        assert frame.camera is not None
        assert camera.k[[0, 2, 4, 5]].tolist() == [frame.camera.fx, frame.camera.cx, frame.camera.fy, frame.camera.cy]


def test_compressed_bag_decodes_to_the_picture(tmp_path: Path) -> None:
    """Protects the compressed topic: JPEG under the name that image_transport uses."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 5)
    write_bag(tmp_path / "bag", [Frame(5, "camera", np.asarray(image, np.uint8))], BagSettings(compressed=True))
    messages = read_bag(tmp_path / "bag")
    assert list(messages) == ["/camera/color/image_raw/compressed"]
    decoded = cv2.imdecode(messages["/camera/color/image_raw/compressed"][0][1].data, cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - image).mean() < 4


def test_bag_does_not_overwrite(tmp_path: Path) -> None:
    """Protects what is at the path already."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    (tmp_path / "bag").mkdir()
    with pytest.raises(ShelfHelpError, match="there already"):
        write_bag(tmp_path / "bag", [])


@pytest.mark.parametrize("shape", [(50, 40), (480, 640), (900, 700)])
def test_panned_photo_fills_every_frame_and_moves(shape: tuple[int, int]) -> None:
    """Protects photo bags: photos of any size fill the window, and consecutive frames differ a little."""
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    photo = np.maximum(np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8), 1)
    frames = list(photo_frames(photo, 8, (160, 120)))
    assert len({frame.stamp_ns for frame in frames}) == 8
    for frame, following in pairwise(frames):
        assert frame.image.shape == (120, 160, 3)
        assert frame.image.min() > 0
        assert not np.array_equal(frame.image, following.image)


def test_bag_of_a_real_photo(photos: Path, tmp_path: Path) -> None:
    """Protects the way from a real photo to a bag."""
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    photo = sorted((photos / "cornershop").glob("*.jpg"))[0]
    assert photo_pan_bag(photo, tmp_path / "bag", 4, (320, 240)) == 4
    messages = read_bag(tmp_path / "bag")
    assert {topic: len(items) for topic, items in messages.items()} == {
        "/camera/color/image_raw": 4,
        "/camera/color/camera_info": 4,
    }


@pytest.mark.usefixtures("_opengl")
def test_command_writes_picture_faces_and_truth(tmp_path: Path) -> None:
    """Protects `simulate --image --faces`: the picture, one packshot a product, and boxes on standard output."""
    arguments = ["--image", str(tmp_path / "a.png"), "--faces", str(tmp_path / "faces"), "--size", "200x150"]
    result = CliRunner().invoke(command, [*arguments, "--layout", "small", "--products", "6"], catch_exceptions=False)
    assert result.exit_code == 0
    truth = json.loads(result.stdout)
    assert cv2.imread(str(tmp_path / "a.png")).shape == (150, 200, 3)
    faces = {path.stem for path in (tmp_path / "faces").iterdir()}
    assert {pack["product"] for pack in truth["packs"]} <= faces


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to make"),
        (["--image", "a.jpg", "--size", "640"], "not a size"),
        (["--image", "a.jpg", "--layout", "chaos"], "chaos"),
        (["--photo", "a.jpg", "--image", "b.jpg"], "--photo needs --bag"),
        (["--coco", "x", "--frames", "0"], "frames"),
    ],
)
def test_command_refuses_wrong_options(arguments: list[str], message: str) -> None:
    """Protects the user: one clear line and a non-zero exit."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert message in result.output


def test_command_names_what_it_cannot_use(tmp_path: Path) -> None:
    """Protects the user: folders and files that do not serve are named in one sentence."""
    with pytest.raises(ShelfHelpError, match="no packshots"):
        CliRunner().invoke(
            command, ["--image", str(tmp_path / "a.png"), "--packshots", str(tmp_path)], catch_exceptions=False
        )
    with pytest.raises(ShelfHelpError, match="size is 5x5"):
        CliRunner().invoke(command, ["--image", str(tmp_path / "a.png"), "--size", "5x5"], catch_exceptions=False)


@pytest.mark.usefixtures("_opengl")
def test_live_camera_ends_quietly(tmp_path: Path) -> None:
    """Protects `simulate --camera`: it says that it publishes, and Ctrl-C ends it with status 0."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("shelfhelp_interfaces.msg", reason="shelfhelp_interfaces is not built")
    arguments = ["simulate", "--camera", "--size", "64x48", "--layout", "small", "--products", "2", "--hand"]
    process = subprocess.Popen(
        [sys.executable, "-m", "shelfhelp_ros", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        assert any("Publishing on camera/color/image_raw" in line for line in lines)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
