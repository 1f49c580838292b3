"""The hand node on a real graph: frames in, the hand out, and silence with a word in /diagnostics when it is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_graph import FRAME, LENS, Graph, Heard, until
from worn_marker import MarkerPose, wear

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.assistant import HANDS, AssistOptions, start_assistant
from shelfhelp_ros.nodes.conversions import from_hand
from shelfhelp_ros.nodes.hand_node import HandNode
from shelfhelp_ros.nodes.quality_of_service import RESULT
from shelfhelp_ros.perception.wrist_marker import MarkerSettings
from shelfhelp_ros.resources import launch_folder
from shelfhelp_ros.sightings import FloatArray, ImageArray

Vector = npt.NDArray[np.float64]
SETTINGS = MarkerSettings()
EMPTY = np.full((480, 640, 3), 110, np.uint8)
SHELF = np.full((480, 640), 1.2, np.float32)
POSE = MarkerPose.random(np.random.default_rng(3), 0.5)
TRUE = POSE.hand(SETTINGS)


@pytest.fixture(scope="module")
def worn() -> tuple[ImageArray, FloatArray]:
    """A marker at half a metre before a grey wall, and the depth of both."""
    return wear(EMPTY, SHELF, LENS, POSE, SETTINGS)


def start(graph: Graph, **parameters: Any) -> HandNode:
    """An active hand node that looks for a marker."""
    node: HandNode = graph.add(HandNode, ros={"source": "aruco", **parameters})
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    return node


def hear(graph: Graph) -> Heard:
    return graph.listen(PoseWithCovarianceStamped, "hand")


def status_of(message: DiagnosticArray) -> DiagnosticStatus:
    return message.status[0]


def values(message: DiagnosticArray) -> dict[str, str]:
    return {entry.key: entry.value for entry in status_of(message).values}


def test_frames_in_the_hand_out(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """Within two centimetres of the truth, with the stamp and the frame_id of the picture that shows it."""
    start(graph)
    heard, camera, stamps = hear(graph), graph.camera(), []
    message = heard.wait_for(doing=lambda: stamps.append(camera.publish(*worn)))
    position, stamp = from_hand(message)
    assert np.linalg.norm(position.xyz - TRUE) < 0.02
    assert np.linalg.eigvalsh(position.covariance)[0] > 0
    assert np.sqrt(np.linalg.eigvalsh(position.covariance)[-1]) < 0.05
    assert message.header.frame_id == FRAME
    assert stamp in stamps
    # The first picture alone is not enough.
    assert stamp > stamps[0]


def test_without_depth_the_marker_still_gives_the_place(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """Its size gives the range; /diagnostics says what is missing."""
    start(graph)
    heard, told, camera = hear(graph), graph.listen(DiagnosticArray, "/diagnostics", RESULT), graph.camera()
    position, _ = from_hand(heard.wait_for(doing=lambda: camera.publish(worn[0])))
    assert np.linalg.norm(position.xyz - TRUE) < 0.04
    said = told.wait_for(lambda m: "missing" in values(m)["depth"], lambda: camera.publish(worn[0]))
    assert values(said)["camera_info"] == "there"


def test_without_camera_info_the_hand_is_less_sure(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """The parameter field_of_view stands in, with a covariance that allows for it and a word in /diagnostics."""
    start(graph, field_of_view=60.0)
    heard, told, camera = hear(graph), graph.listen(DiagnosticArray, "/diagnostics", RESULT), graph.camera()
    position, _ = from_hand(heard.wait_for(doing=lambda: camera.publish(*worn, calibrated=False)))
    assert np.linalg.norm(position.xyz - TRUE) < 0.02
    assert np.sqrt(np.linalg.eigvalsh(position.covariance)[0]) > 0.04
    told.wait_for(lambda m: "missing" in values(m)["camera_info"], lambda: camera.publish(*worn, calibrated=False))


def test_a_marker_out_of_view_gives_silence_and_a_word(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """Lost is said, never guessed; and a hand that comes back is followed again."""
    node = start(graph)
    heard, told, camera = hear(graph), graph.listen(DiagnosticArray, "/diagnostics", RESULT), graph.camera()
    heard.wait_for(doing=lambda: camera.publish(*worn))
    told.wait_for(lambda m: status_of(m).message == "hand in view", lambda: camera.publish(*worn))
    first = camera.publish(EMPTY, SHELF)
    lost = told.wait_for(lambda m: "hand lost" in status_of(m).message, lambda: camera.publish(EMPTY, SHELF))
    assert status_of(lost).level == DiagnosticStatus.WARN
    assert values(lost)["source"] == "ArUco marker 0 of 4x4_50"
    frames = node.statistics.total_frames
    until(lambda: node.statistics.total_frames > frames + 2, lambda: camera.publish(EMPTY, SHELF))
    assert all(from_hand(message)[1] < first for message in heard.messages)
    heard.wait_for(lambda m: from_hand(m)[1] > first, lambda: camera.publish(*worn))


def test_depth_that_is_not_aligned_is_said_and_left_out(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """The picture alone is still worth something."""
    start(graph)
    heard, told, camera = hear(graph), graph.listen(DiagnosticArray, "/diagnostics", RESULT), graph.camera()
    wrong = np.full((480, 480), 0.3, np.float32)
    position, _ = from_hand(heard.wait_for(doing=lambda: camera.publish(worn[0], wrong)))
    assert np.linalg.norm(position.xyz - TRUE) < 0.04
    told.wait_for(lambda m: "not aligned" in status_of(m).message, lambda: camera.publish(worn[0], wrong))


def test_the_life_of_the_node(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """Silent until it is active, silent again after, and every topic given back in the end."""
    node = graph.add(HandNode, ros={"source": "aruco"})
    topics = {publisher.topic_name for publisher in node.publishers}
    node.trigger_configure()
    heard, camera = hear(graph), graph.camera()
    for _ in range(3):
        camera.publish(*worn)
    assert heard.messages == []
    node.trigger_activate()
    heard.wait_for(doing=lambda: camera.publish(*worn))
    node.trigger_deactivate()
    assert not node.is_active
    heard.messages.clear()
    for _ in range(3):
        camera.publish(*worn)
    assert heard.messages == []
    node.trigger_cleanup()
    assert {publisher.topic_name for publisher in node.publishers} == topics
    assert not [subscription for subscription in node.subscriptions if "camera" in subscription.topic_name]
    node.trigger_configure()
    node.trigger_activate()
    again = hear(graph)
    again.wait_for(doing=lambda: camera.publish(*worn))


def test_a_limit_changed_at_run_time_holds_at_once(graph: Graph, worn: tuple[ImageArray, FloatArray]) -> None:
    """A hand beyond `farthest` is somebody else's."""
    node = start(graph)
    heard, camera = hear(graph), graph.camera()
    heard.wait_for(doing=lambda: camera.publish(*worn))
    assert node.set_parameters([Parameter("farthest", value=0.35)])[0].successful
    frames = node.statistics.total_frames
    until(lambda: node.statistics.total_frames > frames + 1, lambda: camera.publish(*worn))
    heard.messages.clear()
    until(lambda: node.statistics.total_frames > frames + 4, lambda: camera.publish(*worn))
    assert heard.messages == []


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"marker_id": 77}, "has no marker 77; it has 0 to 49"),
        ({"source": "mediapipe", "landmarker": Path("/nowhere/hand.task")}, "/nowhere/hand.task is missing"),
    ],
)
def test_a_source_that_does_not_start_is_one_sentence(graph: Graph, parameters: dict[str, Any], says: str) -> None:
    """The launch ends with this line."""
    node = graph.add(HandNode, ros={"source": "aruco", **parameters})
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert says in node.failure
    assert "internal" not in node.failure


