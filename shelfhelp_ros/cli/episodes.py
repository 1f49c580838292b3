"""``shelfhelp simulate --episodes``: the closed loop without pictures, many times over."""

from __future__ import annotations

import json
from pathlib import Path

import click
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError


def run_many(episodes: int, seed: int, people: str, json_file: Path | None, report: Path | None) -> None:
    """Run the episodes with every planner, print the figures as JSON, and write them with all records, and a page.

    Raises ShelfHelpError when a file cannot be written.
    """
    from shelfhelp_ros.benchmark.figures import commit
    from shelfhelp_ros.simulation.episodes import EpisodesSettings, results, run_episodes

    settings = EpisodesSettings(episodes, seed, people)
    at_start = commit()
    with tqdm(total=episodes * len(settings.planners), unit="episode", desc="simulating") as bar:
        records = run_episodes(settings, progress=bar.update)
    found = results(records, settings, at_start)
    if json_file is not None:
        _write(json_file, json.dumps(found, indent=1, allow_nan=False) + "\n")
    if report is not None:
        from shelfhelp_ros.simulation.episodes_report import episodes_page

        _write(report, episodes_page(found))
    click.echo(json.dumps({key: value for key, value in found.items() if key not in ("records", "situations")}))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written ({error.strerror}); choose another file") from error
