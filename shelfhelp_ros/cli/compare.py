"""``shelfhelp compare``: what changed between two replays of a bag."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from shelfhelp_ros.regression.comparison import as_markdown, compare, draw, load_summary

FILE = click.Path(path_type=Path)


@click.command(name="compare")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--search", default="", metavar="NAME", help="Which search, of files that hold several (--check).")
@click.option("--picture", type=FILE, help="Draw both: probability, words and latency over time (PNG, SVG or PDF).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(before: Path, after: Path, search: str, picture: Path | None, as_json: bool) -> None:
    """Compare two summaries that `shelfhelp replay --json` printed, say of two versions of the software.

    \b
    Example:
      shelfhelp replay walk --target "Oat drink" --json > before.json
      shelfhelp replay walk --target "Oat drink" --confirm cautious --json > after.json
      shelfhelp compare before.json after.json --picture changes.png
    """
    first, second = load_summary(before, search), load_summary(after, search)
    changes = compare(first, second)
    if picture is not None:
        draw(first, second, picture)
    if as_json:
        click.echo(json.dumps({change.name: asdict(change) for change in changes}, ensure_ascii=False))
    else:
        click.echo(as_markdown(changes))
