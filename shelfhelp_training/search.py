"""Search for good settings of a training, with Optuna, kept in a file so that it can be interrupted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS
from shelfhelp_training.run_folder import write_json
from shelfhelp_training.training import TrainingCLI

try:
    import optuna
except ImportError as error:
    raise ShelfHelpError("tune needs Optuna; install it with: pip install 'shelfhelp[tune]'") from error

# A trial whose process has shown no sign of life for so many seconds was killed, and is tried again.
HEARTBEAT, SILENCE = 15, 60
FORMS = "KEY=log:LOW:HIGH, KEY=float:LOW:HIGH, KEY=int:LOW:HIGH or KEY=A,B,…"


@dataclass(frozen=True)
class Dimension:
    """One setting to search: its key, how it is drawn (``log``, ``float``, ``int``, ``choice``) and from what."""

    key: str
    kind: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """Of ``model.learning_rate=log:1e-5:1e-1`` and the like. Raises ShelfHelpError when it is not of that form."""
        key, equals, of = text.partition("=")
        kind, colon, limits = of.partition(":")
        try:
            if key and equals and kind in ("log", "float", "int"):
                low, high = (float(limit) for limit in limits.split(":"))
                if low < high and (kind != "log" or low > 0):
                    return cls(key, kind, tuple(limits.split(":")))
            elif key and of and not colon:
                return cls(key, "choice", tuple(of.split(",")))
        except ValueError:
            pass
        raise ShelfHelpError(f"--search {text} is not of the form {FORMS}, LOW below HIGH")

    def draw(self, trial: optuna.Trial) -> str:
        """A value for a trial, as a flag has it."""
        if self.kind == "choice":
            return str(trial.suggest_categorical(self.key, self.values))
        low, high = self.values
        if self.kind == "int":
            return str(trial.suggest_int(self.key, int(low), int(high)))
        return repr(trial.suggest_float(self.key, float(low), float(high), log=self.kind == "log"))


class Watch(pl.Callback):
    """Tells a trial the figure after every validation, and ends one that falls behind; ``best`` is the best so far."""

    def __init__(self, trial: optuna.Trial, monitor: str, mode: str) -> None:
        self.trial, self.monitor, self.better = trial, monitor, max if mode == "max" else min
        self.best: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ShelfHelpError(f"the training measures no {self.monitor}; --monitor one of: {known}")
        if math.isfinite(float(value)):
            self.best = float(value) if self.best is None else self.better(self.best, float(value))
        self.trial.report(float(value), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class Search:
    """A search in ``folder`` (runs/METHOD/NAME): ``study.db``, a run's folder for each trial, the best settings.

    Args:
        method: which method.
        folder: see above.
        search: the settings, see `Dimension.parse`.
        monitor, mode: figure, and whether more or less of it is better.
        seed: of the sampler.
        prune: stop trials that are worse than the median of the earlier ones at the same epoch.
    """

    def __init__(
        self,
        method: str,
        folder: Path,
        search: Sequence[str],
        monitor: str,
        mode: Literal["min", "max"],
        seed: int = 0,
        prune: bool = True,
    ) -> None:
        if not monitor:
            raise ShelfHelpError(f"{method} has no figure of its own to improve; give --monitor")
        self.method, self.folder, self.monitor, self.mode = method, folder, monitor, mode
        self.dimensions = [Dimension.parse(text) for text in search]
        folder.mkdir(parents=True, exist_ok=True)
        retry = optuna.storages.RetryFailedTrialCallback(max_retry=3)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder / 'study.db'}", heartbeat_interval=HEARTBEAT, grace_period=SILENCE,
            failed_trial_callback=retry,
        )  # fmt: skip
        self.study = optuna.create_study(
            storage=storage,
            study_name=method,
            load_if_exists=True,
            direction="maximize" if mode == "max" else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed + self._tried(storage)),
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=1) if prune else optuna.pruners.NopPruner(),
        )

    def _tried(self, storage: Any) -> int:
        """How many trials there are: a search that goes on must not draw again what it drew at first."""
        names = optuna.get_all_study_names(storage)
        return len(optuna.load_study(study_name=self.method, storage=storage).trials) if self.method in names else 0

    def run(self, trials: int, arguments: Sequence[str]) -> None:
        """Go on until there are so many trials that ended, each a run of ``shelfhelp-train METHOD`` + arguments."""
        left = trials - self._ended()
        if left > 0:
            self.study.optimize(lambda trial: self._try(trial, arguments), n_trials=left, show_progress_bar=True)

    def _ended(self) -> int:
        """How many trials came to an end; one that was killed or failed is none of them."""
        states = [optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED]
        return len(self.study.get_trials(deepcopy=False, states=states))

    def _try(self, trial: optuna.Trial, arguments: Sequence[str]) -> float:
        flags = [f"--{dimension.key}={dimension.draw(trial)}" for dimension in self.dimensions]
        watch = Watch(trial, self.monitor, self.mode)
        name = f"{self.folder.name}/trial{trial.number:03}"
        TrainingCLI(self.method, METHODS[self.method], [*arguments, *flags, "--name", name], callbacks=[watch])
        return math.nan if watch.best is None else watch.best

    def write_best(self) -> dict[str, Any]:
        """The best trial so far: its run, figure and flags; also in ``best.json``, with the history as a picture."""
        try:
            best = self.study.best_trial
        except ValueError as error:
            raise ShelfHelpError(f"no trial in {self.folder} came to an end; see above why") from error
        found = {
            "run": str(self.folder / f"trial{best.number:03}"),
            self.monitor: best.value,
            "flags": " ".join(f"--{key} {value}" for key, value in best.params.items()),
        }
        write_json(self.folder / "best.json", {**found, "settings": best.params, "trials": self._ended()})
        self._draw(self.folder / "history.png")
        return found

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        ended = [trial for trial in self.study.trials if trial.value is not None]
        figure = Figure(figsize=(4 * (1 + len(self.dimensions)), 3.2), layout="constrained")
        axes = figure.subplots(1, 1 + len(self.dimensions), sharey=True, squeeze=False)[0]
        axes[0].plot([trial.number for trial in ended], [trial.value for trial in ended], "o", markersize=4)
        axes[0].set(xlabel="trial", ylabel=self.monitor)
        for axis, dimension in zip(axes[1:], self.dimensions, strict=True):
            # Earlier calls may have searched other settings.
            of = [trial for trial in ended if dimension.key in trial.params]
            axis.plot([t.params[dimension.key] for t in of], [t.value for t in of], "o", markersize=4)
            axis.set_xlabel(dimension.key)
            if dimension.kind == "log":
                axis.set_xscale("log")
        figure.savefig(path, dpi=90)
