"""``shelfhelp-evaluate gallery``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from shelfhelp_ros.errors import ShelfHelpError

PATH = click.Path(path_type=Path)


@click.command("gallery")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option(
    "--config", type=PATH, default="config/training/retrieval.yaml", show_default=True, help="Test sets of retrieval."
)
@click.option(
    "--set", "name", default="rendered shelves, crop (at least 64 px) to packshot", show_default=True, help="Which one."
)
@click.option("--rows", type=click.IntRange(1, 40), default=4, show_default=True, help="Queries of each kind.")
@click.option("--output", type=PATH, default="output/gallery", show_default=True, help="Folder of the pictures.")
@click.option("--page", type=PATH, help="Also write one picture, at most 150 kB, with the failures of both kinds.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
def command(
    models: Path | None, config: Path, name: str, rows: int, output: Path, page: Path | None, threads: int
) -> None:
    """Pictures of queries with what was found nearest, the worst failures first, and one JSON object a kind of answer.

    A row shows the query, the five nearest pictures with their cosines, and the right one. Green is right, orange a
    look-alike of the same family, red another product. Pictures of photographs are yours to keep private.

    \b
    Example:
      shelfhelp-evaluate gallery --models models --config config/training/retrieval.yaml --rows 6
    """
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation import gallery
    from shelfhelp_training.evaluation.comparisons import compare, read_sets

    chosen = [one for one in read_sets(config) if one.name == name]
    if not chosen:
        known = "; ".join(one.name for one in read_sets(config))
        raise ShelfHelpError(f"{config} has no test set {name!r}; known: {known}")
    encoder = Encoder.load(models if models is not None else default_model_folder(), "cpu", threads)
    comparison = compare(chosen[0], encoder, data_folder())
    found = gallery.answers(comparison)
    failures = []
    for row in gallery.summary(comparison, found):
        kind = row["first"]
        click.echo(json.dumps({"set": name, **{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}}))
        of_kind = gallery.worst(comparison, found, kind, rows)
        gallery.write(gallery.sheet(comparison, of_kind), output / f"{kind.replace(' ', '-')}.jpg")
        failures += of_kind if kind != "right" else []
    click.echo(f"drawn: {output}", err=True)
    if page is not None:
        gallery.write(gallery.sheet(comparison, failures or found[:rows]), page)
        click.echo(f"drawn: {page}", err=True)