def test_mediapipe_looks_at_frames_and_finds_no_hand_on_a_wall(graph: Graph) -> None:
    """The network loads in configure, works in the worker, and is let go of at the end."""
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed: scripts/setup hands")
    node = start(graph, source="mediapipe")
    told, camera = graph.listen(DiagnosticArray, "/diagnostics", RESULT), graph.camera()
    # A busy machine may be too slow for a second or two, and says so.
    said = told.wait_for(
        lambda m: values(m)["frames a second"] != "0" and status_of(m).message == "no hand seen yet",
        lambda: camera.publish(EMPTY, SHELF),
    )
    assert values(said)["source"] == "MediaPipe hand landmarker"
    assert values(said)["faults"] == "0"
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.finder is None


def test_assist_starts_the_node_only_when_it_is_asked_to(graph: Graph, tiny_models: Path) -> None:
    """`--hand aruco` on the camera's own topics; by default another program may publish the hand."""
    options = AssistOptions(models=tiny_models, catalogue=graph.folder / "catalogue.db", speech="text")
    assert options.hand == "none"
    chosen = AssistOptions(
        camera="head", hand="aruco", models=tiny_models, catalogue=graph.folder / "catalogue.db", speech="text"
    )
    assistant = start_assistant(graph.crew, chosen, context=graph.context)
    assert assistant.hand is not None
    assert assistant.hand.parameters["source"] == "aruco"
    assert "/head/color/image_raw" in {subscription.topic_name for subscription in assistant.hand.subscriptions}
    assert {node.get_name() for node in graph.crew.nodes} == {"perception", "guidance", "speech", "hand"}


def test_a_hand_that_nobody_knows_is_one_sentence(graph: Graph) -> None:
    """A typing error of `--hand`, before any network is loaded."""
    with pytest.raises(ShelfHelpError, match="one of none, mediapipe, aruco"):
        start_assistant(graph.crew, AssistOptions(hand="glove"), context=graph.context)
    assert graph.crew.nodes == []


def test_the_launch_file_knows_the_same_sources() -> None:
    """It keeps its own list, so that starting it needs none of our nodes."""
    text = (launch_folder() / "assist.launch.py").read_text(encoding="utf-8")
    assert f"HANDS = {HANDS!r}".replace("'", '"') in text
