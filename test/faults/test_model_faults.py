"""A network that is missing, cut short or another one: the node says so in every place, and starts once mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import Graph, until

from shelfhelp_ros.cli.doctor import checks
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.quality_of_service import RESULT


def missing(folder: Path) -> None:
    (folder / "detector.onnx").unlink()


def truncated(folder: Path) -> None:
    file = folder / "detector.onnx"
    file.write_bytes(file.read_bytes()[:-100])


def another(folder: Path) -> None:
    file = folder / "detector.onnx"
    file.write_bytes(file.read_bytes() + b"\0")


def no_card(folder: Path) -> None:
    (folder / "detector.json").write_text("{")


@pytest.mark.parametrize("damage", [missing, truncated, another, no_card])
def test_a_network_that_is_no_use_is_told_and_can_be_mended(
    graph: Graph, tiny_models: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """The node stays unconfigured with one sentence in its log, on /diagnostics and from the doctor."""
    folder = shutil.copytree(tiny_models, tmp_path / "models")
    damage(folder)
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    node = graph.perception(folder, active=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    told = diagnostics.wait_for(
        lambda m: any(s.name == "perception: health" and s.level == DiagnosticStatus.ERROR for s in m.status)
    )
    assert told.status[-1].message == node.failure
    assert "detector" in node.failure
    assert "\n" not in node.failure
    finding = next(check for check in checks(folder) if check.name == "Model: detector").run()
    assert finding.status == "missing"
    shutil.rmtree(folder)
    shutil.copytree(tiny_models, folder)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    diagnostics.messages.clear()
    diagnostics.wait_for(
        lambda m: any(s.name == "perception: health" and s.level == DiagnosticStatus.OK for s in m.status)
    )


def test_without_perception_the_person_is_told_that_it_is_not_there(graph: Graph) -> None:
    """A product cannot be chosen; the sentence says what to start."""
    graph.guidance()
    client = graph.client()
    until(lambda: client.repeat().message, what="an answer of guidance")
    with pytest.raises(ShelfHelpError, match="no node offers the service set_target; start `shelfhelp assist` first"):
        client.call("set_target", client._callers["set_target"].srv_type.Request(product="Tea"), timeout=0.5)
