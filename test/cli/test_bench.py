"""``shelfhelp bench --gpu`` where there is no GPU."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

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
