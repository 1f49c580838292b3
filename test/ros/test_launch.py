"""The launch files under the real `launch`, where a ROS installation (or a PYTHONPATH) has it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
pytest.importorskip("launch", reason="launch comes with a ROS installation")
pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS installation")
pytest.importorskip("ros2launch", reason="ros2launch comes with a ROS installation")

from drawn_shelf import draw_shelf
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from ros_graph import FRAME, LENS, Graph, photo_of, until
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.bag import START_NS, BagSettings, write_bag

RESTARTING = "Hold still, I have to start again."
SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
ROS2 = "import sys; from ros2cli.cli import main; sys.exit(main(argv=sys.argv[1:]))"


@pytest.fixture
def installed() -> None:
    """`ros2 launch` finds the package's executables in an ament prefix."""
    index = pytest.importorskip("ament_index_python", reason="ament_index_python comes with ROS")
    try:
        prefix = Path(index.get_package_prefix("shelfhelp"))
    except LookupError:
        pytest.skip("shelfhelp is not in an ament prefix; build it with colcon and source the workspace")
    if not (prefix / "lib" / "shelfhelp" / "perception_node").exists():
        pytest.skip(f"{prefix} holds no executables of shelfhelp")


@contextmanager
def launched(file: str, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`ros2 launch shelfhelp FILE`, interrupted in the end; its output goes to ``log``."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", ROS2, "launch", "shelfhelp", file, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            yield process
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def places(models: Path, folder: Path) -> list[str]:
    return [f"models:={models}", f"catalogue:={folder / 'catalogue.db'}", "speech:=text"]


def enrol_pack_three(models: Path, folder: Path) -> None:
    with Catalogue(folder / "catalogue.db") as catalogue:
        enrol(catalogue, Detector.load(models), Encoder.load(models), "Pack three", [photo_of(3)])


@pytest.mark.usefixtures("installed")
def test_assist_brings_the_nodes_to_active_and_ends_cleanly(graph: Graph, tiny_models: Path, tmp_path: Path) -> None:
    """One command from a ROS installation to a working assistant, and Ctrl-C without a traceback."""
    log = tmp_path / "log"
    products = graph.listen(ProductArray, "walker/products")
    client = graph.node.create_client(GetState, "walker/guidance/get_state")
    camera = graph.camera()
    arguments = [*places(tiny_models, tmp_path), "namespace:=walker", "camera:=/camera", "log_level:=debug"]
    with launched("assist.launch.py", log, *arguments) as process:
        seen = products.wait_for(lambda m: len(m.products) == len(SHELF), lambda: camera.show(SHELF))
        assert seen.header.frame_id == FRAME

        def active() -> bool:
            future = client.call_async(GetState.Request())
            until(lambda: future.done(), what="an answer of guidance")
            return bool(future.result().current_state.label == "active")

        until(active, what="guidance being active")
    text = log.read_text()
    assert process.returncode == 0, text
    assert text.count("process has finished cleanly") == 3, text
    assert "Traceback" not in text


@pytest.mark.usefixtures("installed", "ros_domain")
@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("models:=/nowhere", "/nowhere/detector.onnx is missing"),
        ("camera:=not a name", "neither a camera of config/cameras"),
        ("speech_rate:=7", "80 to 600"),
    ],
)
def test_a_wrong_argument_ends_the_launch_with_the_reason(tmp_path: Path, argument: str, says: str) -> None:
    """A launch that cannot work does not hang around half started."""
    log = tmp_path / "log"
    with launched("assist.launch.py", log, "speech:=text", argument) as process:
        process.wait(60)
    text = log.read_text()
    assert says in text
    assert text.count("process started") in (0, 3), "started again for nothing"


@pytest.mark.usefixtures("installed")
def test_a_search_goes_on_when_its_nodes_are_killed(graph: Graph, tiny_models: Path, tmp_path: Path) -> None:
    """The person hears of each death, each node is active again by itself, and all end with the launch."""
    log = tmp_path / "log"
    enrol_pack_three(tiny_models, tmp_path)
    heard, client, camera = graph.listen(Instruction, "spoken"), graph.client(), graph.camera()

    def hears(wanted: Callable[[Instruction], bool]) -> None:
        heard.wait_for(wanted, lambda: camera.show(SHELF))

    with launched("assist.launch.py", log, *places(tiny_models, tmp_path)) as process:
        client.wait_for_assistant()
        until(lambda: heard.messages, lambda: client.set_target("Pack three"), "the first words")
        for name, told in (("perception", "Hold still, I lost the camera."), ("guidance", RESTARTING)):
            hears(lambda said: bool(said.axis))
            heard.messages.clear()
            before = started_as(log, name)
            os.kill(before[-1], signal.SIGKILL)
            hears(lambda said, told=told: said.text == told)
            until(lambda name=name, before=before: len(started_as(log, name)) > len(before), what=f"another {name}")
            until(lambda name=name: state_of(graph, name) == "active", what=f"{name} being active")
            hears(lambda said: said.text == "Looking for Pack three.")
    text = log.read_text()
    assert process.returncode == 0, text
    assert text.count("process has finished cleanly") == 3, text
    assert "Traceback" not in text


