"""The files that ship: parameters, cameras, launch files agree with the code."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import cameras, transport
from shelfhelp_ros.nodes.cameras import CameraTopics, camera_topics
from shelfhelp_ros.resources import config_folder, launch_folder

CAMERAS = sorted(path.stem for path in (config_folder() / "cameras").glob("*.yaml"))
NODES = ("perception", "guidance", "speech", "hand", "haptics", "recorder", "simulation")


def settings_of(node: str) -> dict[str, Any]:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
    module = importlib.import_module(f"shelfhelp_ros.nodes.{node}_node")
    return {setting.name: setting for setting in module.SETTINGS}


@pytest.mark.parametrize("node", NODES[:6])
def test_the_parameter_file_holds_every_parameter_with_its_default(node: str) -> None:
    """People learn from this file what can be set; a parameter that is missing or wrong there misleads them."""
    text = (config_folder() / "assist.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)[f"/**/{node}"]["ros__parameters"]
    assert written == {name: setting.default for name, setting in settings_of(node).items()}
    assert {name: type(value) for name, value in written.items()} == {
        name: type(setting.default) for name, setting in settings_of(node).items()
    }
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"    \w", line):
            assert lines[number - 1].strip().startswith("#"), f"{line} has no comment"


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_is_described_and_its_default_is_allowed(node: str) -> None:
    """`ros2 param describe` has something to say, and a default never fails its own range."""
    for setting in settings_of(node).values():
        assert setting.description
        assert not setting.fault(setting.default)
        if setting.low is not None:
            assert setting.low <= setting.default <= setting.high


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_files(name: str) -> None:
    """Each maps our names to absolute ones, colour and calibration at least."""
    topics = dict(camera_topics(name).remappings)
    assert {cameras.COLOUR, cameras.CAMERA_INFO} <= set(topics)
    assert all(theirs.startswith("/") for theirs in topics.values())


def test_a_namespace_moves_all_topics() -> None:
    """`--camera head/front` is what most drivers need."""
    assert camera_topics("camera") == CameraTopics((), "raw")
    topics = dict(camera_topics("/head/front", "compressed").remappings)
    assert topics[cameras.COMPRESSED] == "/head/front/color/image_raw/compressed"
    assert topics[cameras.DEPTH] == "/head/front/aligned_depth_to_color/image_raw"
    assert camera_topics("head", "compressed").transport == "compressed"


@pytest.mark.parametrize(
    ("camera", "content", "says"),
    [
        ("not a name", None, "neither a camera"),
        ("missing.yaml", None, "cannot be read"),
        ("file.yaml", "topics: [1, 2]", "has to map"),
        ("file.yaml", "topics: {camera/nose: /nose}", "has to map"),
        ("file.yaml", ":\n- [", "cannot be read"),
        ("file.yaml", "image_transport: pigeon\ntopics: {}", "pigeon"),
    ],
)
def test_a_wrong_camera_is_one_sentence(tmp_path: Path, camera: str, content: str | None, says: str) -> None:
    """A typing error in a camera's name or file is told, not guessed around."""
    if content is not None:
        (tmp_path / camera).write_text(content)
    with pytest.raises(ShelfHelpError, match=says):
        camera_topics(str(tmp_path / camera) if camera.endswith(".yaml") else camera)


def test_fast_dds_gets_room_for_images_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment has to hold two raw frames of 1280×720 at least; what a person configured stays."""
    for name in transport.CHOSEN:
        monkeypatch.setenv(name, "")
    transport.make_room_for_images()
    path = Path(os.environ[transport.PROFILES[0]])
    space = {"f": "http://www.eprosima.com"}
    sizes = ElementTree.parse(path).findall(".//f:segment_size", space)
    assert int(sizes[0].text or 0) > 2 * 1280 * 720 * 3
    for name in transport.PROFILES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
    transport.make_room_for_images()
    assert os.environ[transport.PROFILES[0]] == ""


@pytest.mark.parametrize("name", ["assist", "replay", "simulate"])
def test_launch_files_name_executables_and_parameters_that_exist(name: str) -> None:
    """Where there is no `launch` to run them, at least what they name has to be there."""
    text = (launch_folder() / f"{name}.launch.py").read_text(encoding="utf-8")
    compile(text, name, "exec")
    setup = (launch_folder().parent / "setup.py").read_text(encoding="utf-8") if _in_checkout() else ""
    for executable in re.findall(r'executable="(\w+)"', text):
        assert not setup or f'"{executable} = shelfhelp_ros.nodes.{executable}:main"' in setup
    kinds = re.search(r"kinds = \{(.*?)\}", text, re.DOTALL)
    if kinds:
        assert set(re.findall(r'"(\w+)":', kinds[1])) <= set(settings_of("simulation"))


def test_the_simulated_hand_follows_what_is_spoken(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the launch file renames is what the node listens to, and the other name is one that the voice publishes."""
    from shelfhelp_ros.nodes.simulation_node import SimulationNode
    from shelfhelp_ros.nodes.speech_node import SpeechNode

    text = (launch_folder() / "simulate.launch.py").read_text(encoding="utf-8")
    ((ours, theirs),) = re.findall(r'remappings=\[\("(\w+)", "(\w+)"\)\]', text)
    monkeypatch.setattr(SimulationNode, "_run", lambda node: node._ready.set())
    simulation = graph.add(SimulationNode, ros={"hand": True})
    speech = graph.add(SpeechNode, ros={"backend": "text"})
    assert f"/{ours}" in [topic.topic_name for topic in simulation.subscriptions]
    assert f"/{theirs}" in [topic.topic_name for topic in speech.publishers]


def _in_checkout() -> bool:
    return (launch_folder().parent / "setup.py").is_file()
