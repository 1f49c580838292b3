"""``shelfhelp-evaluate leaks``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from shelfhelp_ros.errors import ShelfHelpError

PATH = click.Path(path_type=Path)


@click.command("leaks")
@click.option(
    "--config", "configs", type=PATH, required=True, multiple=True, help="Of a training or test sets; may be repeated."
)
@click.option("--skip-missing", is_flag=True, help="Go on without sources that are not there, and name them.")
def command(configs: tuple[Path, ...], skip_missing: bool) -> None:
    """Pictures that stand, nearly the same, on both sides of a split: one JSON object a pair.

    Training pictures of every configuration are compared with the validation and query pictures of every other one.
    Exit status 1 when there is a pair.

    \b
    Example:
      shelfhelp-evaluate leaks --config config/training/metric.yaml --config config/training/retrieval.yaml
    """
    from shelfhelp_training.data.leaks import leak_summary
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.data.source_files import Part, files_of, leaks_of, read_parts

    root = data_folder()
    parts: list[Part] = []
    pictures = 0
    for part in (part for config in configs for part in read_parts(config)):
        there = []
        for source in part.sources:
            try:
                pictures += len(files_of(source, root, part.role))
                there.append(source)
            except ShelfHelpError as error:
                if not skip_missing:
                    raise
                click.echo(f"not checked: {error}", err=True)
        parts.append(Part(part.name, part.role, tuple(there)))
    leaks = leaks_of(parts, root)
    for leak in leaks:
        pair = {"first": str(leak.first), "second": str(leak.second), "distance": leak.distance}
        click.echo(json.dumps({**pair, "first_part": leak.first_part, "second_part": leak.second_part}))
    if leaks:
        raise ShelfHelpError(leak_summary(leaks))
    click.echo(f"no leaks among {pictures} pictures in {len(parts)} parts", err=True)
