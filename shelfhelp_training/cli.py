"""The commands ``shelfhelp-train``, ``shelfhelp-export`` and ``shelfhelp-evaluate``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import click

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.resources import config_folder

HELP = ("-h", "--help")


@dataclass(frozen=True)
class Method:
    """One method of ``shelfhelp-train``.

    Attributes:
        module, data: Lightning module and data module as ``package.file:Class``, imported when the method is called.
        text: what it is for, in one line.
        monitor: the figure whose best checkpoint is kept and that a search improves; empty for none.
        mode: whether more (``max``) or less (``min``) of it is better.
        choice: a configuration may name other classes by ``class_path``, both; these two are what it means without.
    """

    module: str
    data: str
    text: str
    monitor: str = ""
    mode: Literal["min", "max"] = "max"
    choice: bool = False


METHODS = {
    "byol": Method(
        "shelfhelp_training.methods.byol:BYOLTraining",
        "shelfhelp_training.data.image_data:ImageData",
        "a backbone from pictures without labels: predict what one view says of the other",
        "val_recall",
    ),
    "classifier": Method(
        "shelfhelp_training.methods.classifier:ClassifierTraining",
        "shelfhelp_training.data.image_data:ImageData",
        "which kind of grocery a picture shows, on any backbone",
        "val_accuracy",
    ),
    "detector": Method(
        "shelfhelp_training.methods.detector:DetectorTraining",
        "shelfhelp_training.data.shelves:ShelfData",
        "the robot's light detector: boxes of everything that can be bought",
        "val/ap",
    ),
    "retinanet": Method(
        "shelfhelp_training.methods.retinanet:RetinaNetTraining",
        "shelfhelp_training.data.shelves:ShelfData",
        "a large detector on a workstation GPU: RetinaNet ResNet-50-FPN v2, every product one class",
        "val/ap",
    ),
    "metric": Method(
        "shelfhelp_training.methods.metric:MetricTraining",
        "shelfhelp_training.data.crops:CropData",
        "vectors that tell one product from another: the robot's encoder, or any backbone by one of seven losses",
        "val_recall",
        choice=True,
    ),
    "clip": Method(
        "shelfhelp_training.methods.clip:ClipTraining",
        "shelfhelp_training.data.image_data:ImageData",
        "OpenCLIP's image towers for products: a linear probe, then all layers",
        "val_recall",
    ),
    "distill": Method(
        "shelfhelp_training.methods.distill:Distillation",
        "shelfhelp_training.data.image_data:ImageData",
        "a small network learns the vectors of a large one",
        "val_recall",
    ),
    "semi": Method(
        "shelfhelp_training.methods.semi:SemiTraining",
        "shelfhelp_training.data.image_data:ImageData",
        "a classifier from few labels and many pictures: SimCLR and entropy, or FixMatch",
        "val_accuracy",
    ),
    "simclr": Method(
        "shelfhelp_training.methods.simclr:SimCLRTraining",
        "shelfhelp_training.data.image_data:ImageData",
        "a backbone from pictures without labels: find which two views show one picture",
        "val_recall",
    ),
}
# Tools beside the methods: name → (module in shelfhelp_training.commands, what it does).
TOOLS: dict[str, tuple[str, str]] = {
    "anchors": ("train_anchors", "fit the shapes of a RetinaNet's anchors to the boxes of a data set"),
    "text": ("train_text", "fit how much the words on packs count beside the picture"),
    "view": ("train_view", "draw what a detector will see: crops and held-out pictures with their boxes"),
}
# What Lightning does with a method, and what we do beside it: name → (module in shelfhelp_training.commands, text).
STEPS = {
    "fit": "train; --resume goes on where an interrupted run stopped",
    "validate": "measure the best checkpoint of a run on the validation data",
    "test": "measure it on the test data, with tables and pictures",
    "predict": "write what it says of the test data",
}
MORE_STEPS = {
    "find-lr": ("train_find_lr", "try learning rates from low to high; a picture and a suggestion"),
    "tune": ("train_tune", "search for good settings (Optuna); goes on where it stopped"),
    "cross-validate": ("train_cross_validate", "fit and test every fold of a data set in turn"),
}
# Subcommand → (module in shelfhelp_training.commands, what it does).
EXPORTS = {
    "calibrate": ("export_calibration", "probabilities and thresholds of an exported encoder"),
    "classifier": ("export_classifier", "a classifier's checkpoint to ONNX with its card"),
    "detector": ("export_detector", "a detector checkpoint to ONNX with its card"),
    "encoder": ("export_encoder", "the encoder or backbone in a checkpoint of any method to ONNX with its card"),
    "precision": ("export_precision", "both networks in half precision or eight bits, with the measured loss"),
    "soup": ("export_soup", "a checkpoint with the mean of several networks' weights, uniform or greedy"),
    "wise-ft": ("export_wise_ft", "a checkpoint between a network and its fine-tuned self"),
}
EVALUATIONS = {
    "all": ("evaluate_all", "every published figure again, and whether it is as published"),
    "calibration": ("evaluate_calibration", "whether probabilities come true, and what the thresholds do"),
    "classification": ("evaluate_classification", "how well a classifier names pictures"),
    "detection": ("evaluate_detection", "precision and recall of boxes (COCO figures)"),
    "lookalikes": ("evaluate_lookalikes", "how often a look-alike is named, with and without a second look"),
    "methods": ("evaluate_methods", "every method on the same backbone, pictures, steps and seeds: a table"),
    "retrieval": ("evaluate_retrieval", "how often the right product is the nearest"),
    "gallery": ("evaluate_gallery", "pictures of queries and what was found nearest, the failures first"),
    "leaks": ("evaluate_leaks", "near-duplicate pictures on both sides of a split"),
    "wise-ft": ("evaluate_wise_ft", "recall on the way from a network to its fine-tuned self: curve and table"),
    "throughput": ("evaluate_throughput", "pictures a second of a training, of its network alone and of an example"),
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


def load_class(reference: str) -> type:
    """The class that ``package.file:Class`` names."""
    module, name = reference.split(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def train_help() -> str:
    """What ``shelfhelp-train --help`` says."""
    lines = [
        "usage: shelfhelp-train METHOD {" + ",".join([*STEPS, *MORE_STEPS]) + "} --config FILE [--KEY VALUE …]",
        "       shelfhelp-train METHOD --help             what the method is for, its configurations, examples",
        "       shelfhelp-train METHOD fit --help         every setting",
        "",
        "Methods:",
        *_table({name: method.text for name, method in METHODS.items()}),
    ]
    if TOOLS:
        lines += ["", "Tools:", *_table({name: text for name, (_, text) in TOOLS.items()})]
    return "\n".join(lines)


def method_help(name: str) -> str:
    """What ``shelfhelp-train METHOD --help`` says: its steps, its configurations and how to begin."""
    configs = configurations(name)
    example = next((c for c in configs if "small" in c), configs[0] if configs else "FILE")
    begin = f"shelfhelp-train {name}"
    return "\n".join(
        [
            f"shelfhelp-train {name}: {METHODS[name].text}",
            "",
            "Steps:",
            *_table({**STEPS, **{step: text for step, (_, text) in MORE_STEPS.items()}}),
            "",
            "Configurations (those in small/ train in seconds, without any data of yours):",
            *(f"  {config}" for config in configs),
            "",
            "Examples:",
            f"  {begin} fit --config {example} --name first",
            f"  {begin} fit --config {example} --name first --resume          # after an interruption, a kill too",
            f"  {begin} test --config {example} --name first",
            f"  {begin} fit --config {example} --trainer.max_epochs 2 --model.learning_rate 1e-3",
            f"  {begin} fit --config {example} --trainer.precision bf16-mixed --trainer.accumulate_grad_batches 4",
            f"  {begin} fit --config {example} --trainer.accelerator gpu --trainer.devices 4 --trainer.strategy ddp",
            f"  {begin} find-lr --config {example}",
            f"  {begin} tune --config {example} --trials 20 --search model.learning_rate=log:1e-5:1e-1",
            "",
            f"A run's folder, runs/{name}/NAME/, holds its configuration, checkpoints, metrics.csv, TensorBoard log,",
            "plots, and run.json: command, seed, commit, machine, hashes of its data. Without --name it has the time",
            f"for its name. Every setting is a flag and a key of the YAML file: {begin} fit --help lists them.",
        ]
    )


def configurations(method: str) -> list[str]:
    """The shipped configurations of a method, as paths from the working folder: ``METHOD.yaml``, ``METHOD_*.yaml``."""
    folder = config_folder() / "training"
    found = sorted(
        path
        for pattern in (f"{method}.yaml", f"{method}_*.yaml")
        for path in (*folder.glob(pattern), *(folder / "small").glob(pattern))
    )
    here = Path.cwd()
    return [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in found]


def _table(entries: dict[str, str]) -> list[str]:
    width = max(map(len, entries))
    return [f"  {name:{width}}  {text}" for name, text in entries.items()]


def train_main() -> NoReturn:
    """``shelfhelp-train METHOD STEP …``: Lightning's command line for one method, and some steps of ours."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in HELP:
        click.echo(train_help())
        sys.exit(0 if arguments else 2)
    name, *rest = arguments
    if name in TOOLS:
        _run_group(LazyGroup("shelfhelp-train", TOOLS, "Tools beside the methods."))
    if name not in METHODS:
        click.echo(f"shelfhelp-train: error: no method {name}; known: {', '.join([*METHODS, *TOOLS])}", err=True)
        sys.exit(2)
    if not rest or rest[0] in HELP:
        click.echo(method_help(name))
        sys.exit(0 if rest else 2)
    if rest[0] in MORE_STEPS:
        _run_group(LazyGroup(f"shelfhelp-train {name}", MORE_STEPS, METHODS[name].text), rest, name)
    _run("shelfhelp-train", lambda: _train(name, rest))


