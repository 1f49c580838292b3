"""``shelfhelp-train text fit``."""

from __future__ import annotations

import json
from pathlib import Path

import click

PATH = click.Path(path_type=Path)
CACHE = Path("~/.cache/shelfhelp/words.sqlite")


@click.group("text")
def command() -> None:
    """Read the words on packs as well: how much they should count beside the picture."""


@command.command("fit")
@click.option("--config", type=PATH, required=True, help="Which pictures to fit and to test on; see below.")
@click.option("--output", type=PATH, default="runs/text/fusion.json", show_default=True, help="The weights' file.")
@click.option("--encoder", type=PATH, help="Checkpoint or ONNX of the encoder; the robot's own by default.")
@click.option("--cache", type=PATH, default=CACHE, show_default=True, help="Where words that were read are kept.")
def fit(config: Path, output: Path, encoder: Path | None, cache: Path) -> None:
    """Fit the weights of picture and words on validation data, and measure what the words bring on test data.

    The configuration has two entries, ``fit`` and ``test``, each a test set as in config/training/retrieval.yaml
    (queries, and a gallery or the queries themselves). Prints one JSON object for the picture alone, the words alone
    and both, on the test set: recall@1 with its interval, MAP@R, and the share of crops on which words were read.

    Reading takes half a second a crop; what was read is kept, and an interrupted run goes on where it stopped.

    \b
    Example:
      shelfhelp-train text fit --config config/training/text.yaml
    """
    from shelfhelp_training.evaluation.fused import fit_and_test

    rows, fusion = fit_and_test(config, encoder, cache.expanduser())
    for row in rows:
        click.echo(json.dumps(row))
    fusion.save(output, {"config": str(config), "figures": rows})
    click.echo(f"written: {output}", err=True)
