"""The layouts for Foxglove and RViz show topics and fields that our nodes really publish."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import CameraInfo, Image
from shelfhelp_interfaces.msg import Instruction, TargetSighting
from std_msgs.msg import Bool
from visualization_msgs.msg import MarkerArray

from shelfhelp_ros.resources import config_folder

#: Of docs/guide.md; that the nodes publish them is tested where each node is.
TOPICS: dict[str, Any] = {
    "annotated_image": Image,
    "camera/color/camera_info": CameraInfo,
    "diagnostics": DiagnosticArray,
    "hand": PoseWithCovarianceStamped,
    "instruction": Instruction,
    "markers": MarkerArray,
    "speaking": Bool,
    "spoken": Instruction,
    "target": TargetSighting,
}


def texts(value: Any) -> list[str]:
    """Every text in nested mappings and lists, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def test_foxglove() -> None:
    """Topics are known, the fields of plots are in their messages, and every panel of the layout is configured."""
    layout = json.loads((config_folder() / "viewers" / "foxglove.json").read_text(encoding="utf-8"))
    paths = [text for text in texts(layout["configById"]) if re.match(r"/[a-z]", text) and text != "/stop"]
    assert paths
    for path in paths:
        topic, _, field = path[1:].partition(".")
        assert topic in TOPICS, path
        assert not field or field in TOPICS[topic].get_fields_and_field_types(), path
    panels = {text for text in texts(layout["layout"]) if "!" in text}
    assert panels == set(layout["configById"])


def test_rviz() -> None:
    """Displays listen to known topics of the message that they show."""
    raw = yaml.safe_load((config_folder() / "viewers" / "shelfhelp.rviz").read_text(encoding="utf-8"))
    shown = {display["Topic"]["Value"]: display["Class"] for display in _displays(raw) if "Topic" in display}
    assert shown
    for topic, kind in shown.items():
        assert TOPICS[topic].__name__.startswith(kind.rsplit("/", 1)[-1]), topic


def _displays(raw: Any) -> list[dict[str, Any]]:
    return list(raw["Visualization Manager"]["Displays"])
