"""What ``shelfhelp bench`` reads of a process, and its ``--gpu`` where there is no GPU."""

from __future__ import annotations

import os
import sys
import time

import pytest
from click.testing import CliRunner

from shelfhelp_ros.benchmark.figures import peak_memory_mb, processor_seconds
from shelfhelp_ros.cli.bench import command
from shelfhelp_ros.inference import cuda


def test_without_a_gpu_one_line_says_what_is_missing() -> None:
    """Before anything is rendered or loaded."""
    missing = cuda.obstacle()
    if not missing:
        pytest.skip("this machine has a GPU")
    pytest.importorskip("mujoco", reason="MuJoCo renders the shelf")
    answer = CliRunner().invoke(command, ["--gpu"])
    assert str(answer.exception) == f"`bench --gpu` measures on an NVIDIA GPU, and {missing}; leave out --gpu"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells it in /proc")
def test_processor_time_is_what_was_computed() -> None:
    """Time that passes without work is none of it; a process that is gone has no figure."""
    began, own = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    time.sleep(0.3)
    worked = processor_seconds(os.getpid()) - began
    assert worked == pytest.approx(time.process_time() - own, abs=0.05)
    assert processor_seconds(2**22 + 1) != processor_seconds(2**22 + 1)
    assert 1 < peak_memory_mb(os.getpid()) < 1e5
