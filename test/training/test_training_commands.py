"""`shelfhelp-train`, `shelfhelp-export`, `shelfhelp-evaluate`: what a user meets when something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

REPOSITORY = Path(__file__).resolve().parents[2]


def run(command: str, *arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    code = f"from shelfhelp_training.cli import {command}_main as main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "SHELFHELP_DATA": str(cwd), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("command", ["train", "export", "evaluate"])
def test_help_names_the_subcommands_without_loading_torch(command: str) -> None:
    """Help is quick and complete."""
    finished = run(command, "--help")
    assert finished.returncode == 0
    expected = {"train": "detector", "export": "encoder", "evaluate": "retrieval"}[command]
    assert expected in finished.stdout


def test_an_unknown_method_is_refused() -> None:
    """The methods there are are named."""
    finished = run("train", "dectector", "fit")
    assert finished.returncode == 2
    assert "classifier" in finished.stderr
    assert "detector" in finished.stderr


def test_missing_photos_are_one_clear_line(tmp_path: Path) -> None:
    """Training without the data says which folder is missing and which variable names it."""
    config = REPOSITORY / "config" / "training" / "detector.yaml"
    finished = run("train", "detector", "fit", "--config", str(config), "--model.pretrained=false", cwd=tmp_path)
    assert finished.returncode == 1
    assert "SHELFHELP_DATA" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_missing_annotations_are_one_clear_line(tmp_path: Path) -> None:
    """Evaluation of nothing names the file."""
    finished = run("evaluate", "detection", "--annotations", "nowhere.json", cwd=tmp_path)
    assert finished.returncode == 1
    assert "nowhere.json" in finished.stderr
    assert "Traceback" not in finished.stderr
