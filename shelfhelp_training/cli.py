"""The commands ``shelfhelp-train``, ``shelfhelp-export`` and ``shelfhelp-evaluate``."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from shelfhelp_ros.errors import ShelfHelpError

# Method → (Lightning module, Lightning data module), imported when the method is called for.
METHODS = {
    "detector": ("shelfhelp_training.methods.detector:DetectorTraining", "shelfhelp_training.data.shelves:ShelfData"),
    "metric": ("shelfhelp_training.methods.metric:MetricTraining", "shelfhelp_training.data.crops:CropData"),
}
# Subcommand → (module in shelfhelp_training.commands, what it does).
EXPORTS = {
    "calibrate": ("export_calibration", "probabilities and thresholds of an exported encoder"),
    "detector": ("export_detector", "a detector checkpoint to ONNX with its card"),
    "encoder": ("export_encoder", "an encoder checkpoint to ONNX with its card"),
    "precision": ("export_precision", "both networks in half precision or eight bits, with the measured loss"),
}
EVALUATIONS = {
    "all": ("evaluate_all", "every published figure again, and whether it is as published"),
    "calibration": ("evaluate_calibration", "whether probabilities come true, and what the thresholds do"),
    "detection": ("evaluate_detection", "precision and recall of boxes (COCO figures)"),
    "lookalikes": ("evaluate_lookalikes", "how often a look-alike is named, with and without a second look"),
    "retrieval": ("evaluate_retrieval", "how often the right product is the nearest"),
    "gallery": ("evaluate_gallery", "pictures of queries and what was found nearest, the failures first"),
    "leaks": ("evaluate_leaks", "near-duplicate pictures on both sides of a split"),
    "bursts": ("evaluate_bursts", "photographs grouped into bursts, and the bursts into a split"),
}


class LazyGroup(click.Group):
    """Loads the module of a subcommand when it is called, so that ``--help`` imports nothing heavy."""

    def __init__(self, name: str, subcommands: dict[str, tuple[str, str]], text: str) -> None:
        super().__init__(name, help=text, context_settings={"help_option_names": ["-h", "--help"]})
        self.subcommands = subcommands

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(self.subcommands)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.subcommands:
            return None
        command: click.Command = importlib.import_module(
            f"shelfhelp_training.commands.{self.subcommands[name][0]}"
        ).command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(self.subcommands.items())])


def _load(reference: str) -> type:
    module, name = reference.split(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def train_main() -> NoReturn:
    """``shelfhelp-train METHOD fit|validate|test --config FILE``: Lightning's command line for one method."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        click.echo(f"usage: shelfhelp-train {{{','.join(METHODS)}}} {{fit,validate,test}} --config FILE …")
        sys.exit(0 if arguments else 2)
    method = arguments[0]
    if method not in METHODS:
        click.echo(f"shelfhelp-train: error: no method {method}; known: {', '.join(METHODS)}", err=True)
        sys.exit(2)
    try:
        import torch
        from pytorch_lightning.cli import LightningCLI

        from shelfhelp_training.record import TrainingRecord

        # One thread: several would wait for each other whenever the machine does something else as well.
        torch.set_num_threads(1)
        module, data = (_load(reference) for reference in METHODS[method])
        LightningCLI(
            module,
            data,
            args=arguments[1:],
            trainer_defaults={"callbacks": [TrainingRecord()]},
            save_config_kwargs={"overwrite": True},
        )
    except ShelfHelpError as error:
        click.echo(f"shelfhelp-train: error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("shelfhelp-train: interrupted", err=True)
        sys.exit(130)
    sys.exit(0)


def export_main() -> NoReturn:
    """``shelfhelp-export detector|encoder --checkpoint FILE --output FILE``."""
    _run(LazyGroup("shelfhelp-export", EXPORTS, "Turn a checkpoint into an ONNX file with its card."))


def evaluate_main() -> NoReturn:
    """``shelfhelp-evaluate detection|retrieval …``: figures of the exported models."""
    _run(LazyGroup("shelfhelp-evaluate", EVALUATIONS, "Measure exported models on held-out data."))


def _run(group: click.Group) -> NoReturn:
    """Run a command; a ShelfHelpError becomes one line on standard error and exit status 1."""
    try:
        group(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(f"{group.name}: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ShelfHelpError as error:
        click.echo(f"{group.name}: error: {error}", err=True)
        sys.exit(1)
    sys.exit(0)
