"""The group itself: its list of commands is true, and an error is one line with the right status."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from shelfhelp_ros import __version__
from shelfhelp_ros.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]


def shelfhelp(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shelfhelp_ros", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


def test_help_lists_every_command():
    """Every command stands in the help with what it does."""
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(name in output and words.split()[0] in output for name, words in COMMANDS.items())


@pytest.mark.parametrize("name", ["detect", "embed", "find", "products"])
def test_commands_exist(name):
    """The name leads to a module with a command of that name."""
    assert importlib.import_module(f"shelfhelp_ros.cli.{name}").command.name == name


def test_help_is_light():
    """Asking for help loads neither networks nor ROS."""
    code = (
        "import sys, click.testing, shelfhelp_ros.cli.main as m; click.testing.CliRunner().invoke(m.cli, ['--help']);"
    )
    code += "print([n for n in ('onnxruntime', 'cv2', 'rclpy', 'faiss') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_version():
    """The version is that of the package."""
    assert __version__ in CliRunner().invoke(cli, ["--version"]).output


def test_statuses():
    """An unknown command is a usage error (2), a wrong input an error (1), both without a traceback."""
    usage, wrong = shelfhelp("detekt"), shelfhelp("detect", "x.png", "--models", "nowhere")
    assert (usage.returncode, wrong.returncode) == (2, 1)
    assert "No such command" in usage.stderr
    assert wrong.stderr.startswith("shelfhelp: error: nowhere/detector.onnx is missing")
    assert "Traceback" not in usage.stderr + wrong.stderr


def test_reader_that_leaves_early(tmp_path):
    """A pipe that is closed, as by head, ends the command quietly."""
    done = subprocess.run(
        f"{sys.executable} -m shelfhelp_ros products list --json | true",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "SHELFHELP_CATALOGUE": str(tmp_path / "c.db")},
        check=False,
    )
    assert "Traceback" not in done.stderr
