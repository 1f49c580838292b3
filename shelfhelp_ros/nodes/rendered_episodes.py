"""Searches through the real perception and the real graph, one after the other, with records like the fast ones."""

from __future__ import annotations

import json
import math
import os
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.episode import EpisodeSettings, NothingInView, run_episode
from shelfhelp_ros.simulation.episodes import PLANNER, SEARCHES, Record
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.recording import Recording

#: Shelves that are tried for an episode until one shows a product in clear view.
_SHELVES = 5


@dataclass(frozen=True)
class RenderedSettings:
    """``people`` is one of POPULATIONS. Every person does five searches, on a shelf of each layout."""

    episodes: int
    seed: int = 0
    people: str = "fitted"
    rate: float = 3.0
    timeout: float = 90.0


class RenderedEpisodes:
    """Runs what is missing. ``folder`` keeps every finished record, so that a run that was killed goes on.

    Raises ShelfHelpError when the folder holds another run, or a part does not start.
    """

    def __init__(self, settings: RenderedSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self._kept = folder / "records.jsonl"
        self.records = self._read()

    def run(
        self, progress: Callable[[int], object], video: tuple[int, Callable[[Recording], object]] | None = None
    ) -> None:
        """Run every episode that has no record yet; ``progress`` is called with their number so far.

        ``video``: a number, and what to do with the recording of that episode, which is run again if need be.
        """
        filmed = video[0] if video is not None else -1
        with _data_folder(self.folder):
            for number in range(self.settings.episodes):
                known = any(record["episode"] == number for record in self.records)
                if known and number != filmed:
                    continue
                recording = self._search(number, film=number == filmed)
                if video is not None and number == filmed:
                    video[1](recording)
                if not known:
                    self._keep(record_of(recording, number))
                progress(len(self.records))

    def discard(self) -> None:
        """Remove the folder: every record is written elsewhere now."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> list[Record]:
        if not self._kept.is_file():
            return []
        lines = self._kept.read_text(encoding="utf-8").splitlines()
        # The last line of a run that was killed may be cut off.
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        if not whole or whole[0] != self._head():
            raise ShelfHelpError(f"{self.folder} holds another run; remove it, or give another --json FILE")
        return whole[1:]

    def _head(self) -> dict[str, Any]:
        """What has to be the same in a run that goes on; there may be more episodes of it."""
        return {"settings": {name: value for name, value in asdict(self.settings).items() if name != "episodes"}}

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(line) + "\n" for line in (self._head(), *self.records))
            part = self._kept.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._kept)
        except OSError as error:
            raise ShelfHelpError(
                f"{self.folder} cannot be written ({error.strerror}); choose another --json FILE"
            ) from error

    def _search(self, number: int, film: bool) -> Recording:
        settings, person = self.settings, number // SEARCHES
        for attempt in range(_SHELVES):
            episode = EpisodeSettings(
                folder=self.folder / "search",
                seed=(settings.seed * 10_000 + number * _SHELVES + attempt) % 1_000_000,
                layout=layout_of(number),
                rate=settings.rate,
                timeout=settings.timeout,
                speech="text",
                video=film,
                people=settings.people,
                person=settings.seed * 1000 + person,
                listener=f"person{person}",
            )
            try:
                return run_episode(episode, lambda line: None, lambda said: None)
            except NothingInView:
                continue
        raise ShelfHelpError(f"no shelf of episode {number} shows a product in clear view; choose another --seed")


def layout_of(number: int) -> str:
    """The layout of an episode's shelf: all in turn."""
    return list(LAYOUTS)[number % len(LAYOUTS)]


def record_of(recording: Recording, number: int) -> Record:
    """The record of one search, with the keys of the fast ones."""
    success = recording.outcome == "done"
    ages = [said.age_ms for said in recording.utterances if math.isfinite(said.age_ms)]
    phases = [said.phase for said in recording.utterances]
    return {
        "planner": PLANNER,
        "episode": number,
        "person": number // SEARCHES,
        "search": number % SEARCHES,
        "situation": layout_of(number),
        "outcome": recording.outcome,
        "success": success,
        "cause": "" if success else _cause(recording),
        "seconds": round(recording.seconds, 2),
        "instructions": max(0, len(recording.utterances) - 1),
        "wrong_item": recording.outcome == "wrong product",
        "stale": sum(age >= 300 for age in ages),
        "overlaps": _overlaps(recording),
        "neighbours": sum(name != recording.product for name in recording.touches),
        "put_back": sum(one == "wrong_item" != before for before, one in zip(["", *phases], phases, strict=False)),
        "path": round(recording.path, 3),
        "straight": round(recording.distances[0].metres, 3) if recording.distances else None,
        "said": [[round(said.seconds, 2), said.text] for said in recording.utterances],
    }


def _cause(recording: Recording) -> str:
    decisions = {verdict.decision for verdict in recording.verdicts}
    if recording.outcome == "wrong product":
        return "another product was taken for it"
    if "found" not in decisions:
        return "asked which of two look-alikes" if "ambiguous" in decisions else "never found"
    return "the hand touched nothing" if recording.outcome == "not touched" else "not in the hand in time"


def _overlaps(recording: Recording) -> int:
    """Instructions that were given while the voice spoke, by the clock of those who published both."""
    times = [at for at, _ in recording.speaking_ns]
    states = [False, *(on for _, on in recording.speaking_ns)]
    return sum(states[bisect_right(times, at)] for at in recording.instructed_ns)


@contextmanager
def _data_folder(folder: Path) -> Iterator[None]:
    """What is learnt of simulated people is kept with the run, and not with the user's own."""
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder.absolute() / "data")
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before
