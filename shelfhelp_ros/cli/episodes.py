"""``shelfhelp simulate --episodes``: the closed loop many times over, without pictures or through the real graph."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError


@dataclass(frozen=True)
class Outputs:
    """Files to write: figures and records, a page about them, and a video of one ``episode``."""

    json_file: Path | None = None
    report: Path | None = None
    video: Path | None = None
    episode: int = 0


def run_many(episodes: int, seed: int, people: str, outputs: Outputs) -> None:
    """Run the episodes with every planner, print the figures as JSON, and write what is wanted of them.

    Raises ShelfHelpError when a file cannot be written.
    """
    from shelfhelp_ros.benchmark.figures import commit
    from shelfhelp_ros.simulation.episodes import EpisodesSettings, results, run_episodes

    settings = EpisodesSettings(episodes, seed, people)
    at_start = commit()
    with tqdm(total=episodes * len(settings.planners), unit="episode", desc="simulating") as bar:
        records = run_episodes(settings, progress=bar.update)
    if outputs.video is not None:
        from shelfhelp_ros.simulation.episode_video import fast_recording

        _write_video(fast_recording(settings, outputs.episode), outputs.video)
    _finish(results(records, settings, at_start), outputs)


def run_rendered(episodes: int, seed: int, people: str, outputs: Outputs) -> None:
    """The same through the real perception and the real graph; what was done before goes on beside the JSON file.

    Raises ShelfHelpError when a part does not start or a file cannot be written.
    """
    from shelfhelp_ros.benchmark.figures import commit
    from shelfhelp_ros.cli.assist import require_ros
    from shelfhelp_ros.simulation.episodes import PLANNER, EpisodesSettings, results

    require_ros()
    from shelfhelp_ros.nodes.rendered_episodes import RenderedEpisodes, RenderedSettings

    assert outputs.json_file is not None
    at_start = commit()
    folder = outputs.json_file.with_name(outputs.json_file.name + ".running")
    runs = RenderedEpisodes(RenderedSettings(episodes, seed, people), folder)
    video = outputs.video
    film = None if video is None else (outputs.episode, lambda recording: _write_video(recording, video))
    with tqdm(total=episodes, initial=len(runs.records), unit="episode", desc="simulating", smoothing=0) as bar:
        runs.run(lambda count: bar.update(count - bar.n), film)
    settings = EpisodesSettings(episodes, seed, people, (PLANNER,))
    found = results(runs.records[:episodes], settings, at_start, mode="rendered")
    _finish(found, outputs)
    runs.discard()


def _finish(found: dict[str, Any], outputs: Outputs) -> None:
    if outputs.json_file is not None:
        _write(outputs.json_file, json.dumps(found, indent=1, allow_nan=False) + "\n")
    if outputs.report is not None:
        from shelfhelp_ros.simulation.episodes_report import episodes_page

        _write(outputs.report, episodes_page(found, outputs.video))
    click.echo(json.dumps({key: value for key, value in found.items() if key not in ("records", "situations")}))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written ({error.strerror}); choose another file") from error


def _write_video(recording: Any, path: Path) -> None:
    from shelfhelp_ros.simulation.report import write_video

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_video(recording, path)
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written ({error.strerror}); choose another file") from error
    if written is None:
        raise ShelfHelpError("there is no video: no frame came, or this OpenCV cannot write VP8")
