"""A working folder in which `shelfhelp-train` learns six drawn packs within seconds, and its commands at hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml
from drawn_products import photograph_products

CLASSES, EPOCHS = 6, 12


def lay_out(folder: Path) -> None:
    """Write photographs of the packs, four to learn each from and two held out, and ``packs.yaml`` that names them."""
    photograph_products(folder / "train", seed=1, count=CLASSES, photos=6, height=40, width=32)
    for photo in sorted((folder / "train").glob("*/1-[45].png")):
        (folder / "held_out" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        photo.rename(folder / "held_out" / photo.parent.name / photo.name)
    held_out = [{"kind": "folders", "name": "packs", "path": "held_out"}]
    config = {
        "seed_everything": 5,
        "trainer": {
            "accelerator": "cpu", "max_epochs": EPOCHS, "log_every_n_steps": 1, "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        "model": {
            "backbone": "test_resnet", "pretrained": False, "image_size": 32, "warm_up": 2, "learning_rate": 3e-3,
        },
        "data": {
            "size": 36, "batch_size": 8, "refuse_shared": False, "cache": None, "validate": held_out, "test": held_out,
            "train": [{"kind": "folders", "name": "packs", "path": "train"}],
        },
    }  # fmt: skip
    (folder / "packs.yaml").write_text(yaml.safe_dump(config))


class Killed(pl.Callback):
    """Kills the process of a training whose name ends in ``run`` in the middle of an epoch, as a power cut would."""

    def __init__(self, epoch: int = 2, run: str = "") -> None:
        self.epoch, self.run = epoch, run

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        if trainer.current_epoch == self.epoch and trainer.default_root_dir.endswith(self.run):
            os.kill(os.getpid(), signal.SIGKILL)


# Where another process finds our package and the parts of these tests.
PATHS = os.pathsep.join(map(str, (Path(__file__).resolve().parents[2], Path(__file__).parent)))


def process(*arguments: str) -> subprocess.Popen[str]:
    """`shelfhelp-train` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "shelfhelp_training", *arguments], text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def command(main: Callable[[], object], *arguments: str) -> int:
    """One of our commands (`train_main`, …) in this process; returns its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["shelfhelp", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
    return int(stopped.value.code or 0)
