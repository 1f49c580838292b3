"""The folder of one training run: its configuration, checkpoints, figures and plots, and where the data came from."""

from __future__ import annotations

import csv
import json
import math
import os
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities import rank_zero_only

from shelfhelp_training.curves import draw_curves
from shelfhelp_training.data.hashes import source_hashes
from shelfhelp_training.record import training_facts

# Tells the other processes of a training on several devices what the first one named the run.
NAME_VARIABLE = "SHELFHELP_RUN_NAME"


@dataclass(frozen=True)
class RunFolder:
    """``runs/METHOD/NAME``: ``config.yaml``, ``run.json``, ``metrics.csv``, ``checkpoints/``, ``plots/``."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def record(self) -> Path:
        return self.folder / "run.json"

    @property
    def metrics(self) -> Path:
        return self.folder / ExperimentWriter.NAME_METRICS_FILE

    def best_checkpoint(self) -> Path | None:
        """``best.ckpt`` where a figure was watched, else the newest checkpoint; None without any."""
        best = self.checkpoints / "best.ckpt"
        return best if best.is_file() else newest_checkpoint([self.checkpoints])

    def checkpoint_callbacks(self, monitor: str, mode: str) -> list[ModelCheckpoint]:
        """Keep ``last.ckpt``, written after every epoch, and ``best.ckpt`` by the figure ``monitor``, if any."""
        common: dict[str, Any] = {"dirpath": self.checkpoints, "enable_version_counter": False}
        last = ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **common)
        return [last, *([ModelCheckpoint(filename="best", monitor=monitor, mode=mode, **common)] if monitor else [])]


def newest_checkpoint(folders: Iterable[Path]) -> Path | None:
    """The checkpoint written last in any of the folders, those aside that a kill has left unfinished."""
    found = [path for folder in folders for path in folder.glob("*.ckpt") if zipfile.is_zipfile(path)]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def newest_run(method: Path) -> RunFolder | None:
    """The run in the folder ``runs/METHOD`` that was started or resumed last; None without any."""
    records = list(method.glob("*/run.json"))
    return RunFolder(max(records, key=lambda path: path.stat().st_mtime_ns).parent) if records else None


def is_first_process() -> bool:
    """Of those that train on several devices, before Lightning's trainer could tell; elsewhere always."""
    return getattr(rank_zero_only, "rank", 0) == 0


def new_name() -> str:
    """A name by the time, for a run that was given none; the same in every process of a training."""
    if is_first_process():
        os.environ[NAME_VARIABLE] = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return os.environ[NAME_VARIABLE]


class RunLogger(CSVLogger):
    """Lightning's, but a resumed run goes on in its ``metrics.csv`` instead of deleting it, and every line is kept."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run.folder, name="", version="", flush_logs_every_n_steps=1)

    @property
    def experiment(self) -> Any:
        if self._experiment is None and is_first_process():
            self._experiment = _ContinuedWriter(self.log_dir)
        return super().experiment


class _ContinuedWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            with open(self.metrics_file_path, encoding="utf-8", newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


class RunRecord(pl.Callback):
    """Writes ``run.json`` when a training starts and ends, the curves when it ends, and the figures of other steps.

    ``run.json`` holds what a checkpoint's record holds, and: the commands (several after resuming), when the run was
    started, hashes of the data, whether it finished, seconds, epochs and steps, and the last figures. The steps
    ``validate`` and ``test`` write theirs to ``validate.json`` and ``test.json``.
    """

    def __init__(self, run: RunFolder, method: str, step: str) -> None:
        self.run, self.method, self.step = run, method, step
        self.started = time.monotonic()
        self.facts: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if _is_trial(trainer) or not trainer.is_global_zero:
            return
        resumed = trainer.ckpt_path and self.run.record.is_file()
        before = json.loads(self.run.record.read_text(encoding="utf-8")) if resumed else {}
        facts = training_facts(trainer, module)
        self.started = time.monotonic() - before.get("seconds", 0)
        self.facts = {
            "method": self.method,
            "commands": [*before.get("commands", []), facts.pop("command")],
            "started": before.get("started", datetime.now(timezone.utc).isoformat(timespec="seconds")),
            **facts,
            "data_hashes": source_hashes(getattr(trainer, "datamodule", None)),
            "devices": trainer.world_size,
        }
        self._write(trainer, finished=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._write(trainer, finished=False)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._write(trainer, finished=True)
        self._draw()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.facts and self.run.metrics.is_file():
            draw_curves(self.run.metrics, self.run.folder / "plots")

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.step == "validate":
            self._write_figures(trainer)

    def on_test_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._write_figures(trainer)

    def _write_figures(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and not _is_trial(trainer):
            checkpoint = str(trainer.ckpt_path) if trainer.ckpt_path else None
            write_json(self.run.folder / f"{self.step}.json", {"checkpoint": checkpoint, "figures": _figures(trainer)})

    def _write(self, trainer: pl.Trainer, finished: bool) -> None:
        if self.facts:
            now = {
                "finished": finished,
                "seconds": round(time.monotonic() - self.started, 1),
                "epochs": trainer.current_epoch,
                "steps": trainer.global_step,
                "figures": _figures(trainer),
            }
            write_json(self.run.record, {**self.facts, **now})


def _is_trial(trainer: pl.Trainer) -> bool:
    """Whether ``fast_dev_run`` asks for a few batches that leave nothing behind."""
    return bool(getattr(trainer, "fast_dev_run", False))


def _figures(trainer: pl.Trainer) -> dict[str, float]:
    """The last figures by name, those aside that are no numbers."""
    known = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    return {name: value for name, value in known.items() if math.isfinite(value)}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Written beside it and then moved, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    unfinished.replace(path)
