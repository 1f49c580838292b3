"""How much quicker one planner is than another, and how far other people would have said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DRAWS = 2000


def quicker(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> tuple[float, float, float] | None:
    """The share by which the median of ``ours`` is less than that of ``theirs``, and its 95 % interval.

    Records are those of successful searches, with ``person`` and ``seconds``; None without any. The interval is the
    percentile bootstrap (Efron 1979) over people, each drawn with all their searches and the same for both.
    """
    if not ours or not theirs:
        return None
    people = sorted({record["person"] for record in (*ours, *theirs)})
    tables = [_seconds_of(records, people) for records in (ours, theirs)]
    chosen = np.random.default_rng(0).integers(len(people), size=(_DRAWS, len(people)))
    drawn = [_advantage(*(np.concatenate([table[one] for one in draw]) for table in tables)) for draw in chosen]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return _advantage(*(np.concatenate(table) for table in tables)), float(low), float(high)


def _seconds_of(records: Sequence[dict[str, Any]], people: Sequence[int]) -> list[Floats]:
    """The seconds of each person's searches."""
    return [np.array([r["seconds"] for r in records if r["person"] == person], np.float64) for person in people]


def _advantage(ours: Floats, theirs: Floats) -> float:
    return float(1 - np.median(ours) / np.median(theirs)) if len(ours) and len(theirs) else float("nan")
