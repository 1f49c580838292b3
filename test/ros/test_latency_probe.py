"""The benchmark's camera, whose frames are serialised beforehand, before a real perception node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from drawn_shelf import draw_shelf
from ros_graph import FRAME, LENS, Graph, photo_of, until
from shelfhelp_interfaces.msg import TargetSighting

from shelfhelp_ros.nodes.latency_probe import Answers, LatencyProbe
from shelfhelp_ros.sightings import Frame

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
HERTZ = 6.0


def test_each_answer_is_timed_from_the_stamp_of_its_picture(graph: Graph, tiny_models: Path) -> None:
    """Colour, depth and calibration arrive as those of a driver do, and no time is older than the run."""
    graph.perception(tiny_models)
    client = graph.client()
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    target = graph.listen(TargetSighting, "target")
    frames = [
        Frame(0, FRAME, draw_shelf(SHELF, shift=(x, 0))[0], np.full((480, 640), 0.8, np.float32), LENS) for x in (0, 4)
    ]
    probe = LatencyProbe(frames, context=graph.context)

    def answered() -> Answers | None:
        answers = probe.run(1.5, HERTZ)
        return answers if answers.target_ms and answers.stages else None

    until(lambda: graph.node.count_subscribers("target") > 1, what="the probe's ears")
    client.set_target("Pack three")
    for _ in range(20):
        probe._executor.spin_once(timeout_sec=0.05)
    assert not probe.answers.target_ms, "the word that begins a search is no answer to a picture"

    answers = until(answered, what="answers and word of the stages")
    probe.destroy_node()
    assert 0 < min(answers.target_ms) <= max(answers.target_ms) < 180e3
    assert answers.seconds >= 1.5
    assert answers.stage_ms("total") > 0
    assert answers.stage_ms("wait") >= 0
    assert any(m.product.has_position and m.product.position.z == pytest.approx(0.8, abs=0.01) for m in target.messages)
