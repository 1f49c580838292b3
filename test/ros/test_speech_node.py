"""The speech node on a real graph: nothing stale is spoken, stop is silence, and others hear when it speaks."""

from __future__ import annotations

import shutil
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from rclpy.parameter import Parameter
from ros_graph import Graph, until
from ros_search import Search
from shelfhelp_interfaces.msg import Instruction
from std_msgs.msg import Bool

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.nodes.conversions import to_time
from shelfhelp_ros.nodes.quality_of_service import STATE, WORDS
from shelfhelp_ros.nodes.speech_node import SpeechNode

LONG = "This is a sentence of many words that takes a voice several seconds to say from its beginning to its end."


class Listener:
    """A speech node, what it was told and what came out."""

    def __init__(self, graph: Graph, **parameters: Any) -> None:
        self.node = graph.add(SpeechNode, ros={"backend": "text"} | parameters)
        self.spoken, self.speaking = graph.listen(Instruction, "spoken"), graph.listen(Bool, "speaking", STATE)
        self._words = graph.node.create_publisher(Instruction, "instruction", WORDS)
        until(lambda: self._words.get_subscription_count() > 0, what="a listener for instructions")
        self._graph = graph
        self._count = 0

    def tell(self, text: str, valid_ms: float = 60_000, urgency: int = Instruction.URGENCY_NORMAL) -> int:
        """Publish an instruction that holds for ``valid_ms`` from now; returns its number."""
        now = self._graph.node.get_clock().now().nanoseconds
        self._count += 1
        message = Instruction(sequence=self._count, text=text, urgency=urgency)
        message.valid_until = to_time(now + round(valid_ms * 1e6))
        self._words.publish(message)
        return self._count

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.spoken.messages]

    def states(self) -> list[bool]:
        return [message.data for message in self.speaking.messages]


@pytest.fixture
def listener(graph: Graph) -> Listener:
    return Listener(graph)


def test_an_instruction_is_spoken_and_told_as_it_begins(listener: Listener) -> None:
    """``spoken`` repeats the instruction, ``speaking`` goes on and off around it."""
    number = listener.tell("Up.")
    said = listener.spoken.wait_for()
    assert (said.text, said.sequence) == ("Up.", number)
    until(lambda: listener.states()[-2:] == [True, False], what="the end of speech")


def test_nothing_stale_is_spoken(listener: Listener) -> None:
    """An instruction past its time is dropped, however quiet it is."""
    listener.tell("Too late.", valid_ms=-1)
    until(lambda: listener.node.dropped == 1, what="the late one's end")
    listener.tell("In time.")
    listener.spoken.wait_for()
    assert listener.texts == ["In time."]


def test_what_grows_stale_while_it_waits_is_dropped(listener: Listener) -> None:
    """A direction that waits behind a long sentence is old by the time that one ends."""
    listener.tell(LONG)
    listener.spoken.wait_for()
    listener.tell("Left.", valid_ms=300)
    until(lambda: listener.node.dropped == 1, what="the drop of the direction")
    assert listener.texts == [LONG]


def test_stop_cuts_speech_off_at_once(listener: Listener) -> None:
    """Stop does not wait for the sentence to end, and what waited is forgotten."""
    listener.tell(LONG)
    listener.spoken.wait_for()
    listener.tell("Waiting.")
    listener.tell("", urgency=Instruction.URGENCY_STOP)
    until(lambda: listener.states()[-1:] == [False] and not listener.node.speaker.speaking, what="silence")
    listener.tell("After.")
    listener.spoken.wait_for(lambda m: m.text == "After.")
    assert listener.texts == [LONG, "After."]


def test_an_answer_cuts_in_and_the_newest_words_replace_those_that_wait(listener: Listener) -> None:
    """A person who asks is answered now; of several directions that wait only the newest counts."""
    listener.tell(LONG)
    listener.spoken.wait_for()
    listener.tell("One.")
    listener.tell("Answer.", urgency=Instruction.URGENCY_HIGH)
    listener.spoken.wait_for(lambda m: m.text == "Answer.")
    listener.tell(LONG, urgency=Instruction.URGENCY_HIGH)
    listener.spoken.wait_for(lambda m: m.sequence == 4)
    listener.tell("Two.")
    listener.tell("Three.")
    listener.tell("", urgency=Instruction.URGENCY_LOW)
    listener.spoken.wait_for(lambda m: m.text == "Three.")
    assert "One." not in listener.texts
    assert "Two." not in listener.texts


def test_a_late_listener_learns_that_it_is_silent(graph: Graph, listener: Listener) -> None:
    """Guidance that starts after speech must know the state."""
    late = graph.listen(Bool, "speaking", STATE)
    assert late.wait_for().data is False


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_a_real_voice_writes_what_it_says(graph: Graph, tmp_path: Path) -> None:
    """espeak-ng, into files where there is no sound device."""
    folder = tmp_path / "wav"
    listener = Listener(graph, backend="espeak-ng", wav_folder=folder)
    listener.tell("Reach forward a foot.")
    listener.spoken.wait_for()
    until(lambda: listener.states()[-2:] == [True, False], what="the end of speech")
    with wave.open(str(next(folder.glob("*.wav")))) as sound:
        assert sound.getnframes() / sound.getframerate() > 0.5


def test_the_rate_may_be_changed_while_it_runs(graph: Graph, listener: Listener) -> None:
    """`ros2 param set /speech rate 400`; what is out of range is refused with the reason, and changes nothing."""
    refused = listener.node.set_parameters([Parameter("rate", value=30)])[0]
    assert not refused.successful
    assert "80 to 600" in refused.reason
    assert listener.node.set_parameters([Parameter("rate", value=600), Parameter("volume", value=50)])[0].successful
    assert listener.node.parameters["rate"] == 600
    listener.tell("Up.")
    listener.spoken.wait_for()


def test_tones_tell_the_side_and_end_with_the_search(graph: Graph, tmp_path: Path) -> None:
    """A product to the right sounds from the right, after a stop nothing does; into a file where there is no device."""
    node = graph.add(SpeechNode, ros={"backend": "text", "tones": True, "wav_folder": tmp_path})
    search = Search(graph)
    way = node.way
    search.phase("aim")
    until(lambda: way.heading(node.now_ns) is not None, lambda: search.see(0.5, 0.0), what="the way")
    for _ in range(30):
        search.see(0.5, 0.0)
        time.sleep(0.02)
    search.phase("stopped")
    until(lambda: way.phase is Phase.STOPPED, what="the stop")
    time.sleep(0.5)
    node.close()
    with wave.open(str(tmp_path / "tones.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2) / 32768
        quiet = file.getframerate() // 5
    left, right = np.sum(samples**2, axis=0)
    assert right > 10 * left > 0
    assert not samples[-quiet:].any()


def test_without_tones_nothing_listens_to_the_way(graph: Graph, listener: Listener) -> None:
    """They are an option, and off unless asked for."""
    assert "/target" not in {subscription.topic_name for subscription in listener.node.subscriptions}


@pytest.mark.parametrize(("name", "value"), [("backend", "gramophone"), ("rate", 7), ("rate", 900), ("volume", 101)])
def test_a_wrong_voice_is_one_sentence(graph: Graph, name: str, value: object) -> None:
    """A configuration that cannot be spoken with is told at the start."""
    with pytest.raises(ShelfHelpError, match=r"gramophone|80 to 600|between 0 and 600|between 0 and 100"):
        graph.add(SpeechNode, ros={"backend": "text"} | {name: value})
