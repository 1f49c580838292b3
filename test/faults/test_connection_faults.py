"""Topics on which nobody can be heard: found within seconds, with the line that mends it, and that line does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_graph import Graph, Heard, until
from sensor_msgs.msg import CompressedImage
from shelfhelp_interfaces.msg import Instruction, TargetSighting
from std_msgs.msg import Bool

from shelfhelp_ros.cli.doctor import checks
from shelfhelp_ros.cli.ros_programs import RosProgram, ros_programs, strangers
from shelfhelp_ros.nodes.guidance_node import GuidanceNode
from shelfhelp_ros.nodes.quality_of_service import RESULT
from shelfhelp_ros.nodes.speech_node import SpeechNode

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=1)


def told(heard: Heard, node: str, part: str) -> str:
    """The message of the node's health once it is an error that holds ``part``."""

    def wanted(message: DiagnosticArray) -> bool:
        return any(
            status.name == f"{node}: health" and status.level == DiagnosticStatus.ERROR and part in status.message
            for status in message.status
        )

    return str(heard.wait_for(wanted).status[-1].message)


@pytest.mark.parametrize(
    ("kind", "topic", "theirs", "policy"),
    [
        (TargetSighting, "target", BEST_EFFORT, "reliability:=best_effort"),
        (Bool, "speaking", VOLATILE, "durability:=volatile"),
    ],
)
def test_a_publisher_that_cannot_be_heard_is_named_and_the_line_mends_it(
    graph: Graph, capfd: pytest.CaptureFixture[str], kind: type, topic: str, theirs: QoSProfile, policy: str
) -> None:
    """In the log, on /diagnostics and by the doctor; started with that line the node hears."""
    node = graph.guidance()
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    publisher = graph.node.create_publisher(kind, topic, theirs)
    began = time.monotonic()
    text = told(diagnostics, "guidance", f"cannot hear /{topic} of /test")
    print(f"found after {time.monotonic() - began:.1f} s")
    line = f"start /guidance with -p qos_overrides./{topic}.subscription.{policy}"
    assert line in text
    assert line in capfd.readouterr().err
    until(lambda: line in "\n".join(doctor("ROS graph")), what="the doctor's word")
    assert publisher.get_subscription_count() == 0
    node.trigger_deactivate()
    node.trigger_cleanup()
    mended = re.search(r"-p (\S+)", text)
    assert mended is not None
    other = graph.crew.add(GuidanceNode(context=graph.context, cli_args=["--ros-args", "-p", mended[1]]))
    other.trigger_configure()
    until(lambda: publisher.get_subscription_count() > 0, what="a match")


def test_a_listener_that_asks_for_more_is_named_and_the_line_mends_it(graph: Graph) -> None:
    """A program that wants the last instruction even when it comes late."""
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    node = graph.guidance()
    late = Heard("instruction")
    graph.node.create_subscription(Instruction, "instruction", late.messages.append, LATCHED)
    text = told(diagnostics, "guidance", "/test cannot hear /instruction of /guidance")
    assert "start /guidance with -p qos_overrides./instruction.publisher.durability:=transient_local" in text
    node.trigger_deactivate()
    node.trigger_cleanup()
    other = graph.guidance(**{"qos_overrides./instruction.publisher.durability": "transient_local"})
    until(lambda: other._instructions.get_subscription_count() > 0, what="a match")


def test_a_topic_of_another_type_is_named(graph: Graph, tiny_models: Path) -> None:
    """A camera that sends JPEG where raw pictures are waited for."""
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    graph.perception(tiny_models)
    # One participant takes a topic for one type only: this is another program's.
    camera = Context()
    rclpy.init(args=[], context=camera, domain_id=graph.domain)
    node = Node("driver", context=camera)
    node.create_publisher(CompressedImage, "camera/color/image_raw", BEST_EFFORT)
    text = told(diagnostics, "perception", "cannot hear /camera/color/image_raw of /driver")
    assert "sent as sensor_msgs/msg/CompressedImage and waited for as sensor_msgs/msg/Image" in text
    node.destroy_node()
    camera.shutdown()


def test_our_own_nodes_hear_each_other(graph: Graph, tiny_models: Path) -> None:
    """Nothing is found where nothing is wrong."""
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    graph.perception(tiny_models)
    graph.guidance()
    graph.add(SpeechNode, ros={"backend": "text"})
    graph.camera()
    for name in ("perception", "guidance", "speech"):
        diagnostics.wait_for(
            lambda m, name=name: any(
                status.name == f"{name}: health" and status.level == DiagnosticStatus.OK for status in m.status
            )
        )
    assert not [s.message for m in diagnostics.messages for s in m.status if s.level == DiagnosticStatus.ERROR]


