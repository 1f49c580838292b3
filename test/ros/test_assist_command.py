"""`shelfhelp assist` and the executables as processes: they start, serve, and end quietly."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from ros_graph import Graph, photo_of
from shelfhelp_interfaces.msg import ProductArray, TargetSighting

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process of this Python, killed in the end if it is still there."""
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_assist_finds_speaks_and_ends_without_a_traceback(
    graph: Graph, tiny_models: Path, tmp_path: Path, number: int
) -> None:
    """The command serves the graph from its own process; a signal in the middle of a frame ends it quietly."""
    photo = tmp_path / "three.png"
    photo.write_bytes(photo_of(3))
    target = graph.listen(TargetSighting, "target")
    camera = graph.camera()
    places = ["--models", tiny_models, "--catalogue", tmp_path / "c.db", "--speech", "text", "--reference", photo]
    with started("-m", "shelfhelp_ros", "assist", *places) as process:
        target.wait_for(lambda m: m.decision == TargetSighting.FOUND, lambda: camera.show(SHELF))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[0] == "Looking for the product in your photos."
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["perception_node", "guidance_node", "speech_node", "hand_node", "haptics_node"])
def test_an_executable_with_a_wrong_parameter_says_so_in_one_line(ros_domain: int, name: str) -> None:
    """What `ros2 run` shows of a typing error in a parameter."""
    wrong = {
        "perception_node": "depth_slop",
        "guidance_node": "tick_rate",
        "speech_node": "rate",
        "hand_node": "farthest",
        "haptics_node": "update_rate",
    }[name]
    code = f"from shelfhelp_ros.nodes.{name} import main; main()"
    with started("-c", code, "--ros-args", "-p", f"{wrong}:=fast") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(rf"shelfhelp: error: parameter {wrong} of node \w+ has to be .*\n", err)


def test_a_lifecycle_node_goes_to_active_by_itself_where_it_is_told_to(
    graph: Graph, tiny_models: Path, tmp_path: Path
) -> None:
    """As the launch files start it; one that cannot ends with the reason instead of waiting for somebody."""
    seen, camera = graph.listen(ProductArray, "products"), graph.camera()
    code = "from shelfhelp_ros.nodes.perception_node import main; main()"
    places = ["-p", "autostart:=true", "-p", f"catalogue:={tmp_path / 'catalogue.db'}", "-p"]
    with started("-c", code, "--ros-args", *places, f"models:={tiny_models}") as process:
        seen.wait_for(lambda m: len(m.products) == len(SHELF), lambda: camera.show(SHELF))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    with started("-c", code, "--ros-args", *places, f"models:={tmp_path / 'nowhere'}") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.fullmatch(
        r"shelfhelp: error: perception did not start: .*detector.onnx is missing.*", err.splitlines()[-1]
    )


def test_without_ros_the_message_says_what_to_do(tmp_path: Path) -> None:
    """On a machine without rclpy the command explains itself."""
    (tmp_path / "rclpy.py").write_text("raise ImportError('No module named rclpy')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from shelfhelp_ros.cli.main import main; main()"
    with started("-c", code, "assist") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("shelfhelp: error: rclpy does not import")
    assert "make setup" in err
    assert (err.count("\n"), out) == (1, "")


def test_a_camera_under_another_name(graph: Graph, tiny_models: Path) -> None:
    """The topics of a camera file are those that perception listens to."""
    from shelfhelp_ros.nodes.assistant import AssistOptions
    from shelfhelp_ros.nodes.perception_node import PerceptionNode

    options = AssistOptions(camera="realsense", models=tiny_models, catalogue=graph.folder / "catalogue.db")
    node = graph.crew.add(PerceptionNode(context=graph.context, cli_args=options.arguments("perception")))
    node.trigger_configure()
    names = {subscription.topic_name for subscription in node.subscriptions}
    assert "/camera/camera/color/image_raw" in names
    assert "/camera/camera/aligned_depth_to_color/image_raw" in names
    assert not [name for name, _ in node.get_topic_names_and_types() if name == "/camera/color/image_raw"]
    assert graph.listen(ProductArray, "products").messages == []
