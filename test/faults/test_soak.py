"""A long run keeps memory, threads and files flat; SHELFHELP_SOAK_SECONDS is its length (180 in CI)."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from faulty_assistant import Assistant
from soak import FLAT_MB, growth, run, table, warm

SECONDS = float(os.environ.get("SHELFHELP_SOAK_SECONDS", "60"))


@pytest.mark.timeout(SECONDS + 600)
def test_a_long_run_keeps_nothing(assistant: Assistant) -> None:
    """Searches, enrolments, parameters and a camera that comes and goes leave no memory, thread or file behind."""
    samples = run(assistant, SECONDS, max(2.0, SECONDS / 30), lambda one: None)
    print(table(samples))
    held = warm(samples)
    assert growth(samples) < FLAT_MB
    assert held[-1].threads <= held[0].threads + 1
    assert held[-1].files <= held[0].files + 2
    assert samples[-1].frames > samples[0].frames
