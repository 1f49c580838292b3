"""``shelfhelp-train METHOD tune``: search for good settings with Optuna."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from shelfhelp_training.commands.train_find_lr import PASSED_ON, RUNS

SEARCHED = ("model.learning_rate=log:1e-5:1e-1",)


@click.command("tune", context_settings=PASSED_ON)
@click.option("--trials", default=20, show_default=True, help="Trials in all, those of earlier calls included.")
@click.option(
    "--search",
    multiple=True,
    default=SEARCHED,
    show_default=True,
    help="KEY=log:LOW:HIGH, KEY=float:LOW:HIGH, KEY=int:LOW:HIGH or KEY=A,B,…; may be given several times.",
)
@click.option("--monitor", default="", help="Figure to improve; the method's own by default.")
@click.option("--mode", type=click.Choice(["min", "max"]), help="Whether less or more of --monitor is better.")
@click.option("--name", default="tune", show_default=True, help="The search's name; its trials are folders in it.")
@RUNS
@click.option("--seed", default=0, show_default=True, help="Of the search.")
@click.option("--prune/--no-prune", default=True, show_default=True, help="Stop trials that fall behind the median.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(
    method: str,
    trials: int,
    search: tuple[str, ...],
    monitor: str,
    mode: Literal["min", "max"] | None,
    name: str,
    runs: Path,
    seed: int,
    prune: bool,
    arguments: tuple[str, ...],
) -> None:
    """Train with one set of settings after the other, chosen by Optuna's tree-structured Parzen estimator.

    ARGUMENTS are those of fit: --config FILE and any of its settings. The search is kept in study.db in
    runs/METHOD/NAME: the same command goes on with it, also after a kill, and several processes may share it. The best
    settings go to best.json and history.png there, and to standard output as flags of fit.

    \b
    Example:
      shelfhelp-train classifier tune --config config/training/small/classifier.yaml --trials 5 \\
          --search model.learning_rate=log:1e-4:1e-2 --search model.augmentation=weak,supervised
    """
    from shelfhelp_training.cli import METHODS
    from shelfhelp_training.search import Search

    known = METHODS[method]
    study = Search(
        method, runs / method / name, search, monitor or known.monitor, mode or known.mode, seed=seed, prune=prune
    )
    study.run(trials, ["fit", *arguments, "--runs", str(runs)])
    click.echo(json.dumps(study.write_best()))
