"""A node that is killed in the middle of a search and started again: the search goes on by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from faulty_assistant import LOST, Stream, is_direction
from ros_graph import Graph, photo_of, until
from shelfhelp_interfaces.msg import Instruction

from shelfhelp_ros.nodes.processes import running

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
    with started(perception, guidance, speech):
        client.wait_for_assistant()
        client.enrol_product("Pack three", [photo_of(3)])
        until(lambda: heard.messages, lambda: client.set_target("Pack three"), "the first words")
        stream.start()
        heard.wait_for(is_direction)
        for node in (guidance, perception, speech):
            node.kill()
            heard.messages.clear()
            if node is perception:
                heard.wait_for(lambda said: said.text == LOST)
            node.start()
            if node is not speech:
                heard.wait_for(lambda said: said.text == "Looking for Pack three.")
            heard.wait_for(is_direction)
        stream.close()
        for node in (guidance, perception, speech):
            assert "Traceback" not in node.written
            assert "internal error" not in node.written


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
