"""Measured perception: a new latency is taken in without measuring the rest anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from shelfhelp_ros.benchmark.perception_noise import CASE, in_processes, main, runs_of
from shelfhelp_ros.simulation.perception_noise import MEASURED, PerceptionNoise


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """What ``shelfhelp bench --json`` writes of the case that counts."""
    row = {"size": CASE[0], "in view": CASE[1], "target p50": 80.0, "target p95": 140.0, "updates/s": 13.0}
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"commit": "0123abc", "ros": [row]}))
    return path


def test_the_latency_alone_is_taken_in(tmp_path: Path, bench: Path) -> None:
    """Runs and packs in the hand stay as they were measured; the file says which commit the latency is of."""
    measured = tmp_path / "noise.yaml"
    shutil.copy(MEASURED, measured)
    done = CliRunner().invoke(main, [str(measured), "--bench", str(bench), "--latency"])
    assert done.exit_code == 0, done.output
    before, after = PerceptionNoise.load(), PerceptionNoise.load(measured)
    assert (after.latency, after.latency_p95) == (0.08, 0.14)
    assert after.facts["latency"]["commit"] == "0123abc"
    assert len(after.runs) == len(before.runs)
    assert after.held == before.held


@pytest.mark.parametrize("content", ["{}", '{"ros": []}', "no JSON"])
def test_another_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    """What is missing, and nothing is written."""
    bench, output = tmp_path / "bench.json", tmp_path / "noise.yaml"
    bench.write_text(content)
    done = CliRunner().invoke(main, [str(output), "--bench", str(bench), "--latency"])
    assert done.exit_code == 2
    assert "holds no case 640x480 with 10 in view" in done.output
    assert not output.exists()


def test_cases_run_side_by_side_and_repeat_themselves() -> None:
    """A real run of a shelf, measured twice in processes of their own: the same row, with the seed that made it."""
    one, again = in_processes(runs_of, [(None, 0, "plain", 0.5, 1)] * 2)
    assert one == again
    assert (one["seed"], one["situation"], one["differ"]) == (1, "plain", "")
    assert sum(one["clear"].values()) > 10