def _train(name: str, arguments: Sequence[str]) -> None:
    from shelfhelp_training.training import TrainingCLI

    TrainingCLI(name, METHODS[name], list(arguments))


def export_main() -> NoReturn:
    """``shelfhelp-export detector|encoder --checkpoint FILE --output FILE``."""
    _run_group(LazyGroup("shelfhelp-export", EXPORTS, "Turn a checkpoint into an ONNX file with its card."))


def evaluate_main() -> NoReturn:
    """``shelfhelp-evaluate detection|retrieval …``: figures of the exported models."""
    _run_group(LazyGroup("shelfhelp-evaluate", EVALUATIONS, "Measure exported models on held-out data."))


def _run_group(group: LazyGroup, arguments: Sequence[str] | None = None, method: str | None = None) -> NoReturn:
    """A click command with its subcommands; what runs for a method of training gets its name as ``obj``."""
    _run(str(group.name), lambda: group(arguments, prog_name=group.name, standalone_mode=False, obj=method))


def _run(name: str, command: Callable[[], object]) -> NoReturn:
    """Run a command; a ShelfHelpError becomes one line on standard error and exit status 1."""
    try:
        command()
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo(f"{name}: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ShelfHelpError as error:
        click.echo(f"{name}: error: {error}", err=True)
        sys.exit(1)
    sys.exit(0)
