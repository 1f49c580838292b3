"""``shelfhelp-train METHOD fit|validate|test|predict``: Lightning's command line, with a folder for every run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import Method, load_class
from shelfhelp_training.epoch_seeds import EpochSeeds
from shelfhelp_training.record import TrainingRecord
from shelfhelp_training.run_folder import (
    RunFolder,
    RunLogger,
    RunRecord,
    is_first_process,
    new_name,
    newest_checkpoint,
    newest_run,
)

# What Lightning warns of and nobody can mend.
NOISE = ("`isinstance\\(treespec, LeafSpec\\)` is deprecated", "Be aware that when using `ckpt_path`, callbacks used")
# Stands for the number of a fold in a configuration for cross-validate.
FOLD = "{fold}"


class TrainingCLI(LightningCLI):
    """Lightning's command line for one method.

    To Lightning's settings it adds ``name``, ``runs``, ``resume``, ``threads`` and ``wandb``. What a configuration
    says of loggers and checkpoints holds; where it says nothing they go to the run's folder, which is also the
    trainer's ``default_root_dir``.

    Args:
        name, method: which method.
        arguments: the command line after the method: a step, and its flags.
        callbacks: more callbacks than the configuration asks for.
        start: take the step; otherwise trainer, module and data are made, and no more.
    """

    def __init__(
        self,
        name: str,
        method: Method,
        arguments: Sequence[str],
        callbacks: Sequence[pl.Callback] = (),
        start: bool = True,
    ) -> None:
        self.name, self.method, self.more_callbacks, self.start = name, method, list(callbacks), start
        for text in NOISE:
            warnings.filterwarnings("ignore", message=f".*{text}")
        choice = method.choice and names_classes(arguments)
        super().__init__(
            pl.LightningModule if choice else load_class(method.module),
            pl.LightningDataModule if choice else load_class(method.data),
            subclass_mode_model=choice,
            subclass_mode_data=choice,
            args=list(arguments),
            parser_kwargs={"prog": f"shelfhelp-train {name}"},
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, default=None, help="The run's name; without one, the time.")
        parser.add_argument("--runs", type=str, default="runs", help="Folder in which runs/METHOD/NAME is made.")
        parser.add_argument(
            "--resume",
            action="store_true",
            help="Go on from the newest checkpoint of the run (fit), also after a kill.",
        )
        parser.add_argument(
            "--threads", type=int, default=1, help="Threads of PyTorch on the processor; several wait for each other."
        )
        parser.add_argument(
            "--wandb",
            type=Literal["no", "online", "offline"],
            default="no",
            help="Log to Weights & Biases as well (pip install 'shelfhelp[wandb]').",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        if FOLD in str(config.data):
            raise ShelfHelpError(f"the data name {FOLD}: shelfhelp-train {self.name} cross-validate puts the number in")
        torch.set_num_threads(config.threads)
        self.run = self._choose_run(config)
        if self.subcommand == "fit":
            self._prepare_fit(config)
        elif config.ckpt_path is None:
            config.ckpt_path = _as_text(self.run.best_checkpoint())
            if config.ckpt_path is not None:
                _say(f"measuring {config.ckpt_path}")
        if config.weights_only is None:
            # Ours hold settings and records, which PyTorch's careful reader refuses.
            config.weights_only = False
        if config.trainer.default_root_dir is None:
            config.trainer.default_root_dir = str(self.run.folder)

    def _choose_run(self, config: Any) -> RunFolder:
        """The folder that was named, the one that a checkpoint to be measured lies in, the newest one or a new one."""
        of_method = Path(config.runs) / self.name
        if config.name is not None:
            return RunFolder(of_method / config.name)
        if self.subcommand != "fit" and config.ckpt_path is not None:
            folder = RunFolder(Path(config.ckpt_path).parent.parent)
            return folder if folder.record.is_file() else RunFolder(of_method / new_name())
        newest = newest_run(of_method) if self.subcommand != "fit" or config.resume else None
        if config.resume and newest is None:
            raise ShelfHelpError(f"{of_method} holds no run to resume; start one without --resume")
        return newest if newest is not None else RunFolder(of_method / new_name())

    def _prepare_fit(self, config: Any) -> None:
        known = newest_checkpoint([self.run.checkpoints, *_configured_folders(config.trainer.callbacks)])
        if config.resume:
            config.ckpt_path = _as_text(known)
            _say(
                f"going on from {known}" if known else f"{self.run.folder} holds no checkpoint yet: from the beginning"
            )
        elif is_first_process() and config.ckpt_path is None:
            if newest_checkpoint([self.run.checkpoints]):
                raise ShelfHelpError(
                    f"{self.run.folder} holds a training already: --resume goes on with it, another --name starts anew"
                )
            self.run.metrics.unlink(missing_ok=True)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        trainer, step = self.config_init[self.subcommand].trainer, str(self.subcommand)
        if trainer.logger in (None, True):
            kwargs["logger"] = self._loggers() if step == "fit" else False
        callbacks: list[pl.Callback] = [EpochSeeds(), *self.more_callbacks]
        if self.start:
            callbacks += [TrainingRecord(), RunRecord(self.run, self.name, step)]
        has_own = any(isinstance(callback, ModelCheckpoint) for callback in _as_list(trainer.callbacks))
        if step == "fit" and self.start and trainer.enable_checkpointing is not False and not has_own:
            callbacks += self.run.checkpoint_callbacks(self.method.monitor, self.method.mode)
        self.trainer_defaults["callbacks"] = callbacks
        if step != "fit":
            self.save_config_kwargs["config_filename"] = f"{step}.yaml"
        if not has_own and (step != "fit" or not self.start):
            kwargs["enable_checkpointing"] = False
        return super().instantiate_trainer(**kwargs)

    def _loggers(self) -> list[Logger]:
        config = self.config[self.subcommand]
        loggers: list[Logger] = [
            RunLogger(self.run),
            TensorBoardLogger(self.run.folder / "tensorboard", name="", version=""),
        ]
        if config.wandb != "no":
            loggers.append(_wandb(self.run, self.name, offline=config.wandb == "offline"))
        return loggers

    def _run_subcommand(self, subcommand: str) -> None:
        if self.start:
            super()._run_subcommand(subcommand)


def names_classes(arguments: Sequence[str]) -> bool:
    """Whether a configuration among the arguments names its module by ``class_path``.

    Looked up before Lightning parses it: a default class would leave its settings to the one that is named instead.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        path = argument if before == "--config" else argument.removeprefix("--config=")
        if (before == "--config" or path != argument) and Path(path).is_file():
            try:
                settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            model = settings.get("model") if isinstance(settings, dict) else None
            if isinstance(model, dict) and "class_path" in model:
                return True
    return False


def _wandb(run: RunFolder, method: str, offline: bool) -> Logger:
    try:
        from pytorch_lightning.loggers import WandbLogger

        run.folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(
            project="shelfhelp", group=method, name=run.folder.name, id=f"{method}-{run.folder.name}", resume="allow",
            save_dir=run.folder, offline=offline,
        )  # fmt: skip
    except ModuleNotFoundError as error:
        message = "--wandb needs Weights & Biases; install it with: pip install 'shelfhelp[wandb]'"
        raise ShelfHelpError(message) from error


def _configured_folders(callbacks: Any) -> Iterable[Path]:
    """Where the checkpoints of a configuration's own ModelCheckpoint go."""
    for callback in _as_list(callbacks):
        folder = callback.get("init_args", {}).get("dirpath")
        if callback.class_path.endswith("ModelCheckpoint") and folder:
            yield Path(folder)


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _say(text: str) -> None:
    if is_first_process():
        print(f"shelfhelp-train: {text}", file=sys.stderr)
