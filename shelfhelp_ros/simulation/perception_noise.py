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
from shelfhelp_ros.sightings import Decision, Verified
from shelfhelp_ros.simulation.hearing import Gesture

VERSION = 4
SITUATIONS = ("plain", "twin", "absent")
#: Where what perception speaks of is while a pack is held up.
PLACES = ("held", "wanted", "other", "nothing")
#: What stands clear of the shelf then, near the hand.
CLEAR = ("held", "hand", "nothing")
#: How a pack is held up, one after the other.
STAGES = ("shown", "closer", "top")
#: A pack of which less than this share is seen counts as covered.
COVERED = 0.6
MEASURED = Path(__file__).with_suffix(".yaml")

#: Counted verdicts are given this many of the situation's average, so that few frames are not taken for certainty.
_PRIOR = 4.0


@dataclass(frozen=True)
class Verdicts:
    """Share of frames by verdict: a name of ``Decision`` in lower case, *wrong* for another product found, or *unsure*
    for the right one that is likely, without a look-alike, and not named."""

    names: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> str:
        return self.names[int(np.searchsorted(np.cumsum(self.shares), rng.random() * self.shares.sum()))]


@dataclass(frozen=True)
class PerceptionRun:
    """One run: seconds until anything was said of it, verdicts after that while the product is clear and while it is
    covered, the standing error of its position and its spread from frame to frame (3,) metres in the optical frame.
    ``found``: whether it ever was; ``differ``: what a near-duplicate differs from the product in.
    """

    situation: str
    differ: str
    distance: float
    found: bool
    searched: float
    clear: Verdicts
    covered: Verdicts
    offset: npt.NDArray[np.float64]
    jitter: npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldVerdict:
    """What perception says in one frame while a pack is held up: ``place`` is one of PLACES, what it speaks of;
    ``clear`` is one of CLEAR, and the last two are of that by itself."""

    decision: Decision
    place: str
    verified: Verified
    probability: float
    clear: str
    clear_probability: float
    clear_verified: Verified


@dataclass(frozen=True)
class HeldRun:
    """One pack in the hand, frame by frame: from when it was ``shown`` on, from when it was asked for ``closer``, and
    from when it was to be held at its ``top``.

    ``taken``: the *right* one, its *twin*, or any *other*; ``packs``: how many of the wanted product stood there;
    ``differ``: what its near-duplicate differs from it in.
    """

    situation: str
    differ: str
    taken: str
    packs: int
    shown: tuple[HeldVerdict, ...]
    closer: tuple[HeldVerdict, ...]
    top: tuple[HeldVerdict, ...]

    def at(self, seconds: float, how: Gesture | None, period: float = 0.2) -> HeldVerdict:
        """The verdict ``seconds`` after the pack was taken, or was to be held otherwise; the last one lasts."""
        frames = {Gesture.CLOSER: self.closer, Gesture.AT_TOP: self.top}.get(how or Gesture.TAKE, self.shown)
        return frames[min(len(frames) - 1, max(0, int(seconds / period)))]


@dataclass(frozen=True)
class PerceptionNoise:
    """Every measured run, and the latency from stamp to verdict (median, 95th percentile) in seconds."""

    runs: tuple[PerceptionRun, ...]
    held: tuple[HeldRun, ...]
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
                _runs(rows, 1 / float(raw["frames_a_second"]), int(raw["frames_a_run"])),
                tuple(_held_run(row) for row in raw["held"]),
                float(raw["latency"]["median_ms"]) / 1e3,
                float(raw["latency"]["p95_ms"]) / 1e3,
                {key: value for key, value in raw.items() if key not in ("runs", "held")},
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

    def draw_held(self, shelf: PerceptionRun, taken: str, packs: int, rng: np.random.Generator) -> HeldRun:
        """A run with such a pack in the hand, where it was measured of the situation of the run on the ``shelf`` and of
        a near-duplicate that differs in the same, and with one pack, or several, of the wanted product there."""
        runs = [run for run in self.held if run.taken == taken]
        runs = [run for run in runs if run.situation == shelf.situation] or runs
        runs = [run for run in runs if run.differ == shelf.differ] or runs
        runs = [run for run in runs if (run.packs > 1) == (packs > 1)] or runs
        return runs[int(rng.integers(len(runs)))]


