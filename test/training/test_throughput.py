"""The command that measures how many pictures a second a training takes in; not how many, as machines differ."""

from __future__ import annotations

import importlib.util
import json

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import torch
from click.testing import CliRunner

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.commands.evaluate_throughput import command
from shelfhelp_training.evaluation import throughput

SMALL = [
    "--backbone",
    "test_resnet",
    "--size",
    "32",
    "--batch",
    "4",
    "--steps",
    "1",
    "--rounds",
    "1",
    "--device",
    "cpu",
]


def test_contenders_run_and_their_ratios_are_printed() -> None:
    """The whole pipeline, the network alone and, where it is installed, the library's example, each for real."""
    result = CliRunner().invoke(command, SMALL)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["setting"]["batch"] == 4
    for kind in ("by_clock", "by_processor"):
        speeds = found[kind]["pictures_a_second"]
        assert len(speeds) == 2 + (importlib.util.find_spec("lightly") is not None)
        assert all(speed > 0 for speed in speeds.values())
        assert found[kind]["pipeline_share"] == pytest.approx(
            speeds["whole pipeline"] / speeds["network alone"], rel=0.02
        )


@pytest.mark.parametrize(
    ("more", "words"), [(["--rounds", "0"], "at least 1"), (["--backbone", "nonet"], "no network")]
)
def test_wrong_settings_are_said_in_one_line(more: list[str], words: str) -> None:
    """Before anything is measured."""
    with pytest.raises(ShelfHelpError, match=words):
        CliRunner().invoke(command, [*SMALL, *more], catch_exceptions=False)


@pytest.mark.parametrize("make", ["our_steps", "network_steps", "lightly_steps"])
def test_contenders_compute_in_the_same_precision(make, monkeypatch, tmp_path) -> None:
    """On a GPU whole steps are in bfloat16, projection head and loss too; here the processor computes in it."""
    if make == "lightly_steps" and not throughput.lightly_is_there():
        pytest.skip("lightly is not installed")
    setting = throughput.Setting("test_resnet", size=32, batch=4)
    assert not throughput._precision(setting)._enabled
    monkeypatch.setattr(throughput, "_precision", lambda setting: torch.autocast("cpu", torch.bfloat16))
    types: set[torch.dtype] = set()

    def watch(module: torch.nn.Module, inputs: object, output: object) -> None:
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            types.add(output.dtype)

    step = getattr(throughput, make)(setting, *([] if make == "network_steps" else [tmp_path]))
    handle = torch.nn.modules.module.register_module_forward_hook(watch)
    try:
        step()
    finally:
        handle.remove()
    assert types == {torch.bfloat16}
