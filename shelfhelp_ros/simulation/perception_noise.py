"""How perception errs, as measured on rendered frames: verdicts, positions, latency. Drawn from, run by run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import Decision

VERSION = 1
SITUATIONS = ("plain", "twin", "absent")
#: A pack of which less than this share is seen counts as covered.
COVERED = 0.6
MEASURED = Path(__file__).with_suffix(".yaml")

#: Counted verdicts are given this many of the situation's average, so that few frames are not taken for certainty.
_PRIOR = 4.0


@dataclass(frozen=True)
class Verdicts:
    """Share of frames by verdict: a name of ``Decision`` in lower case, or *wrong* for another product found."""

    names: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> str:
        return self.names[int(np.searchsorted(np.cumsum(self.shares), rng.random() * self.shares.sum()))]


@dataclass(frozen=True)
class PerceptionRun:
    """One run: seconds until *found* (None: never), verdicts after it while the product is clear and while it is
    covered, the standing error of its position and its spread from frame to frame (3,) metres in the optical frame.
    """

    situation: str
    distance: float
    first_found: float | None
    clear: Verdicts
    covered: Verdicts
    offset: npt.NDArray[np.float64]
    jitter: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PerceptionNoise:
    """Every measured run, and the latency from stamp to verdict (median, 95th percentile) in seconds."""

    runs: tuple[PerceptionRun, ...]
    latency: float
    latency_p95: float
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, path: Path = MEASURED) -> PerceptionNoise:
        """Read a file of ``benchmark.perception_noise``. Raises ShelfHelpError when it is none or outdated."""
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            version, rows = raw["version"], raw["runs"]
            if version != VERSION:
                raise ShelfHelpError(f"{path} has version {version}, not {VERSION}; measure perception again")
            return cls(
                _runs(rows, 1 / float(raw["frames_a_second"])),
                float(raw["latency"]["median_ms"]) / 1e3,
                float(raw["latency"]["p95_ms"]) / 1e3,
                {key: value for key, value in raw.items() if key != "runs"},
            )
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ShelfHelpError(
                f"{path} cannot be read as measured perception; write it with: "
                f"python -m shelfhelp_ros.benchmark.perception_noise {path}"
            ) from error

    def draw(self, situation: str, distance: float, rng: np.random.Generator) -> PerceptionRun:
        """A run of the situation, measured at the distance (metres) nearest to the one given."""
        runs = [run for run in self.runs if run.situation == situation]
        nearest = min(abs(run.distance - distance) for run in runs)
        fitting = [run for run in runs if abs(run.distance - distance) <= nearest + 1e-9]
        return fitting[int(rng.integers(len(fitting)))]


def _runs(rows: list[dict[str, Any]], period: float) -> tuple[PerceptionRun, ...]:
    averages = {
        (situation, view): _average([count(row) for row in rows if row["situation"] == situation])
        for situation in SITUATIONS
        for view, count in (("clear", _clear), ("covered", lambda row: row["covered"]))
    }
    known = [row for row in rows if row["offset"] is not None]
    typical = [np.median([np.abs(row[key]) for row in known], axis=0) for key in ("offset", "jitter")]
    return tuple(
        PerceptionRun(
            situation=row["situation"],
            distance=float(row["distance"]),
            first_found=None if row["first_found"] is None else (row["first_found"] + 1) * period,
            clear=_verdicts(_clear(row), averages[row["situation"], "clear"]),
            covered=_verdicts(row["covered"], averages[row["situation"], "covered"]),
            offset=np.asarray(typical[0] if row["offset"] is None else row["offset"], np.float64),
            jitter=np.asarray(typical[1] if row["jitter"] is None else row["jitter"], np.float64),
        )
        for row in rows
    )


def _clear(row: dict[str, Any]) -> dict[str, int]:
    """Verdicts while nothing covered the product; one that is not there is never covered."""
    counts = Counter(row["clear"])
    if row["situation"] == "absent":
        counts.update(row["covered"])
    return dict(counts)


def _average(counts: list[dict[str, int]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0.0) + number
    frames = sum(total.values())
    return {name: number / frames for name, number in total.items()} if frames else {"lost": 1.0}


def _verdicts(counts: dict[str, int], average: dict[str, float]) -> Verdicts:
    known = {decision.name.lower() for decision in Decision} | {"wrong"}
    names = tuple(sorted({*counts, *average}))
    if not known.issuperset(names):
        raise ValueError(f"unknown verdicts: {sorted(set(names) - known)}")
    shares = np.array([counts.get(name, 0) + _PRIOR * average.get(name, 0.0) for name in names])
    return Verdicts(names, shares / shares.sum())
