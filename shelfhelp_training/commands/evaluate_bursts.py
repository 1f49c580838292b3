"""``shelfhelp-evaluate bursts``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from shelfhelp_ros.errors import ShelfHelpError

PATH = click.Path(path_type=Path)


@click.command("bursts")
@click.argument("folder", type=PATH)
@click.option("--digits", type=click.IntRange(1), default=4, show_default=True, help="At a name's end that count.")
@click.option("--gap", type=click.IntRange(0), default=12, show_default=True, help="Between numbers of one burst.")
@click.option(
    "--share", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Of the photographs to test."
)
def command(folder: Path, digits: int, gap: int, share: float) -> None:
    """Split a FOLDER of photographs by burst, as a file of data/splits has it: each row is one burst.

    \b
    Example:
      shelfhelp-evaluate bursts my_photos --gap 12 --share 0.25
    """
    from shelfhelp_training.data.boxes import PICTURES
    from shelfhelp_training.data.bursts import find_bursts, split_bursts
    from shelfhelp_training.data.shelves import data_folder

    folder = folder if folder.exists() else data_folder() / folder
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise ShelfHelpError(f"{folder} holds no photographs; SHELFHELP_DATA names the folder of collections")
    train, test = split_bursts(find_bursts(paths, digits, gap), share)
    for name, part in (("train", train), ("test", test)):
        click.echo(f"{name}:")
        for stems in part:
            # JSON is YAML, and quotes names that are digits only.
            click.echo(f"- {json.dumps(stems)}")
