"""Is a product gone, or is something (most often the person's own hand) in front of it?

A shelf does not move. When the depth where a product stood becomes nearer than the product, while the depths of the
other products stay as they were, something came between: the product is still there, at the distance known before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

ENOUGH_TO_TELL = 5


@dataclass(frozen=True)
class OcclusionSettings:
    """``nearer_m`` and ``nearer_share``: how much nearer (metres; share of the distance) than the product a thing has
    to be to stand before it. ``hidden_for_s``: seconds for which a product out of sight is taken to be there."""

    nearer_m: float = 0.04
    nearer_share: float = 0.06
    hidden_for_s: float = 8.0


@dataclass(frozen=True)
class Measured:
    """Depths in metres where a track is: ``distance`` of its middle, with its ``spread``; a good part of it is nearer
    than ``front``."""

    distance: float
    front: float
    spread: float = 0.0


@dataclass
class _Known:
    distance: float
    front: float
    hidden_since_ns: int | None = None


@dataclass
class DistanceMemory:
    """The distance (metres along the optical axis) of each tracked product, kept while something covers it."""

    settings: OcclusionSettings = field(default_factory=OcclusionSettings)
    _known: dict[int, _Known] = field(default_factory=dict)

    def update(self, measured: Mapping[int, Measured | None], stamp_ns: int, growth: float = 1.0) -> None:
        """Take in one frame: the depths now measured where each live track is, None where there are none.

        ``growth`` is the factor by which the camera's motion enlarged the picture; it tells of a camera that comes
        nearer when there are too few products to tell. Tracks that are not named are forgotten.
        """
        approach = self._approach(measured, 1.0 / growth)
        known: dict[int, _Known] = {}
        for track_id, depths in measured.items():
            before = self._known.get(track_id)
            if before is None:
                if depths is not None:
                    known[track_id] = _Known(depths.distance, depths.front)
                continue
            distance, front = before.distance * approach, before.front * approach
            if depths is None or depths.front < front - self._margin(distance):
                since = stamp_ns if before.hidden_since_ns is None else before.hidden_since_ns
                known[track_id] = _Known(distance, front, since)
            else:
                known[track_id] = _Known(depths.distance, depths.front)
        self._known = known

    def distance(self, track_id: int) -> float | None:
        """How far the product is, also while it is covered; None when that was never seen."""
        known = self._known.get(track_id)
        return None if known is None else known.distance

    def covered(self, track_id: int, stamp_ns: int) -> bool:
        """Whether something stands before the product, for no longer than can be believed."""
        known = self._known.get(track_id)
        if known is None or known.hidden_since_ns is None:
            return False
        return 0 <= stamp_ns - known.hidden_since_ns <= self.settings.hidden_for_s * 1e9

    def _margin(self, distance: float) -> float:
        return max(self.settings.nearer_m, self.settings.nearer_share * distance)

    def _approach(self, measured: Mapping[int, Measured | None], otherwise: float) -> float:
        """The factor by which the shelf as a whole came nearer or went away, when enough products tell."""
        ratios = [
            depths.distance / self._known[track_id].distance
            for track_id, depths in measured.items()
            if depths is not None and track_id in self._known
        ]
        return float(np.median(ratios)) if len(ratios) >= ENOUGH_TO_TELL else otherwise
