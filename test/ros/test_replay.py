"""Bags made in the test, played through `shelfhelp replay` on a real graph."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
pytest.importorskip("rosbags", reason="rosbags reads and writes the bags")

from drawn_shelf import draw_shelf
from ros_graph import LENS, photo_of
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.cli.replay import command
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.nodes.bags import Bag, shifted, stamp_ns
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.bag import START_NS, BagSettings, photo_frames, photo_pan_bag, write_bag

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
SECOND = 1_000_000_000


def drawn_frames(count: int = 30, rate: float = 10.0) -> Iterator[Frame]:
    """A drawn shelf that a camera pans over, with depth."""
    for index in range(count):
        image, _ = draw_shelf(SHELF, shift=(2 * index - count, 0))
        depth = np.full(image.shape[:2], 0.8, np.float32)
        yield Frame(START_NS + round(index * SECOND / rate), "camera_optical", image, depth, LENS)


def replay(*arguments: object) -> Result:
    """The command as a person calls it, in this process; a ShelfHelpError is its ``exception``."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refused(done: Result) -> str:
    """The one sentence of a command that said no."""
    assert isinstance(done.exception, ShelfHelpError), done.exception or done.output
    return str(done.exception)


@pytest.fixture
def places(tiny_models: Path, tmp_path: Path) -> list[object]:
    """Options that keep a run to itself."""
    return ["--models", tiny_models, "--catalogue", tmp_path / "catalogue.db", "--speech", "text"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of pack three."""
    path = tmp_path / "three.png"
    path.write_bytes(photo_of(3))
    return path


@pytest.mark.usefixtures("ros_domain")
@pytest.mark.parametrize(("storage", "compressed"), [("sqlite3", False), ("mcap", True)])
def test_a_product_is_found_in_a_bag(
    places: list[object], photo: Path, tmp_path: Path, storage: str, compressed: bool
) -> None:
    """Both storages, raw and compressed: the product is found, the words are spoken, the summary says so."""
    write_bag(
        tmp_path / "bag", drawn_frames(), BagSettings(storage=storage, compressed=compressed, namespace="/front/cam")
    )
    done = replay(tmp_path / "bag", "--reference", photo, "--json", *places)
    assert done.exception is None, done.exception
    summary = json.loads(done.stdout)
    assert summary["frames"] == 30
    assert 3 <= summary["frames_worked_on"] <= 30
    assert "found" in [entry["decision"] for entry in summary["decisions"]]
    assert summary["spoken"][0]["text"] == "Looking for the product in your photos."
    assert summary["instructions"] >= len(summary["spoken"]) >= 1
    assert summary["latency_ms"]["p95"] >= summary["latency_ms"]["p50"] > 0
    assert summary["products_in_view"]["most"] == len(SHELF)


@pytest.mark.usefixtures("ros_domain")
def test_a_bag_is_held_against_what_is_expected_of_it(places: list[object], photo: Path, tmp_path: Path) -> None:
    """What is kept and what is not is said and written for a build server, and one failure fails the command."""
    write_bag(tmp_path / "bag", drawn_frames())
    expected = tmp_path / "bag" / "expectations.yaml"
    kept = f"{{name: there, references: [{photo}], found_within: 3.0, phases: [search]}}"
    expected.write_text(f"searches: [{kept}]", encoding="utf-8")
    done = replay(tmp_path / "bag", "--check", "--no-progress", *places)
    assert done.exception is None, done.exception
    assert "kept    found within 3 s" in done.stdout

    expected.write_text(f"searches: [{kept}, {{name: gone, references: [{photo}], never_found: true}}]")
    done = replay(tmp_path / "bag", "--junit", tmp_path / "junit.xml", "--no-progress", *places)
    assert "1 expectations of" in refused(done)
    assert "FAILED  never found (found after" in done.stdout
    junit = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert 'failures="1"' in junit
    assert 'classname="gone" name="never found"' in junit


@pytest.mark.usefixtures("ros_domain")
@pytest.mark.parametrize("compressed", [False, True])
def test_a_rerun_recording(places: list[object], photo: Path, tmp_path: Path, compressed: bool) -> None:
    """Pictures, products, the target and the words are all in the file that Rerun's viewer opens."""
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install '.[rerun]'")
    write_bag(tmp_path / "bag", drawn_frames(20), BagSettings(compressed=compressed))
    file = tmp_path / "search.rrd"
    done = replay(tmp_path / "bag", "-r", photo, "--rerun", file, "--no-progress", *places)
    assert done.exception is None, done.exception
    listing = [sys.executable, "-m", "rerun", "rrd", "print", str(file)]
    written = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    for entity in ("/camera/image", "/camera/image/products", "/shelf/products", "/target/probability", "/spoken"):
        assert entity in written


@pytest.mark.usefixtures("ros_domain")
def test_rate_start_and_duration(places: list[object], photo: Path, tmp_path: Path) -> None:
    """Only the part that was asked for is played; without --json a person reads the summary."""
    write_bag(tmp_path / "bag", drawn_frames())
    done = replay(tmp_path / "bag", "-r", photo, "--rate", 0.5, "--start", 1.0, "--duration", 0.95, *places)
    assert done.exception is None, done.exception
    assert " of 10 frames worked on" in done.stdout
    assert "Looking for the product in your photos." in done.stdout
    assert "replay: 100%" in done.stderr


@pytest.mark.usefixtures("ros_domain")
def test_a_loop_goes_on_until_it_is_interrupted(places: list[object], photo: Path, tmp_path: Path) -> None:
    """The clock never runs backwards when the bag begins again, and Ctrl-C ends it with a summary, no traceback."""
    write_bag(tmp_path / "bag", drawn_frames(8))
    call = [sys.executable, "-m", "shelfhelp_ros", "replay", tmp_path / "bag", "-r", photo, "--loop", *places]
    process = subprocess.Popen(list(map(str, call)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Looking for the product in your photos.\n"
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    frames = re.search(r"of (\d+) frames worked on", out)
    assert frames is not None
    assert int(frames[1]) > 2 * 8
    stamps = [float(line.split(" s ")[0]) for line in out.splitlines() if re.match(r" +[\d.]+ s  ", line)]
    assert stamps == sorted(stamps)
    assert "Traceback" not in err


@pytest.mark.usefixtures("ros_domain")
def test_a_real_photo_panned_as_by_a_moving_camera(photos: Path, shipped_models: Path, tmp_path: Path) -> None:
    """Real products, the shipped networks, no depth: a product cut out of the first frame is found in the bag."""
    scenes = sorted((photos / "unibo_cereals" / "scenes").glob("*.png"))
    if not scenes:
        pytest.skip("the photos hold no scenes of unibo_cereals")
    scene = max(scenes, key=lambda path: path.stat().st_size)
    first = next(photo_frames(load_image(scene), 100)).image
    detections = Detector.load(shipped_models).detect(first)
    middles = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    central = np.abs(middles - np.array(first.shape[1::-1]) / 2).sum(axis=1)
    x1, y1, x2, y2 = detections.boxes[int(np.argmin(central))].astype(int)
    cv2.imwrite(str(tmp_path / "reference.png"), first[y1:y2, x1:x2])
    photo_pan_bag(scene, tmp_path / "bag", count=100, rate=10.0)
    arguments = ["--models", shipped_models, "--catalogue", tmp_path / "c.db", "--speech", "text"]
    done = replay(
        tmp_path / "bag", "-r", tmp_path / "reference.png", "--json", "--rate", 0.2, "--duration", 2, *arguments
    )
    assert done.exception is None, done.exception
    summary = json.loads(done.stdout)
    assert summary["products_in_view"]["most"] >= 3
    assert {"found", "ambiguous"} & {entry["decision"] for entry in summary["decisions"]}


def write_other_bag(path: Path) -> None:
    """A bag with no camera in it."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=types)
        text = types.types["std_msgs/msg/String"](data="hello")
        writer.write(connection, START_NS, types.serialize_cdr(text, "std_msgs/msg/String"))


@pytest.mark.parametrize("kind", ["missing", "no camera", "no such topic", "not a bag", "broken", "empty folder"])
def test_a_wrong_bag_is_one_sentence(tmp_path: Path, kind: str) -> None:
    """What is wrong, and which topics the bag holds."""
    bag, arguments, says = tmp_path / "bag", [], "cannot be read as a ROS 2 bag"
    if kind == "no camera":
        write_other_bag(bag)
        says = "/chatter (String)"
    elif kind == "no such topic":
        write_bag(bag, drawn_frames(2))
        arguments, says = ["--colour", "/nose/image"], "has no topic /nose/image; it holds /camera/aligned_depth"
    elif kind == "not a bag":
        bag = tmp_path / "bag.db3"
        bag.write_bytes(b"not SQLite at all" * 100)
    elif kind == "broken":
        write_bag(bag, drawn_frames(20), BagSettings(storage="mcap"))
        file = next(bag.glob("*.mcap"))
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "empty folder":
        bag.mkdir()
    sentence = refused(replay(bag, *arguments))
    assert says in sentence
    assert str(bag) in sentence


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate", "0"], "--rate is 0"),
        (["--start", "-1"], "--start has to be 0 or more"),
        (["--duration", "0"], "--duration more than 0"),
        (["--start", "99"], "--start has to be less"),
        (["--target", "Oats", "--reference", "x.png"], "either by --target NAME or by --reference"),
        (["--reference", "nowhere.png"], "nowhere.png is not there"),
        (["--models", "/nowhere"], "/nowhere/detector.onnx is missing"),
        (["--config", "nowhere.yaml"], "nowhere.yaml is missing"),
        (["--log-level", "chatty"], "the log level is 'chatty'"),
        (["--speech", "gramophone"], "gramophone"),
    ],
)
@pytest.mark.usefixtures("ros_domain")
def test_wrong_options_are_one_sentence(
    places: list[object], tmp_path: Path, arguments: list[object], says: str
) -> None:
    """No traceback reaches a person who mistypes an option."""
    write_bag(tmp_path / "bag", drawn_frames(2))
    done = replay(tmp_path / "bag", *places, *arguments)
    assert says in refused(done)


@pytest.mark.usefixtures("ros_domain")
def test_an_unknown_target_answers_with_the_nearest_names(places: list[object], photo: Path, tmp_path: Path) -> None:
    """A name that is nearly right gets the right one as an answer."""
    models = Path(str(places[1]))
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        enrol(catalogue, Detector.load(models), Encoder.load(models), "Pack three", [photo.read_bytes()])
    write_bag(tmp_path / "bag", drawn_frames(2))
    done = replay(tmp_path / "bag", *places, "--target", "Pack tree")
    assert "did you mean Pack three?" in refused(done)


def test_stamps_can_be_moved_and_nothing_else_changes(tmp_path: Path) -> None:
    """A bag that begins again is played with stamps that go on; the pixels stay."""
    write_bag(tmp_path / "bag", drawn_frames(2))
    with Bag(tmp_path / "bag") as bag:
        for message in bag.messages(bag.choose_topics()):
            moved = shifted(message.data, 3 * SECOND + 7)
            assert stamp_ns(message.data) == message.time_ns
            assert stamp_ns(moved) == message.time_ns + 3 * SECOND + 7
            assert moved[:4] + moved[12:] == message.data[:4] + message.data[12:]
            assert shifted(message.data, 0) is message.data
    with pytest.raises(ShelfHelpError, match="cut short"):
        stamp_ns(b"\0\1\0\0")


def test_topics_of_a_bag_are_chosen_by_their_usual_names(tmp_path: Path) -> None:
    """Raw before compressed, colour and not depth, the calibration that stands beside the images."""
    write_bag(tmp_path / "bag", drawn_frames(2), BagSettings(namespace="/head/cam"))
    with Bag(tmp_path / "bag") as bag:
        topics = bag.choose_topics()
        assert topics.colour == "/head/cam/color/image_raw"
        assert topics.camera_info == "/head/cam/color/camera_info"
        assert topics.depth == "/head/cam/aligned_depth_to_color/image_raw"
        assert not topics.compressed
        assert bag.counts(topics) == {topics.colour: 2, topics.camera_info: 2, topics.depth: 2}
        with pytest.raises(ShelfHelpError, match="it holds"):
            bag.choose_topics(depth="/nothing")
