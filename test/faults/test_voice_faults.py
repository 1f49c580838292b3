"""The voice's daemon dies in the middle of a sentence: the person goes on hearing, and /diagnostics tells."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_graph import Graph, until
from shelfhelp_interfaces.msg import Instruction
from speech_server import needs_server, speech_server

from shelfhelp_ros.nodes.conversions import to_time
from shelfhelp_ros.nodes.quality_of_service import RESULT, WORDS
from shelfhelp_ros.nodes.speech_node import SpeechNode


def loudness(path: Path) -> float:
    """Root mean square of what is heard, as a share of full scale."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    return float(np.sqrt(np.mean(samples**2)))


@needs_server
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_speech_daemon_dies_in_the_middle_of_a_sentence(graph: Graph, tmp_path: Path) -> None:
    """espeak-ng says the sentence again and every one after it, here into files; the node's health names both."""
    with speech_server() as server:
        node = graph.add(SpeechNode, ros={"backend": "speech-dispatcher", "wav_folder": tmp_path})
        told, health = graph.node.create_publisher(Instruction, "instruction", WORDS), {}
        heard = graph.listen(Instruction, "spoken")
        graph.node.create_subscription(
            DiagnosticArray,
            "/diagnostics",
            lambda message: health.update({status.name: status for status in message.status}),
            RESULT,
        )
        until(lambda: told.get_subscription_count() > 0, what="a listener for instructions")

        def tell(text: str) -> None:
            valid_until = to_time(graph.node.get_clock().now().nanoseconds + 60_000_000_000)
            told.publish(Instruction(text=text, urgency=Instruction.URGENCY_NORMAL, valid_until=valid_until))

        tell("Reach forward about a foot.")
        until(lambda: "Reach forward" in server.words(), what="the daemon's voice")
        server.kill()
        until(lambda: (tmp_path / "0001.wav").is_file() and not node.speaker.speaking, what="the sentence once more")
        tell("A little to the left.")
        heard.wait_for(lambda said: said.text == "A little to the left.")
        until(lambda: (tmp_path / "0002.wav").is_file() and not node.speaker.speaking, what="the next sentence")
        assert all(loudness(tmp_path / name) > 0.02 for name in ("0001.wav", "0002.wav"))

        def complaint() -> bool:
            status = health.get("speech: health")
            return (
                status is not None
                and status.level == DiagnosticStatus.WARN
                and status.message.startswith("speech-dispatcher gave out, espeak-ng speaks instead")
            )

        until(complaint, what="a warning of speech")