@pytest.mark.parametrize("name", ["speech_node", "guidance_node"])
def test_a_wrong_override_is_one_line(ros_domain: int, name: str) -> None:
    """A typing error in the line that mends must not be a traceback."""
    topic = {"speech_node": "/instruction.subscription", "guidance_node": "/target.subscription"}[name]
    if name == "guidance_node":
        code = (
            "import rclpy; rclpy.init(); from shelfhelp_ros.nodes.guidance_node import GuidanceNode as G; n = G(); "
            "n.trigger_configure(); print(n.failure)"
        )
    else:
        code = f"from shelfhelp_ros.nodes.{name} import main; main()"
    arguments = ["--ros-args", "-p", f"qos_overrides.{topic}.reliability:=sometimes"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert "Unexpected QoS override for policy `reliability`: `sometimes`" in said
    assert "Traceback" not in said


def doctor(name: str) -> list[str]:
    """What the doctor says of one matter: detail and mend."""
    finding = next(check for check in checks(None) if check.name == name).run()
    return [finding.status, finding.detail, finding.mend]


LISTENING = (
    "import rclpy, time; rclpy.init(); node = rclpy.create_node('far'); print('up', flush=True); time.sleep(120)"
)


@pytest.mark.parametrize("domain", ["other", "same"])
def test_the_doctor_sees_programs_of_another_domain(ros_domain: int, domain: str) -> None:
    """The commonest reason why nothing is heard; the line to mend it names the domain they are in."""
    theirs = ros_domain if domain == "same" else 100 + ros_domain % 100
    environment = {**os.environ, "ROS_DOMAIN_ID": str(theirs)}
    with subprocess.Popen([sys.executable, "-c", LISTENING], stdout=subprocess.PIPE, text=True, env=environment) as far:
        try:
            assert far.stdout is not None
            # The middleware may have something to say first.
            assert any(line == "up\n" for line in far.stdout)
            program = next(one for one in ros_programs() if one.pid == far.pid)
            assert program.domain == theirs
            text, mend = strangers([program], program.middleware, ros_domain)
            if domain == "other":
                assert f"{far.pid} ({program.name}) is in domain {theirs}, this shell in {ros_domain}" in text
                assert mend == f"export ROS_DOMAIN_ID={theirs}"
                assert "this shell in" in doctor("ROS programs")[1]
            else:
                assert (text, mend) == ("", "")
                assert str(far.pid) not in doctor("ROS programs")[1]
        finally:
            far.kill()


def test_the_doctor_sees_programs_of_another_middleware() -> None:
    """Two middlewares in one domain often meet only halfway; what a process has loaded tells which one it is."""
    ours = RosProgram(1, "ours", "rmw_fastrtps_cpp", 0)
    other = RosProgram(2, "camera", "rmw_cyclonedds_cpp", 0)
    text, mend = strangers([ours, other], "rmw_fastrtps_cpp", 0)
    assert "2 (camera) speaks rmw_cyclonedds_cpp, this shell rmw_fastrtps_cpp" in text
    assert "export RMW_IMPLEMENTATION=rmw_cyclonedds_cpp" in mend


@pytest.mark.parametrize("domain", [0, 5])
def test_a_program_that_is_heard_hides_no_other(domain: int) -> None:
    """The daemon of ros2 is heard in the shell's own domain, while the camera that is missed is elsewhere."""
    daemon = RosProgram(1, "_ros2_daemon", "rmw_fastrtps_cpp", 0)
    camera = RosProgram(2, "camera", "rmw_cyclonedds_cpp", domain)
    text, mend = strangers([daemon, camera], "rmw_fastrtps_cpp", 0)
    assert text.startswith("2 (camera) ")
    assert text.endswith("speaks rmw_cyclonedds_cpp, this shell rmw_fastrtps_cpp (may be meant: others are heard)")
    assert ("is in domain 5, this shell in 0" in text) == (domain == 5)
    assert mend == f"export {'ROS_DOMAIN_ID=5 ' * (domain == 5)}RMW_IMPLEMENTATION=rmw_cyclonedds_cpp"
    assert strangers([daemon], "rmw_fastrtps_cpp", 0) == ("", "")
    assert "may be meant" not in strangers([camera], "rmw_fastrtps_cpp", 0)[0]
