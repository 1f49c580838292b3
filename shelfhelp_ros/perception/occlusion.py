"""Is a product gone, or is something (most often the person's own hand) in front of it?

A shelf does not move. When the depth where a product stood becomes nearer than the product, while the depths of the
other products stay as they were, something came between: the product is still there, at the distance known before.
Unless it is still detected and has grown as a thing does that comes nearer: then somebody took it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

ENOUGH_TO_TELL = 5
# Of the growth that a thing shows that comes nearer; boxes are not exact, and a hand hides a part.
_SHARE_OF_GROWTH = 0.6


@dataclass(frozen=True)
class OcclusionSettings:
    """``nearer_m`` and ``nearer_share``: how much nearer (metres; share of the distance) than the product a thing has
    to be to stand before it. ``hidden_for_s``: seconds for which a product out of sight is taken to be there."""

    nearer_m: float = 0.04
    nearer_share: float = 0.06
    hidden_for_s: float = 20.0


@dataclass(frozen=True)
class Measured:
    """Depths in metres where a track is: ``distance`` of its middle, with its ``spread``; a good part of it is nearer
    than ``front``. ``height``: pixels of its box where it was detected, else None."""

    distance: float
    front: float
    spread: float = 0.0
    height: float | None = None


@dataclass
class _Known:
    distance: float
    front: float
    hidden_since_ns: int | None = None
    height: float | None = None


@dataclass
class DistanceMemory:
    """The distance (metres along the optical axis) of each tracked product, kept while something covers it."""

    settings: OcclusionSettings = field(default_factory=OcclusionSettings)
    _known: dict[int, _Known] = field(default_factory=dict)

    def update(self, measured: Mapping[int, Measured | None], stamp_ns: int, growth: float = 1.0) -> set[int]:
        """Take in one frame: the depths now measured where each live track is, None where there are none. Answers with
        the tracks that came nearer by themselves: what was taken, or a thing that is another one from now on.

        ``growth`` is the factor by which the camera's motion enlarged the picture; it tells of a camera that comes
        nearer when there are too few products to tell. Tracks that are not named are forgotten.
        """
        approach = self._approach(measured, 1.0 / growth)
        known: dict[int, _Known] = {}
        taken: set[int] = set()
        for track_id, depths in measured.items():
            before = self._known.get(track_id)
            if before is None:
                if depths is not None:
                    known[track_id] = _Known(depths.distance, depths.front, height=depths.height)
                continue
            distance, front = before.distance * approach, before.front * approach
            nearer = depths is None or depths.front < front - self._margin(distance)
            if depths is None or (nearer and not self._came_nearer(before, depths)):
                since = stamp_ns if before.hidden_since_ns is None else before.hidden_since_ns
                height = None if before.height is None else before.height / approach
                known[track_id] = _Known(distance, front, since, height)
            else:
                known[track_id] = _Known(depths.distance, depths.front, height=depths.height or before.height)
                if nearer:
                    taken.add(track_id)
        self._known = known
        return taken

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

    def stands_before(self, track_id: int, measured: Measured | None) -> bool:
        """Whether all that was measured at a covered track is nearer than the product: the thing that covers it."""
        known = self._known.get(track_id)
        if known is None or known.hidden_since_ns is None or measured is None:
            return False
        return measured.distance < known.distance - self._margin(known.distance)

    def _came_nearer(self, before: _Known, now: Measured) -> bool:
        """Whether the thing itself is nearer than it was: all of it, and larger by as much as that makes it."""
        if now.height is None or before.height is None or now.distance >= before.distance - self._margin(now.distance):
            return False
        expected = before.distance / now.distance - 1
        return now.height / before.height - 1 >= _SHARE_OF_GROWTH * expected

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