def _held_run(row: dict[str, Any]) -> HeldRun:
    stages = (tuple(_held_verdict(code) for code in row[stage]) for stage in STAGES)
    return HeldRun(row["situation"], row["differ"], row["taken"], int(row["packs"]), *stages)


def _held_verdict(code: str) -> HeldVerdict:
    decision, place, verified, probability, clear, clear_probability, clear_verified = code.split()
    if place not in PLACES or clear not in CLEAR:
        raise ValueError(f"unknown place: {place} or {clear}")
    return HeldVerdict(
        decision=Decision[decision.upper()],
        place=place,
        verified=Verified[verified.upper()],
        probability=float(probability),
        clear=clear,
        clear_probability=float(clear_probability),
        clear_verified=Verified[clear_verified.upper()],
    )


def _runs(rows: list[dict[str, Any]], period: float, frames: int) -> tuple[PerceptionRun, ...]:
    waits = [_searched(row, frames) for row in rows]
    rows = [{**row, "clear": _clear(row, frames)} for row in rows]
    # The hand came before the product in hardly any run in which that was never found.
    rows = [row if row["first_found"] is not None else {**row, "covered": row["clear"]} for row in rows]
    kinds = {_kind(row) for row in rows}
    averages = {
        (kind, view): _average([row[view] for row in rows if _kind(row) == kind])
        for kind in kinds
        for view in ("clear", "covered")
    }
    known = [row for row in rows if row["offset"] is not None]
    typical = [np.median([np.abs(row[key]) for row in known], axis=0) for key in ("offset", "jitter")]
    return tuple(
        PerceptionRun(
            situation=row["situation"],
            differ=row["differ"],
            distance=float(row["distance"]),
            found=row["first_found"] is not None,
            searched=searched * period,
            clear=_verdicts(row["clear"], averages[_kind(row), "clear"]),
            covered=_verdicts(row["covered"], averages[_kind(row), "covered"]),
            offset=np.asarray(typical[0] if row["offset"] is None else row["offset"], np.float64),
            jitter=np.asarray(typical[1] if row["jitter"] is None else row["jitter"], np.float64),
        )
        for row, searched in zip(rows, waits, strict=True)
    )


def _clear(row: dict[str, Any], frames: int) -> dict[str, int]:
    """Verdicts while nothing covered the product; one that is not there is never covered, and one of which nothing was
    ever said was searched for."""
    counts = Counter(row["clear"])
    if row["situation"] == "absent":
        counts.update(row["covered"])
    return dict(counts) if counts or row["covered"] else {"searching": frames}


def _kind(row: dict[str, Any]) -> tuple[str, bool]:
    """Runs whose frames say something of one another's: of one situation, with the product found, or never found."""
    return row["situation"], row["first_found"] is not None


def _searched(row: dict[str, Any], frames: int) -> int:
    """Frames until something was said of the product. Once it was, every frame is counted."""
    if row["first_found"] is not None:
        return 1 + int(row["first_found"])
    if row["situation"] == "absent":
        return 0
    said = [int(count) for view in ("clear", "covered") for count in row[view].values()]
    return 1 + max(0, frames - sum(said))


def _average(counts: list[dict[str, int]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0.0) + number
    frames = sum(total.values())
    return {name: number / frames for name, number in total.items()} if frames else {"lost": 1.0}


def _verdicts(counts: dict[str, int], average: dict[str, float]) -> Verdicts:
    known = {decision.name.lower() for decision in Decision} | {"wrong", "unsure"}
    names = tuple(sorted({*counts, *average}))
    if not known.issuperset(names):
        raise ValueError(f"unknown verdicts: {sorted(set(names) - known)}")
    shares = np.array([counts.get(name, 0) + _PRIOR * average.get(name, 0.0) for name in names])
    return Verdicts(names, shares / shares.sum())
