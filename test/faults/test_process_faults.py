"""A node that is killed in the middle of a search and started again: the search goes on by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from faulty_assistant import LOST, Stream, is_direction
from ros_graph import Graph, Heard, photo_of, until
from shelfhelp_interfaces.msg import Instruction

from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.nodes.processes import running
from shelfhelp_ros.nodes.speech_node import SpeechNode

RESTARTING = "Halten Sie still, ich muss neu anfangen."
# The middleware notices within two seconds; the rest is for a machine that is busy with other work.
NOTICED_S = 4.0

PROGRAM = """
from shelfhelp_ros.nodes.running import Crew, ros, stopped_by_signals
from shelfhelp_ros.nodes.{name}_node import {kind}
with ros():
    crew = Crew()
    with stopped_by_signals(crew):
        crew.add({kind}())
        crew.activate()
        crew.wait()
        crew.close()
"""


class Killable:
    """A node in a process of its own, brought to active."""

    def __init__(self, graph: Graph, name: str, *arguments: str) -> None:
        self._graph, self.name = graph, name
        program = PROGRAM.format(name=name, kind=f"{name.capitalize()}Node")
        self._command = [sys.executable, "-c", program, "--ros-args", *arguments]
        self._stack = ExitStack()
        self.process: subprocess.Popen[bytes]
        self.starts = 0
        self.start()

    def _log(self, start: int) -> Path:
        return self._graph.folder / f"{self.name}_{start}.log"

    @property
    def written(self) -> str:
        """The logs of all its starts: what was killed may have failed before."""
        return "".join(self._log(start).read_text() for start in range(1, self.starts + 1))

    def start(self) -> None:
        self.starts += 1
        self.process = self._stack.enter_context(running(self._command, self._log(self.starts)))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self._stack.close()


@contextmanager
def started(*nodes: Killable) -> Iterator[None]:
    try:
        yield
    finally:
        for node in nodes:
            node.close()


def test_each_node_may_be_killed_and_started_again(graph: Graph, tiny_models: Path) -> None:
    """Guidance names the product again, perception learns from guidance what it looked for, the voice comes back."""
    heard = graph.listen(Instruction, "spoken")
    places = ["-p", f"models:={tiny_models}", "-p", f"catalogue:={graph.folder / 'catalogue.db'}"]
    perception, guidance = Killable(graph, "perception", *places), Killable(graph, "guidance")
    speech = Killable(graph, "speech", "-p", "backend:=text")
    client, stream = graph.client(), Stream(graph.camera(), lambda: graph.node.get_clock().now().nanoseconds)
    told = {guidance: "Hold still, I have to start again.", perception: LOST}
    with started(perception, guidance, speech):
        client.wait_for_assistant()
        client.enrol_product("Pack three", [photo_of(3)])
        until(lambda: heard.messages, lambda: client.set_target("Pack three"), "the first words")
        stream.start()
        heard.wait_for(is_direction)
        for node in (guidance, perception, speech):
            node.kill()
            heard.messages.clear()
            if node is not speech:
                heard.wait_for(lambda said, told=told[node]: said.text == told)
            node.start()
            if node is not speech:
                heard.wait_for(lambda said: said.text == "Looking for Pack three.")
            heard.wait_for(is_direction)
        stream.close()
        for node in (guidance, perception, speech):
            assert "Traceback" not in node.written
            assert "internal error" not in node.written


@contextmanager
def german_search(graph: Graph, models: Path) -> Iterator[tuple[Killable, SpeechNode, Heard]]:
    """Guidance in a process of its own, leading to pack three, a German voice, and what it says."""
    heard, client = graph.listen(Instruction, "spoken"), graph.client()
    graph.perception(models)
    voice = graph.add(SpeechNode, ros={"backend": "text", "language": "de"})
    stream = Stream(graph.camera(), lambda: graph.node.get_clock().now().nanoseconds)
    guidance = Killable(graph, "guidance")
    with started(guidance):
        client.wait_for_assistant()
        client.enrol_product("Pack three", [photo_of(3)])
        client.set_target("Pack three")
        stream.start()
        try:
            until(lambda: voice.watch.wanted, what="word of what is looked for")
            yield guidance, voice, heard
        finally:
            stream.close()


def test_the_voice_tells_that_guidance_has_died(graph: Graph, tiny_models: Path) -> None:
    """In the person's language, at once, and once a death."""
    with german_search(graph, tiny_models) as (guidance, voice, heard):
        for _ in range(2):
            heard.messages.clear()
            killed_at = time.monotonic()
            guidance.kill()
            said = heard.wait_for(lambda said: said.text == RESTARTING)
            assert time.monotonic() - killed_at < NOTICED_S
            assert (said.phase, said.urgency) == ("stale", Instruction.URGENCY_HIGH)
            assert voice.way.phase is Phase.STALE, "tones lead on"
            guidance.start()
            until(lambda: voice.watch.wanted, what="word of what is looked for")
            heard.wait_for(is_direction)
            assert [said.text for said in heard.messages].count(RESTARTING) == 1


