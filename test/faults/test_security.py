"""The security policy allows what the nodes open on the graph, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from node_surface import Surface, surface_of
from ros_graph import Graph, until

from shelfhelp_ros import nodes
from shelfhelp_ros.nodes import cameras
from shelfhelp_ros.nodes.client import AssistantClient
from shelfhelp_ros.nodes.guidance_node import GuidanceNode
from shelfhelp_ros.nodes.hand_node import HandNode
from shelfhelp_ros.nodes.haptics_node import HapticsNode
from shelfhelp_ros.nodes.recorder_node import RecorderNode
from shelfhelp_ros.nodes.speech_node import SpeechNode
from shelfhelp_ros.resources import config_folder

RULES = {
    "topics": ("topic", {"publish", "subscribe"}),
    "services": ("service", {"reply", "request"}),
    "actions": ("action", {"execute", "call"}),
}


def policy() -> ElementTree.Element:
    return ElementTree.parse(config_folder() / "security" / "policy.xml").getroot()


def profiles() -> Iterator[tuple[str, ElementTree.Element]]:
    for enclave in policy().iter("enclave"):
        for profile in enclave.iter("profile"):
            yield enclave.attrib["path"], profile


def allowed(profile: ElementTree.Element) -> Surface:
    """Full names by what may be done with them."""
    found: Surface = {}
    for block in profile:
        ((permission, verdict),) = block.attrib.items()
        assert verdict == "ALLOW"
        for entry in block:
            name = f"/{entry.text}".replace("/~", f"/{profile.attrib['node']}")
            found.setdefault((block.tag, permission), set()).add(name)
    return found


def test_the_policy_has_the_form_that_sros2_reads() -> None:
    """Version 0.2.0: enclaves, profiles, and blocks of one permission with entries of one kind; nothing by wildcard."""
    assert policy().attrib == {"version": "0.2.0"}
    for path, profile in profiles():
        assert path.startswith("/shelfhelp/")
        assert set(profile.attrib) == {"ns", "node"}
        for block in profile:
            item, permissions = RULES[block.tag]
            assert set(block.attrib) <= permissions
            assert {entry.tag for entry in block} == {item}
            assert all(entry.text and not set(entry.text) & set("*? ") for entry in block)


def test_the_policy_is_what_the_nodes_open(graph: Graph, tiny_models: Path) -> None:
    """With a name too few a node does not start under it; with one too many somebody may do what nobody needs."""
    for node in opened(graph, tiny_models):
        wanted = allowed(next(profile for _, profile in profiles() if profile.attrib["node"] == node.get_name()))
        # A node listens to raw or to compressed pictures, as it is configured.
        subscribed = wanted.get(("topics", "subscribe"), set())
        subscribed -= {f"/{cameras.COMPRESSED}"}
        until(
            lambda node=node, wanted=wanted: surface_of(node, graph.node) == wanted,
            what=difference(node, graph, wanted),
        )


def test_every_node_but_the_simulation_is_in_the_policy(graph: Graph, tiny_models: Path) -> None:
    """What runs beside a camera needs keys, also what few people start; and each is held against what it opens."""
    started = {path.stem.removesuffix("_node") for path in Path(nodes.__file__).parent.glob("*_node.py")}
    listed = {profile.attrib["node"] for _, profile in profiles()}
    assert listed == started - {"simulation"} | {"shelfhelp_client"}
    assert listed == {node.get_name() for node in opened(graph, tiny_models)}


def opened(graph: Graph, models: Path) -> list[Any]:
    """Every node of the policy, configured with all that it may open."""
    (graph.folder / "wav").mkdir()
    perception = graph.perception(models, active=False)
    guidance, hand = graph.add(GuidanceNode), graph.add(HandNode, ros={"source": "aruco"})
    for node in (perception, guidance, hand):
        node.trigger_configure()
    speech = graph.add(SpeechNode, ros={"backend": "text", "tones": True, "wav_folder": graph.folder / "wav"})
    recorder = graph.add(RecorderNode, ros={"folder": graph.folder})
    return [perception, guidance, hand, speech, recorder, graph.add(HapticsNode), graph.add(AssistantClient)]


def difference(node: Any, graph: Graph, wanted: Surface) -> str:
    real = surface_of(node, graph.node)
    keys = sorted({*real, *wanted})
    lines = [f"{key}: {sorted(real.get(key, set()) ^ wanted.get(key, set()))}" for key in keys]
    return f"{node.get_name()} as in the policy; at first it differed in {'; '.join(lines)}, so that"
