"""What a card says about how a model was made, gathered while it is trained and kept in its checkpoints."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

REPOSITORY = Path(__file__).resolve().parents[1]


class TrainingRecord(pl.Callback):
    """Keeps the command, seed, commit, machine, seconds and steps of a training in every checkpoint.

    A training that starts from another one's weights (``start_from`` among the module's settings) carries the other's
    record along under ``before``. A data module may have a ``description``: its sources, as anything JSON can hold.
    """

    def __init__(self) -> None:
        self.earlier_seconds = 0.0
        self.started = time.monotonic()
        self.facts: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.started = time.monotonic()
        self.facts = training_facts(trainer, module)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        seconds = self.earlier_seconds + time.monotonic() - self.started
        checkpoint["record"] = {**self.facts, "seconds": round(seconds), "steps": trainer.global_step}

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.earlier_seconds = float(checkpoint.get("record", {}).get("seconds", 0.0))


def training_facts(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    """Command, seed, commit, machine, PyTorch's version, the data's description and the record of what came before."""
    facts: dict[str, Any] = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": int(os.environ.get("PL_GLOBAL_SEED", "-1")),
        "commit": current_commit(),
        "machine": machine() + gpu_of(trainer),
        "torch": torch.__version__,
    }
    description = getattr(getattr(trainer, "datamodule", None), "description", None)
    if description is not None:
        facts["data"] = description
    start_from = module.hparams.get("start_from")
    if start_from:
        facts["before"] = read_record(Path(start_from))
    return facts


def read_record(checkpoint: Path) -> dict[str, Any]:
    """The record inside a checkpoint; empty when it was written without one."""
    record: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False).get("record", {})
    return record


def current_commit() -> str:
    """The checkout's commit, with ``+`` where training code has changed since; ``unknown`` outside a checkout."""
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "shelfhelp_training", "config/training")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def machine() -> str:
    """Processor and threads in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = f"{len(names)} × {names[0]}" if names else model
    return f"{model}, {torch.get_num_threads()} training threads"


def gpu_of(trainer: pl.Trainer) -> str:
    """The GPU that a training runs on, after a comma; empty where it runs on the processor."""
    device = trainer.strategy.root_device
    return f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""


def _git(*arguments: str) -> str:
    finished = subprocess.run(
        ["git", "-C", str(REPOSITORY), *arguments], check=True, capture_output=True, text=True
    )  # fmt: skip
    return finished.stdout.strip()
