"""The closed loop, many times over: the same people in the same situations, once with each planner."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.gains import Gains
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Planner, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.simulation.advantage import quicker
from shelfhelp_ros.simulation.baselines import ContinuousWords, FewestPhrases, GreedyPhrase
from shelfhelp_ros.simulation.fast_loop import FastEpisode
from shelfhelp_ros.simulation.listeners import POPULATIONS, draw_person
from shelfhelp_ros.simulation.perception_noise import PerceptionNoise
from shelfhelp_ros.simulation.racks import SITUATIONS, draw_scene

Record = dict[str, Any]

PLANNER = "phrase_planner"
#: Searches that one person does one after the other; what the planner learns of them is kept.
SEARCHES = 5
USUAL = GuidanceSettings()


@dataclass(frozen=True)
class Baseline:
    """A planner to compare with, and the settings with which it does best."""

    planner: Callable[..., Planner]
    settings: GuidanceSettings = USUAL


BASELINES = {
    "worst_axis_first": Baseline(WorstAxisFirst),
    "greedy_phrase": Baseline(GreedyPhrase),
    "shelfhelp_discrete": Baseline(FewestPhrases),
    "continuous_words": Baseline(ContinuousWords, replace(USUAL, repeat_after=0.0)),
}


@dataclass(frozen=True)
class EpisodesSettings:
    """``planners`` are *phrase_planner* and names of BASELINES."""

    episodes: int = 1000
    seed: int = 0
    people: str = "fitted"
    planners: tuple[str, ...] = (PLANNER, *BASELINES)


def run_episodes(
    settings: EpisodesSettings, workers: int | None = None, progress: Callable[[int], object] = lambda count: None
) -> list[Record]:
    """One record an episode and planner, in their order; the same whatever the number of ``workers`` (default: cores).

    ``progress`` is called with the number of episodes that were just done. Raises ShelfHelpError for unknown people.
    """
    if settings.people not in POPULATIONS:
        raise ShelfHelpError(f"people are {settings.people!r}; they have to be one of {', '.join(POPULATIONS)}")
    PerceptionNoise.load()
    people = range(-(-settings.episodes // SEARCHES))
    jobs = [(settings, name, person) for person in people for name in settings.planners]
    records: list[Record] = []
    for done in _mapped(jobs, workers or len(os.sched_getaffinity(0))):
        records += done
        progress(len(done))
    order = {name: number for number, name in enumerate(settings.planners)}
    return sorted(records, key=lambda record: (order[record["planner"]], record["episode"]))


def _mapped(jobs: list[tuple[EpisodesSettings, str, int]], workers: int) -> Iterator[list[Record]]:
    if workers == 1:
        yield from map(_searches_of, jobs)
        return
    # One thread a process: the workers take every core already.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_searches_of, jobs, chunksize=4)


@lru_cache(maxsize=1)
def _shared() -> tuple[PerceptionNoise, Phrases]:
    return PerceptionNoise.load(), Phrases.load()


def _searches_of(job: tuple[EpisodesSettings, str, int]) -> list[Record]:
    """All searches of one person with one planner."""
    return [{**facts, **asdict(search.run())} for facts, search in searches(*job)]


def searches(
    settings: EpisodesSettings, name: str, number: int, kind: type[FastEpisode] = FastEpisode
) -> Iterator[tuple[Record, FastEpisode]]:
    """The searches of one person with one planner, what a record says of each first; run each before the next."""
    noise, phrases = _shared()
    person = draw_person(POPULATIONS[settings.people], settings.seed, number)
    baseline = BASELINES.get(name)
    guidance = baseline.settings if baseline else USUAL
    made: list[PhrasePlanner] = []

    def learning(settings: GuidanceSettings, phrases: Phrases) -> Planner:
        made.append(PhrasePlanner(settings, phrases, made[-1].gains if made else Gains.prior()))
        return made[-1]

    for search in range(min(SEARCHES, settings.episodes - number * SEARCHES)):
        episode = number * SEARCHES + search
        rng = np.random.default_rng([settings.seed, episode, 3])
        scene = draw_scene(SITUATIONS[episode % len(SITUATIONS)], rng)
        planner = baseline.planner if baseline else learning
        episode_run = kind(scene, person, noise, planner, guidance, phrases, (settings.seed, episode))
        facts = {"planner": name, "episode": episode, "person": number, "search": search}
        yield {**facts, "situation": scene.situation.name}, episode_run


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """The figures of one planner's records.

    Seconds and instructions are of the successful searches for a product that is there; rates are of all searches.
    """
    served = _served(records)
    seconds = [r["seconds"] for r in served]
    first = [r["seconds"] for r in served if r["search"] == 0]
    present = [r for r in records if r["straight"] == r["straight"]]
    return {
        "episodes": len(records),
        "success_rate": _share([r["success"] for r in records]),
        "median_seconds": _percentile(seconds, 50),
        "p90_seconds": _percentile(seconds, 90),
        "median_seconds_of_a_first_search": _percentile(first, 50),
        "median_instructions": _percentile([r["instructions"] for r in served], 50),
        "wrong_item_rate": _share([r["wrong_item"] for r in records]),
        "put_back_rate": _share([r["put_back"] > 0 for r in present]),
        "touched_neighbour_rate": _share([r["neighbours"] > 0 for r in present]),
        "stale_directions": sum(r["stale"] for r in records),
        "overlapping_instructions": sum(r["overlaps"] for r in records),
        "failures": dict(Counter(r["cause"] for r in records if not r["success"]).most_common()),
    }


def _served(records: Sequence[Record]) -> list[Record]:
    """The searches that ended with the product in the hand."""
    return [r for r in records if r["success"] and r["outcome"] == "done"]


def results(
    records: Sequence[Record], settings: EpisodesSettings, commit: str, mode: Literal["fast", "rendered"] = "fast"
) -> dict[str, Any]:
    """Everything as JSON-ready data: the planner's figures, those of the baselines, and every record."""
    by_planner = {name: [r for r in records if r["planner"] == name] for name in settings.planners}
    figures = {name: summary(rows) for name, rows in by_planner.items()}
    ours = figures.pop(PLANNER, {})
    medians = {name: row["median_seconds"] for name, row in figures.items() if row["median_seconds"] is not None}
    best = min(medians, key=lambda name: medians[name], default="")
    faster = quicker(_served(by_planner.get(PLANNER, [])), _served(by_planner.get(best, [])))
    return {
        **ours,
        "best_baseline": best,
        "quicker_than_best_baseline": None if faster is None else round(faster[0], 3),
        "quicker_interval_95": None if faster is None else [round(limit, 3) for limit in faster[1:]],
        "baselines": figures,
        "mode": mode,
        "seed": settings.seed,
        "population": settings.people,
        "commit": commit,
        "perception": dict(PerceptionNoise.load().facts) if mode == "fast" else {},
        "situations": {
            name: summary([r for r in by_planner.get(PLANNER, []) if r["situation"] == name])
            for name in dict.fromkeys(r["situation"] for r in records)
        },
        "records": [_tidy(record) for record in records],
    }


def _tidy(record: Record) -> Record:
    """JSON knows no NaN."""
    return {key: None if value != value else value for key, value in record.items()}


def _percentile(values: Sequence[float], share: float) -> float | None:
    return round(float(np.percentile(values, share)), 2) if len(values) else None


def _share(values: Sequence[bool]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
