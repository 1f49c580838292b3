"""A private ROS graph: a domain of its own, this machine only."""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"


# The next test of this process takes the next domain: what the one before leaves in the air must not reach it.
_steps = itertools.count()


@contextmanager
def domain_taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A domain id that no other test uses at this time, on this machine; subprocesses inherit it."""
    for step in itertools.islice(_steps, 100):
        domain = 1 + (os.getpid() + step) % 100
        with (Path(tempfile.gettempdir()) / f"shelfhelp_test_domain_{domain}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
            # Set by the code under test where nobody set them before; the next test begins as this one did.
            for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
                monkeypatch.setenv(name, os.environ.get(name, ""))
            yield domain
            return
    pytest.fail("every ROS domain from 1 to 100 is in use")


@contextmanager
def graph_on(domain: int, folder: Path) -> Iterator["Graph"]:  # noqa: F821, UP037
    """Nodes that spin in this process, on a context of their own."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
    from ros_graph import Graph

    made = Graph(domain, folder)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain for one test."""
    with domain_taken(monkeypatch) as domain:
        yield domain


@pytest.fixture
def graph(ros_domain: int, tmp_path: Path) -> Iterator["Graph"]:  # noqa: F821, UP037
    """A graph for one test."""
    with graph_on(ros_domain, tmp_path) as made:
        yield made
