"""What may wait leaves the cores to what must be in time, and nothing else changes."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from ros_graph import Graph

from shelfhelp_ros.nodes.precedence import give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows a precedence of threads")
LOWEST = 19


def precedence() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_and_those_it_starts_give_way() -> None:
    """As the threads of a network do; those that were there before keep theirs, and nobody is the last of all twice."""
    before = precedence()
    with ThreadPoolExecutor(1, initializer=give_way) as pool:
        lower = pool.submit(precedence).result()
        started = pool.submit(lambda: ThreadPoolExecutor(1).submit(precedence).result()).result()
        for _ in range(4):
            pool.submit(give_way).result()
        assert pool.submit(precedence).result() == LOWEST
    assert lower == started == min(LOWEST, before + 5)
    assert precedence() == before


def test_networks_give_way_to_what_follows_the_products(graph: Graph, tiny_models: Path) -> None:
    """Detection, embedding and the second look do; the worker that takes the pictures does not."""
    before = precedence()
    graph.perception(tiny_models)
    threads = {thread.name: thread.native_id for thread in threading.enumerate()}
    found = {name: os.getpriority(os.PRIO_PROCESS, threads[name] or 0) for name in ("networks_0", "second_look")}
    assert found == dict.fromkeys(found, min(LOWEST, before + 5))
    assert os.getpriority(os.PRIO_PROCESS, threads["perception_worker"] or 0) == before
