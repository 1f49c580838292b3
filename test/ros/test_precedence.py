"""What may wait leaves the cores to what must be in time, and nothing else changes."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shelfhelp_ros.nodes.precedence import give_way

LOWEST = 19


def precedence() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a precedence of their own on Linux only")
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
