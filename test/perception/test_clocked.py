"""How long is taken beside the frames is told once, call by call."""

from __future__ import annotations

import threading
import time

import pytest

from shelfhelp_ros.perception.clocked import Clocked


def test_each_call_is_told_once() -> None:
    """The mean of those that ended since; nothing where none did, and nothing of one that goes on."""
    slowly = Clocked(time.sleep)
    assert slowly.take_ms() is None
    slowly(0.02)
    slowly(0.04)
    took = slowly.take_ms()
    assert took is not None
    assert took >= 30
    assert slowly.take_ms() is None
    go_on = threading.Event()
    waiting = Clocked(go_on.wait)
    thread = threading.Thread(target=waiting)
    thread.start()
    assert waiting.take_ms() is None
    go_on.set()
    thread.join()
    assert waiting.take_ms() is not None


def test_what_fails_is_raised_and_told() -> None:
    """A network that fails took its time, too."""
    failing = Clocked(int)
    with pytest.raises(ValueError, match="pears"):
        failing("pears")
    assert failing.take_ms() is not None
