"""What ``shelfhelp bench`` reads of a process, and its ``--gpu`` where there is no GPU."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from shelfhelp_ros.benchmark import gpu
from shelfhelp_ros.benchmark.figures import peak_memory_mb, processor_seconds
from shelfhelp_ros.cli.bench import Run, command
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda
from shelfhelp_ros.inference.session import KINDS, Kind, Session
from shelfhelp_ros.resources import config_folder


def test_without_a_gpu_one_line_says_what_is_missing() -> None:
    """Before anything is rendered or loaded."""
    missing = cuda.obstacle()
    if not missing:
        pytest.skip("this machine has a GPU")
    pytest.importorskip("mujoco", reason="MuJoCo renders the shelf")
    answer = CliRunner().invoke(command, ["--gpu"])
    assert str(answer.exception) == f"`bench --gpu` measures on an NVIDIA GPU, and {missing}; leave out --gpu"


def test_a_backend_that_does_not_run_has_a_row_that_says_so(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs its own figures, not the table."""

    def refuse(model: Path, threads: int | None) -> Session:
        raise ShelfHelpError("does not know this GPU")

    monkeypatch.setitem(KINDS, "tensorrt", Kind(lambda: "", refuse))
    monkeypatch.setattr(gpu, "ROUNDS", 3)
    image, boxes = np.zeros((64, 64, 3), np.uint8), np.array([[0, 0, 32, 32]], np.float32)
    refused, *measured = (
        row for kind in ("tensorrt", "cpu") for row in gpu.measure_backend(tiny_models, kind, image, boxes)
    )
    assert (refused["runner"], refused["p50 ms"], refused["remark"]) == ("tensorrt", "", "does not know this GPU")
    assert [(row["runner"], row["stage"]) for row in measured] == [("cpu", "detect"), ("cpu", "embed 1")]
    assert all(float(str(row["p50 ms"])) > 0 for row in measured)


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


def test_a_run_with_other_threads_changes_nothing_else(tmp_path: Path) -> None:
    """What was chosen stands in the table, and only the networks' threads differ from the configuration of users."""
    run = Run(threads=3)
    assert (run.named(), Run("events").named()) == ({"threads": 3}, {"executor": "events"})
    own = yaml.safe_load((config_folder() / "assist.yaml").read_text(encoding="utf-8"))
    written = yaml.safe_load(run.configuration(tmp_path).read_text(encoding="utf-8"))
    assert own["/**/perception"]["ros__parameters"]["threads"] == 0
    own["/**/perception"]["ros__parameters"]["threads"] = 3
    assert written == own
