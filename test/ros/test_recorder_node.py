"""The last minute is kept when a search goes wrong, over a real graph, and can be played again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from ros_graph import Graph, until
from shelfhelp_interfaces.msg import Instruction
from std_srvs.srv import Trigger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.bags import Bag
from shelfhelp_ros.nodes.quality_of_service import WORDS
from shelfhelp_ros.nodes.recorder_node import RecorderNode


def finished(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("search_*") if (path / "search.json").is_file())


def show(graph: Graph, node: RecorderNode, frames: int) -> None:
    """Publish pictures until so many are kept."""
    camera = graph.camera()
    until(lambda: len(node.ring) >= frames, lambda: camera.show([1, 2, 3, 4], pause=0.25), "frames in the ring")


def ask(graph: Graph) -> Trigger.Response:
    """The answer to a request for a recording."""
    client = graph.node.create_client(Trigger, "save_recording")
    until(client.service_is_ready, what="the recorder's service")
    future = client.call_async(Trigger.Request())
    until(future.done, what="an answer")
    return future.result()


def test_a_failed_search_is_kept_and_can_be_played(graph: Graph, tmp_path: Path) -> None:
    """The phase *lost* keeps the camera and the words; *aim* keeps nothing; the bag opens as any other."""
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path), "after": 0.2})
    words = graph.node.create_publisher(Instruction, "instruction", WORDS)
    until(lambda: words.get_subscription_count() > 0, what="a match of the words")
    show(graph, node, 3)
    words.publish(Instruction(phase="aim", text="To the left."))
    words.publish(Instruction(phase="lost", text="I lost sight of it. Hold still."))
    until(lambda: finished(tmp_path), what="a recording")
    (kept,) = finished(tmp_path)
    told = json.loads((kept / "search.json").read_text(encoding="utf-8"))
    assert told["reason"] == "lost"
    assert [entry["text"] for entry in told["instructions"]] == ["To the left.", "I lost sight of it. Hold still."]
    with Bag(kept / "bag") as bag:
        topics = bag.choose_topics("", "", "", "")
        assert topics.compressed
        assert len(list(bag.messages(topics))) >= 3


def test_a_recording_on_request_and_no_more_than_are_to_be_kept(graph: Graph, tmp_path: Path) -> None:
    """The service says no before there is a picture; the oldest recording makes room, other folders stay."""
    (tmp_path / "search_notes").mkdir()
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path), "keep": 1})
    refused = ask(graph)
    assert (refused.success, "no picture" in refused.message) == (False, True)
    show(graph, node, 1)
    for _ in range(2):
        before = finished(tmp_path)
        time.sleep(1.1)
        assert ask(graph).success
        until(lambda before=before: finished(tmp_path) not in ([], before), what="another recording")
    assert len(finished(tmp_path)) == 1
    assert (tmp_path / "search_notes").is_dir()


def test_a_folder_that_cannot_be(graph: Graph, tmp_path: Path) -> None:
    """No folder, or a file in its place, is one sentence at the start and not a lost recording later."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="needs a folder"):
        graph.add(RecorderNode)
    with pytest.raises(ShelfHelpError, match="choose another folder"):
        graph.add(RecorderNode, ros={"folder": str(tmp_path / "file")})