def test_who_ended_the_search_hears_nothing_of_a_guidance_that_dies(graph: Graph, tiny_models: Path) -> None:
    """There is nothing to hold still for."""
    with german_search(graph, tiny_models) as (guidance, voice, heard):
        graph.client().stop()
        until(lambda: not voice.watch.wanted, what="word that nothing is looked for")
        guidance.kill()
        time.sleep(NOTICED_S)
        assert RESTARTING not in [said.text for said in heard.messages]


def test_who_ends_guidance_hears_nothing_of_it(graph: Graph, tiny_models: Path) -> None:
    """Also in the middle of a search, as whoever ends the assistant may be."""
    with german_search(graph, tiny_models) as (guidance, voice, heard):
        guidance.process.send_signal(signal.SIGINT)
        until(lambda: not voice.watch.wanted, what="word that guidance has ended")
        time.sleep(NOTICED_S)
        assert RESTARTING not in [said.text for said in heard.messages]


def test_guidance_in_the_process_of_the_voice_does_not_seem_dead(graph: Graph, tiny_models: Path) -> None:
    """Nothing new may be wanted for minutes, and within one process the middleware does not tell that it lives."""
    graph.perception(tiny_models)
    guidance, voice = graph.guidance(), graph.add(SpeechNode, ros={"backend": "text", "language": "de"})
    heard, client = graph.listen(Instruction, "spoken"), graph.client()
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    until(lambda: voice.watch.wanted, what="word of what is looked for")
    time.sleep(NOTICED_S)
    assert guidance.is_active
    assert RESTARTING not in [said.text for said in heard.messages]


def test_a_search_that_was_stopped_does_not_come_back(graph: Graph, tiny_models: Path) -> None:
    """Who said stop, and then has perception started anew, hears nothing more of it."""
    guidance, perception = graph.guidance(), graph.perception(tiny_models)
    heard, client = graph.listen(Instruction, "instruction"), graph.client()
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    heard.wait_for(lambda said: "Looking for" in said.text)
    until(lambda: guidance._told_wanted, what="word of what is looked for")
    client.stop()
    until(lambda: not guidance._told_wanted, what="word that nothing is looked for")
    for step in ("deactivate", "cleanup", "configure", "activate"):
        getattr(perception, f"trigger_{step}")()
    assert client.clear_target().message == "Nothing was being looked for."


def test_a_perception_started_anew_goes_on_with_the_search(graph: Graph, tiny_models: Path) -> None:
    """The same with lifecycle transitions, as a supervisor would do it."""
    graph.guidance()
    perception, heard, client = graph.perception(tiny_models), graph.listen(Instruction, "instruction"), graph.client()
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    heard.wait_for(lambda said: said.text == "Looking for Pack three.")
    for step in ("deactivate", "cleanup"):
        getattr(perception, f"trigger_{step}")()
    heard.messages.clear()
    for step in ("configure", "activate"):
        getattr(perception, f"trigger_{step}")()
    heard.wait_for(lambda said: said.text == "Looking for Pack three.")
