"""``shelfhelp-evaluate methods``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click
from tqdm import tqdm

PATH = click.Path(path_type=Path)


@click.command("methods")
@click.option("--config", type=PATH, default=Path("config/training/benchmark.yaml"), show_default=True, help="Which.")
@click.option("--output", type=PATH, default=Path("runs/benchmark"), show_default=True, help="Folder of the runs.")
@click.option("--only", multiple=True, help="Methods to train; all by default.")
@click.option("--data", multiple=True, help="Data sets to train on; all by default.")
@click.option("--set", "changes", multiple=True, metavar="PART.KEY=VALUE", help="Change what all methods share.")
def command(config: Path, output: Path, only: tuple[str, ...], data: tuple[str, ...], changes: tuple[str, ...]) -> None:
    """Train every method on the same backbone, pictures, steps and seeds, and print what each gives as a table.

    Held-out pictures ask for their product among those of other photographs: recall@1, mean and deviation over the
    seeds. Runs that were finished with the same settings are not trained again, so an interrupted benchmark goes on.

    \b
    Examples:
      shelfhelp-evaluate methods
      shelfhelp-evaluate methods --only simclr --only untrained --data CornerShop
      shelfhelp-evaluate methods --set model.backbone=timm/resnet50 --set trainer.accelerator=gpu
    """
    from shelfhelp_training.evaluation.method_benchmark import as_markdown, read_benchmark, take

    warnings.filterwarnings("ignore", module="pytorch_lightning")
    benchmark = read_benchmark(config, changes)
    runs = [run for run in benchmark.runs if (not only or run.method in only) and (not data or run.data in data)]
    results = []
    for run in (bar := tqdm(runs, desc="methods", unit="run")):
        bar.set_postfix_str(run.name)
        results.append(take(benchmark, run, output))
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    click.echo(as_markdown(results))
