"""How large the products on the shelf are in metres: what looks the same but is of another size is another product."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.sightings import FloatArray

# A size is known from so many measurements on; of many the last dozen or so count.
_FEWEST, _KEPT = 4, 12
# A box that changes by more than this share of itself is now of the whole product and now of a part of it.
_STEADY = 0.05
_UNKNOWN = (math.nan, math.nan)


@dataclass
class _Side:
    """Running mean and variance of one side, metres."""

    mean: float = 0.0
    variance: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.count = min(self.count + 1, _KEPT)
        share = 1.0 / self.count
        off = value - self.mean
        self.mean += share * off
        self.variance = (1.0 - share) * (self.variance + share * off * off)

    @property
    def known(self) -> bool:
        return self.count >= _FEWEST and self.variance <= (_STEADY * self.mean) ** 2


class Sizes:
    """The width and height of each track, as they were measured by and by."""

    def __init__(self) -> None:
        self._sides: dict[int, tuple[_Side, _Side]] = {}

    def learn(self, measured: Mapping[int, tuple[float, float]], alive: Collection[int]) -> None:
        """Take in the width and height, metres, of the tracks that one frame shows whole; all but those ``alive`` are
        forgotten."""
        self._sides = {track_id: sides for track_id, sides in self._sides.items() if track_id in alive}
        for track_id, size in measured.items():
            for side, value in zip(self._sides.setdefault(track_id, (_Side(), _Side())), size, strict=True):
                side.add(value)

    def of(self, track_ids: Sequence[int]) -> FloatArray:
        """T×2 widths and heights, metres; NaN where too few were measured, or they do not agree."""
        return np.array([self._of(track_id) for track_id in track_ids], np.float32).reshape(-1, 2)

    def _of(self, track_id: int) -> tuple[float, float]:
        sides = self._sides.get(track_id)
        if sides is None or not (sides[0].known and sides[1].known):
            return _UNKNOWN
        return sides[0].mean, sides[1].mean
