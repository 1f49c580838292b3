"""``shelfhelp-train METHOD cross-validate``: fit and test each fold of a data set; mean and deviation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from shelfhelp_training.commands.train_find_lr import PASSED_ON, RUNS


@click.command("cross-validate", context_settings=PASSED_ON)
@click.option(
    "--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Names {fold}."
)
@click.option("--folds", default=5, show_default=True, help="Folds 0, 1, … to go through.")
@click.option("--name", default="folds", show_default=True, help="The run's name; the folds are folders in it.")
@RUNS
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(method: str, config: Path, folds: int, name: str, runs: Path, arguments: tuple[str, ...]) -> None:
    """Fit and test every fold: in the configuration {fold} stands for its number (part: "train{fold}").

    ARGUMENTS are those of fit. Folds that are done are not done again, and one that was interrupted goes on where it
    stopped, when the same command is given again. The figures of every fold, their mean and standard deviation go to
    folds.json and folds.md in runs/METHOD/NAME, and to standard output.

    \b
    Example:
      shelfhelp-train classifier cross-validate --config config/training/classifier_freiburg.yaml
    """
    from shelfhelp_ros.errors import ShelfHelpError
    from shelfhelp_training.run_folder import write_json
    from shelfhelp_training.training import FOLD

    text = config.read_text(encoding="utf-8")
    if FOLD not in text:
        raise ShelfHelpError(f"{config} names no {FOLD}; write it where the number of the fold belongs")
    folder = runs / method / name
    measured = []
    for fold in range(folds):
        of_fold = folder / f"fold{fold}"
        of_fold.mkdir(parents=True, exist_ok=True)
        settings = of_fold / "settings.yaml"
        settings.write_text(text.replace(FOLD, str(fold)), encoding="utf-8")
        common = ["--config", str(settings), "--runs", str(runs), "--name", f"{name}/fold{fold}", *arguments]
        if not _finished(of_fold):
            _run([method, "fit", *common, "--resume"], fold)
        if not (of_fold / "test.json").is_file():
            _run([method, "test", *common], fold)
        measured.append(json.loads((of_fold / "test.json").read_text(encoding="utf-8"))["figures"])
    summary = summarise(measured)
    write_json(folder / "folds.json", {"folds": measured, "summary": summary})
    lines = [f"| {figure} | {of['mean']:.4f} | {of['deviation']:.4f} |" for figure, of in summary.items()]
    table = "\n".join([f"| figure | mean of {folds} folds | standard deviation |", "| --- | --- | --- |", *lines])
    (folder / "folds.md").write_text(table + "\n", encoding="utf-8")
    click.echo(table)


def summarise(folds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample) of every figure over the folds."""
    import numpy as np

    values = {name: [of[name] for of in folds] for name in folds[0]}
    return {
        name: {"mean": float(np.mean(of)), "deviation": float(np.std(of, ddof=1)) if len(of) > 1 else 0.0}
        for name, of in values.items()
    }


def _finished(folder: Path) -> bool:
    record = folder / "run.json"
    return record.is_file() and bool(json.loads(record.read_text(encoding="utf-8"))["finished"])


def _run(arguments: list[str], fold: int) -> None:
    """One step in a process of its own, so that a fold leaves nothing behind for the next."""
    from shelfhelp_ros.errors import ShelfHelpError

    status = subprocess.run([sys.executable, "-m", "shelfhelp_training", *arguments], check=False).returncode
    if status:
        raise ShelfHelpError(f"fold {fold} failed (see above); the same command goes on from there")
