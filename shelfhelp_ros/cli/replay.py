"""``shelfhelp replay``: a bag played into the assistant, with a summary of what came of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shelfhelp_ros.cli.assist import assist_options, choose, make_options, read_target, require_ros, write_line
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.regression.expectations import Check, Search, beside, load_expectations
from shelfhelp_ros.regression.expectations import check as hold_against
from shelfhelp_ros.regression.junit import write_junit

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.bag_player import BagPlayer
    from shelfhelp_ros.nodes.bags import Bag, BagTopics
    from shelfhelp_ros.nodes.running import Crew

CONNECT_SECONDS = 30.0
_SIMULATED_TIME = ["--ros-args", "-p", "use_sim_time:=true"]


@click.command(name="replay")
@click.argument("bag_path", metavar="BAG", type=click.Path(path_type=Path))
@assist_options
@click.option("--rate", type=float, default=1.0, show_default=True, help="Speed: 2 is twice as fast as recorded.")
@click.option("--loop", is_flag=True, help="Begin again at the end, until interrupted.")
@click.option("--start", type=float, default=0.0, show_default=True, help="Seconds to leave out at the beginning.")
@click.option("--duration", type=float, help="Seconds to play.  [default: to the end]")
@click.option("--colour", default="", metavar="TOPIC", help="The bag's colour images, raw or compressed.")
@click.option("--camera-info", default="", metavar="TOPIC", help="The bag's calibration of the colour camera.")
@click.option("--depth", default="", metavar="TOPIC", help="The bag's depth images, aligned to the colour images.")
@click.option("--hand", default="", metavar="TOPIC", help="The bag's hand positions.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option("--check", is_flag=True, help="Hold the bag against the expectations.yaml beside it; 1 where one fails.")
@click.option("--expectations", type=click.Path(path_type=Path), help="The same with another file.")
@click.option("--junit", type=click.Path(path_type=Path), help="Also write what was checked as a JUnit file.")
@click.option("--rerun", type=click.Path(path_type=Path), metavar="FILE", help="Also write a Rerun recording (.rrd).")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
@click.option("--play-only", is_flag=True, help="Only publish the bag, for an assistant that runs elsewhere.")
@click.option("--namespace", default="", help="Namespace to publish in, with --play-only.")
def command(
    bag_path: Path,
    target: str | None,
    references: tuple[Path, ...],
    rate: float,
    loop: bool,
    start: float,
    duration: float | None,
    as_json: bool,
    check: bool,
    expectations: Path | None,
    junit: Path | None,
    rerun: Path | None,
    progress: bool,
    play_only: bool,
    namespace: str,
    colour: str,
    camera_info: str,
    depth: str,
    hand: str,
    **places: Any,
) -> None:
    """Play a ROS 2 bag (sqlite3 or mcap) into the assistant, as fast as it was recorded.

    Camera topics are found by their usual names. The words spoken are printed as they come; with --json only the
    summary is printed.

    \b
    Examples:
      shelfhelp replay walk_along_the_shelf --target "Oat drink vanilla"
      shelfhelp replay walk.mcap --reference oats.jpg --rate 0.5 --json > summary.json
      shelfhelp replay walk_along_the_shelf --check --junit replay.xml
    """
    _check(rate, start, duration)
    require_ros()
    file = expectations or (beside(bag_path) if check or junit is not None else None)
    if rerun is not None and (file is not None or play_only):
        raise ShelfHelpError("--rerun records one search in this process; leave out --check and --play-only")
    if file is not None and (target or references or play_only or loop):
        raise ShelfHelpError("what is looked for stands in the expectations; leave out targets, --loop and --play-only")
    from shelfhelp_ros.nodes.bags import Bag
    from shelfhelp_ros.nodes.running import ros

    searches = (Search("", target or "", references),) if file is None else load_expectations(file)
    photos = [read_target(search.target or None, search.references) for search in searches]
    how = {"rate": rate, "loop": loop, "start": start, "duration": duration}
    with Bag(bag_path) as bag:
        topics = bag.choose_topics(colour, camera_info, depth, hand)
        length = (bag.end_ns - bag.start_ns) / 1e9
        if start >= length:
            raise ShelfHelpError(f"{bag_path} lasts {length:.1f} s; --start has to be less")
        shown = min(length - start, duration or length) if progress else None
        results: dict[str, tuple[float, tuple[Check, ...]]] = {}
        for search, of_search in zip(searches, photos, strict=True):
            began = time.monotonic()
            with ros([]), _crew() as crew:
                playing = _Playing(crew, bag, topics, how)
                if play_only:
                    playing.player_alone(namespace, search.target or None, of_search, shown)
                    return
                quiet = as_json or file is not None
                summary = playing.with_assistant(places, search.target or None, of_search, shown, quiet, rerun)
                interrupted = crew.wait(0) is not None
            summary = {"bag": str(bag_path), **summary}
            if file is None:
                click.echo(json.dumps(summary, ensure_ascii=False) if as_json else _in_words(summary))
                return
            if interrupted:
                raise click.Abort
            checks = hold_against(search, summary)
            results[search.name] = (time.monotonic() - began, checks)
            said = {"search": search.name, "checks": [asdict(found) for found in checks], **summary}
            click.echo(json.dumps(said, ensure_ascii=False) if as_json else _checked(search, checks))
    if junit is not None:
        write_junit(junit, bag_path.name, results)
    failed = [found for _, checks in results.values() for found in checks if not found.kept]
    if failed:
        raise ShelfHelpError(f"{len(failed)} expectations of {bag_path} were not kept: {failed[0].expected} …")


def _checked(search: Search, checks: Sequence[Check]) -> str:
    lines = [f"{search.name}:"]
    lines += [f"  {'kept  ' if found.kept else 'FAILED'}  {found.expected} ({found.seen})" for found in checks]
    return "\n".join(lines)


@contextmanager
def _crew() -> Iterator[Crew]:
    """Nodes that are stopped by signals, and closed in the end."""
    from shelfhelp_ros.nodes.running import Crew, stopped_by_signals

    crew = Crew()
    with stopped_by_signals(crew):
        try:
            yield crew
        finally:
            crew.close()


class _Playing:
    """One run of the player, alone or with the assistant in this process."""

    def __init__(self, crew: Crew, bag: Bag, topics: BagTopics, how: dict[str, Any]) -> None:
        self._crew, self._bag, self._topics, self._how = crew, bag, topics, how

    def player_alone(self, namespace: str, target: str | None, photos: list[bytes], shown: float | None) -> None:
        from shelfhelp_ros.nodes.bag_player import BagPlayer
        from shelfhelp_ros.nodes.client import AssistantClient

        player = self._crew.add(BagPlayer(self._bag, self._topics, namespace=namespace))
        client = self._crew.add(AssistantClient(namespace=namespace))
        # Perception offers its services once its networks are loaded: from then on no frame is lost.
        with _clock_running(player, self._begin_ns):
            client.wait_for_assistant(stopped=lambda: self._crew.wait(0) is not None)
            if target or photos:
                choose(client, target, photos)
        self._play(player, shown)

    def with_assistant(
        self,
        places: dict[str, Any],
        target: str | None,
        photos: list[bytes],
        shown: float | None,
        quiet: bool,
        rerun: Path | None,
    ) -> dict[str, Any]:
        from shelfhelp_ros.nodes.assistant import start_assistant
        from shelfhelp_ros.nodes.bag_player import BagPlayer
        from shelfhelp_ros.nodes.client import AssistantClient
        from shelfhelp_ros.nodes.search_recorder import SearchRecorder

        transport = "compressed" if self._topics.compressed else "raw"
        options = make_options(use_sim_time=True, image_transport=transport, **places)
        player = self._crew.add(BagPlayer(self._bag, self._topics))
        with _clock_running(player, self._begin_ns):
            recorder = self._crew.add(SearchRecorder(cli_args=_SIMULATED_TIME))
            if rerun is not None:
                from shelfhelp_ros.nodes.rerun_log import RerunLog

                self._crew.add(RerunLog(rerun, cli_args=_SIMULATED_TIME))
            start_assistant(
                self._crew, options, on_spoken=None if quiet else lambda said: write_line(said.text, self._crew)
            )
            # Topics find each other in their own time, and a frame that nobody hears is lost.
            self._wait_for(lambda: player.heard and recorder.connected)
            if target or photos:
                choose(self._crew.add(AssistantClient()), target, photos)
        self._play(player, shown)
        # What is being worked on when the bag ends still belongs to it.
        self._crew.wait(1.0)
        return recorder.summary(player.published, self._begin_ns)

    def _wait_for(self, connected: Callable[[], bool]) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not connected() and self._crew.wait(0.02) is None:
            if time.monotonic() > deadline:
                raise ShelfHelpError(
                    f"the nodes do not hear each other after {CONNECT_SECONDS:.0f} s; `shelfhelp doctor` checks ROS 2"
                )

    @property
    def _begin_ns(self) -> int:
        return self._bag.start_ns + round(float(self._how["start"]) * 1e9)

    def _play(self, player: BagPlayer, shown: float | None) -> None:
        with _progress_bar(shown) as advance:
            failure: list[ShelfHelpError] = []

            def run() -> None:
                try:
                    player.play(**self._how, progress=advance)
                except ShelfHelpError as error:
                    failure.append(error)
                finally:
                    finished.set()

            finished = threading.Event()
            thread = threading.Thread(target=run, name="playing", daemon=True)
            thread.start()
            while not finished.wait(0.1):
                if self._crew.wait(0) is not None:
                    player.stop()
            thread.join()
        if failure:
            raise failure[0]


@contextmanager
def _clock_running(player: BagPlayer, start_ns: int) -> Iterator[None]:
    """Keep /clock at the beginning of the bag while the nodes start: without any time no timer and no stamp works."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.05):
            player.publish_clock(start_ns)

    thread = threading.Thread(target=run, name="clock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _progress_bar(seconds: float | None) -> Iterator[Callable[[float], None]]:
    if seconds is None:
        yield lambda played: None
        return
    from tqdm import tqdm

    with tqdm(
        total=round(seconds, 1), unit="s", desc="replay", bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s"
    ) as bar:

        def advance(played: float) -> None:
            # A bag that loops begins its bar again.
            if played < bar.n:
                bar.reset()
            bar.update(min(played, seconds) - bar.n)

        yield advance


def _check(rate: float, start: float, duration: float | None) -> None:
    if not 0.01 <= rate <= 100:
        raise ShelfHelpError(f"--rate is {rate:g}; it has to be from 0.01 to 100")
    if start < 0 or (duration is not None and not duration > 0):
        raise ShelfHelpError("--start has to be 0 or more and --duration more than 0")


def _in_words(summary: dict[str, Any]) -> str:
    lines = [f"{summary['frames_worked_on']} of {summary['frames']} frames worked on"]
    if summary["products_in_view"]:
        lines.append(f"{summary['products_in_view']['median']:.0f} products in view (median)")
    lines += [f"{d['seconds']:7.1f} s  {d['decision']} ({d['probability']:.2f})" for d in summary["decisions"]]
    lines.append(f"{summary['instructions']} instructions, {len(summary['spoken'])} spoken")
    if summary["latency_ms"]:
        p50, p95 = summary["latency_ms"]["p50"], summary["latency_ms"]["p95"]
        lines.append(f"from frame to answer: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    return "\n".join(lines)
