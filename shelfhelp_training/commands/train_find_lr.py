"""``shelfhelp-train METHOD find-lr``: the loss over learning rates, and the one where it falls fastest."""

from __future__ import annotations

import json
from pathlib import Path

import click

PASSED_ON = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
RUNS = click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of all runs, METHOD/NAME.",
)


@click.command("find-lr", context_settings=PASSED_ON)
@click.option("--min-lr", default=1e-6, show_default=True, help="Learning rate of the first step.")
@click.option("--max-lr", default=1.0, show_default=True, help="Learning rate of the last step.")
@click.option("--steps", default=100, show_default=True, help="Steps in between, at rates that grow by one factor.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(method: str, min_lr: float, max_lr: float, steps: int, arguments: tuple[str, ...]) -> None:
    """Train for some steps, each at a higher learning rate, and suggest the rate at which the loss falls fastest.

    ARGUMENTS are those of fit: --config FILE and any of its settings. Nothing of the training is kept. The curve goes
    to learning_rates.png and learning_rates.json in a folder of its own in runs/METHOD, the suggestion to standard
    output. Smith, Cyclical learning rates for training neural networks, WACV 2017. Rates that differ by layer are
    all the same here.

    \b
    Example:
      shelfhelp-train classifier find-lr --config config/training/small/classifier.yaml
    """
    from pytorch_lightning.tuner.tuning import Tuner

    from shelfhelp_ros.errors import ShelfHelpError
    from shelfhelp_training.cli import METHODS
    from shelfhelp_training.run_folder import write_json
    from shelfhelp_training.training import TrainingCLI

    limits = ["--trainer.max_epochs=-1", f"--trainer.max_steps={steps}", "--trainer.logger=false"]
    cli = TrainingCLI(method, METHODS[method], ["fit", *arguments, *limits], start=False)
    folder = cli.run.folder
    finder = Tuner(cli.trainer).lr_find(
        cli.model, datamodule=cli.datamodule, min_lr=min_lr, max_lr=max_lr, num_training=steps, update_attr=False
    )
    suggestion = finder.suggestion() if finder is not None else None
    if finder is None or suggestion is None:
        raise ShelfHelpError(f"{steps} steps are too few to suggest a learning rate; give --steps 50 or more")
    write_json(folder / "learning_rates.json", {"suggestion": suggestion, **finder.results})
    draw(finder.results["lr"], finder.results["loss"], suggestion, str(folder / "learning_rates.png"))
    click.echo(json.dumps({"learning_rate": suggestion, "curve": str(folder / "learning_rates.png")}))


def draw(rates: list[float], losses: list[float], suggestion: float, path: str) -> None:
    """The (smoothed) loss over the learning rate, with the suggestion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(rates, losses, linewidth=1)
    axes.axvline(suggestion, color="#d55e00", linewidth=1, label=f"suggested: {suggestion:.2g}")
    axes.set(xlabel="learning rate", ylabel="loss")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
