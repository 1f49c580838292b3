"""Networks that take long to get ready: what the log and ``/diagnostics`` say meanwhile, and ``build_only``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticArray
from ros_graph import Graph

from shelfhelp_ros.nodes.perception_node import PerceptionNode


@pytest.mark.usefixtures("ros_domain")
def test_build_only_builds_and_ends(tiny_models: Path, tmp_path: Path) -> None:
    """What an image's build or a robot's set-up runs: it ends by itself, and says what the networks will run on."""
    program = "from shelfhelp_ros.nodes.perception_node import main; main()"

    def started(models: Path) -> subprocess.CompletedProcess[str]:
        parameters = ["-p", "build_only:=true", "-p", f"models:={models}"]
        return subprocess.run(
            [sys.executable, "-c", program, "--ros-args", *parameters],
            env={**os.environ, "SHELFHELP_ENGINES": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    fine = started(tiny_models)
    said = fine.stdout + fine.stderr
    assert fine.returncode == 0, said
    assert "encoder.onnx runs on" in said
    assert "build_only: the networks are ready to run on" in said
    wrong = started(tmp_path / "nowhere")
    assert wrong.returncode == 1
    assert "nowhere/detector.onnx is missing" in wrong.stderr
    assert "Traceback" not in said + wrong.stderr


def test_what_is_being_built_is_told_on_diagnostics(graph: Graph, tiny_models: Path) -> None:
    """Whoever waits for minutes sees what for, and that it is over."""
    said = graph.listen(DiagnosticArray, "/diagnostics")
    node = graph.add(PerceptionNode, ros={"models": str(tiny_models), "backend": "cpu"})

    def health(message: DiagnosticArray) -> str:
        return next((status.message for status in message.status if status.name == "perception: health"), "")

    node._on_loading("building the engine of detector: 3 of 7")
    said.wait_for(lambda message: health(message) == "building the engine of detector: 3 of 7")
    node.load_networks()
    said.wait_for(lambda message: health(message) == "working")