@pytest.mark.usefixtures("installed")
def test_arguments_reach_the_nodes(graph: Graph, tiny_models: Path, tmp_path: Path) -> None:
    """Many at once: what was given, where it belongs and of the type that the node declares."""
    log, record = tmp_path / "log", tmp_path / "2024"
    chosen = ["confirm:=cautious", "backend:=cpu", "language:=de", "speech_rate:=300", "tones:=true", "haptics:=true"]
    more = ["hand:=aruco", f"record:={record}", "image_transport:=compressed", "namespace:=walker", "camera:=/camera"]
    wanted: dict[str, dict[str, object]] = {
        "perception": {"confirm": "cautious", "backend": "cpu", "models": str(tiny_models)},
        "guidance": {"language": "de", "autostart": True},
        "speech": {"language": "de", "backend": "text", "rate": 300, "tones": True},
        "hand": {"source": "aruco", "image_transport": "compressed"},
        "recorder": {"folder": str(record), "image_transport": "compressed"},
        "haptics": {"use_sim_time": False},
    }
    seen, camera = graph.listen(ProductArray, "walker/products"), graph.camera()
    with launched("assist.launch.py", log, *places(tiny_models, tmp_path), *chosen, *more) as process:
        seen.wait_for(lambda m: len(m.products) == len(SHELF), lambda: camera.show(SHELF, compressed=True))
        for node, values in wanted.items():
            assert parameters_of(graph, f"walker/{node}", list(values)) == list(values.values())
        for node in ("guidance", "hand"):
            until(lambda node=node: state_of(graph, f"walker/{node}") == "active", what=f"{node} being active")
    text = log.read_text()
    assert process.returncode == 0, text
    assert text.count("process has finished cleanly") == len(wanted), text
    assert "Traceback" not in text


@pytest.mark.usefixtures("installed", "ros_domain")
def test_build_only_ends_once_it_is_built(tiny_models: Path, tmp_path: Path) -> None:
    """It is no node that died: nothing is started again."""
    log = tmp_path / "log"
    with launched("assist.launch.py", log, *places(tiny_models, tmp_path), "build_only:=true") as process:
        process.wait(60)
    text = log.read_text()
    assert "build_only: the networks are ready to run on" in text
    assert text.count("process started") == 1, text


def parameters_of(graph: Graph, node: str, names: list[str]) -> list[object]:
    """The values that a node has for parameters."""
    client = graph.node.create_client(GetParameters, f"{node}/get_parameters")
    until(client.service_is_ready, what=f"the parameters of {node}")
    future = client.call_async(GetParameters.Request(names=names))
    until(future.done, what=f"an answer of {node}")
    return [parameter_value_to_python(value) for value in future.result().values]


def started_as(log: Path, name: str) -> list[int]:
    """The process ids of a node, in the order of its starts."""
    return [
        int(pid) for pid in re.findall(rf"\[{name}_node-\d+\]: process started with pid \[(\d+)\]", log.read_text())
    ]


def state_of(graph: Graph, name: str) -> str:
    """The state of a lifecycle node, asked anew; empty where nobody answers, as one that was killed."""
    client = graph.node.create_client(GetState, f"{name}/get_state")
    try:
        client.wait_for_service(1.0)
        future = client.call_async(GetState.Request())
        for _ in range(10):
            if future.done():
                return str(future.result().current_state.label)
            time.sleep(0.1)
        return ""
    finally:
        graph.node.destroy_client(client)


@pytest.mark.usefixtures("installed")
def test_replay_plays_a_bag_into_the_nodes_and_ends_with_it(graph: Graph, tiny_models: Path, tmp_path: Path) -> None:
    """`ros2 launch shelfhelp replay.launch.py bag:=…`"""
    log = tmp_path / "log"
    enrol_pack_three(tiny_models, tmp_path)
    frames = (Frame(START_NS + index * 100_000_000, FRAME, draw_shelf(SHELF)[0], None, LENS) for index in range(30))
    write_bag(tmp_path / "bag", frames, BagSettings(storage="mcap", compressed=True))
    target = graph.listen(TargetSighting, "target")
    arguments = [*places(tiny_models, tmp_path), f"bag:={tmp_path / 'bag'}", "target:=Pack three"]
    with launched("replay.launch.py", log, *arguments) as process:
        target.wait_for(lambda m: m.decision == TargetSighting.FOUND)
        process.wait(60)
    assert "Traceback" not in log.read_text()


@pytest.mark.usefixtures("installed", "ros_domain")
def test_replay_of_a_bag_that_is_not_there_says_so(tmp_path: Path) -> None:
    """No node is started for nothing."""
    log = tmp_path / "log"
    with launched("replay.launch.py", log, f"bag:={tmp_path / 'nothing'}") as process:
        process.wait(60)
    text = log.read_text()
    assert "cannot be read as a ROS 2 bag" in text
    assert "process started" not in text
    assert "Traceback" not in text


@pytest.mark.usefixtures("installed")
def test_simulate_shows_a_shelf_to_the_nodes(graph: Graph, tiny_models: Path, tmp_path: Path) -> None:
    """The simulated camera's frames come out of perception."""
    pytest.importorskip("mujoco", reason="MuJoCo renders the shelf")
    log = tmp_path / "log"
    seen = graph.listen(ProductArray, "products")
    truth = graph.listen(ProductArray, "simulation/ground_truth")
    with launched("simulate.launch.py", log, *places(tiny_models, tmp_path), "products:=6"):
        stamp = truth.wait_for().header.stamp
        seen.wait_for(lambda m: m.header.stamp.sec >= stamp.sec and m.image_width == 640)
    assert "Traceback" not in log.read_text()
