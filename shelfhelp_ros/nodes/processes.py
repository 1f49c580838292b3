"""Parts of the graph as processes of their own, for programs that start them: the demo and the benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shelfhelp_ros.errors import ShelfHelpError

PATIENCE_SECONDS = 10.0
# Ctrl-C is this program's to answer: what it starts is in a session of its own, or at least in a group.
_SESSION: dict[str, Any] = {"start_new_session": True}
_GROUP: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else _SESSION


def private_domain() -> dict[str, str]:
    """Environment that keeps a trial to itself: a ROS domain of its own unless one is set, and this machine only."""
    domain = os.environ.get("ROS_DOMAIN_ID") or str(os.getpid() % 100 + 1)
    return {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def assist_command(*arguments: str) -> list[str]:
    """`shelfhelp assist` with these arguments, by this Python."""
    return [sys.executable, "-m", "shelfhelp_ros", "assist", *arguments]


def node_command(module: str, *arguments: str) -> list[str]:
    """The executable of a node in ``shelfhelp_ros.nodes``, by this Python."""
    return [sys.executable, "-c", f"from shelfhelp_ros.nodes.{module} import main; main()", *arguments]


@contextmanager
def running(command: Sequence[str], log: Path, together: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A command for as long as the block runs, its output in ``log``.

    Linux shares the cores between sessions first. ``together``: in this program's session, as nodes of one launch file
    are; threads that give way then do so for this program's, too. Else each has its own share of a busy machine.
    It is interrupted at the end, and killed when it does not end within ten seconds.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            **(_GROUP if together else _SESSION),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that a program that is told to end takes its processes along."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_alive(process: subprocess.Popen[bytes], what: str, log: Path) -> None:
    """Raise ShelfHelpError with the last line of its log when a process has ended."""
    if process.poll() is None:
        return
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it printed nothing"]
    raise ShelfHelpError(f"{what} ended with status {process.returncode}: {lines[-1]} (log: {log})")
