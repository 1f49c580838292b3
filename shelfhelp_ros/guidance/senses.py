"""The newest sighting and the newest place of the hand, and whether they are fresh enough to speak of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.offsets import Vector
from shelfhelp_ros.guidance.pacing import Stopwatch
from shelfhelp_ros.guidance.settings import AHEAD_NS, FRESH_NS
from shelfhelp_ros.guidance.stillness import Stillness
from shelfhelp_ros.sightings import TargetSighting


@dataclass(frozen=True)
class Hand:
    """Where the palm was, (3,) metres in the optical frame, at ``stamp_ns``; ``arrived`` is the stopwatch's time."""

    xyz: Vector
    stamp_ns: int
    arrived: float


class Senses:
    """Keeps one sighting and one hand. The sighting is given out only while it is fresh: younger than ``FRESH_NS`` by
    its stamp, and by its arrival too, in case the clock jumped back since. ``hand`` may be older, see ``awaited_hand``;
    ``still`` tells for how long it has been where it is.
    """

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._sighting: TargetSighting | None = None
        self._arrived = 0.0
        self.hand: Hand | None = None
        self.still = Stillness()

    def see(self, sighting: TargetSighting) -> None:
        """This is the newest sighting."""
        self._sighting, self._arrived = sighting, self._stopwatch.seconds

    def forget_sighting(self) -> None:
        self._sighting = None

    def hand_at(self, position: npt.ArrayLike, covariance: npt.ArrayLike | None, stamp_ns: int, spread: float) -> bool:
        """The palm is at ``position``, with ``covariance`` 3×3 metres² or None. Whether it counts: one that is not
        finite, or less certain than ``spread`` metres on any axis, does not."""
        xyz = np.asarray(position, np.float64)
        if xyz.shape != (3,) or not np.isfinite(xyz).all():
            return False
        if covariance is not None:
            variances = np.diagonal(np.asarray(covariance, np.float64))
            if not (np.isfinite(variances).all() and (variances <= spread**2).all()):
                return False
        self.hand = Hand(xyz, stamp_ns, self._stopwatch.seconds)
        self.still.add(xyz, stamp_ns)
        return True

    def sighting(self, now_ns: int) -> TargetSighting | None:
        """The newest sighting, while it is fresh."""
        fresh = self._sighting is not None and self._fresh(self._sighting.stamp_ns, self._arrived, now_ns)
        return self._sighting if fresh else None

    def is_newest(self, sighting: TargetSighting, now_ns: int) -> bool:
        """Whether a sighting that arrives now is fresh, and not overtaken by a newer one."""
        known = self.sighting(now_ns)
        overtaken = known is not None and sighting.stamp_ns < known.stamp_ns
        return self._fresh(sighting.stamp_ns, self._stopwatch.seconds, now_ns) and not overtaken

    def awaited_hand(self, now_ns: int, forget_after: float) -> float | None:
        """Seconds since a hand that was seen before was last seen; None when it is in view, or never was. One that was
        not seen for ``forget_after`` seconds is forgotten."""
        hand = self.hand
        if hand is None:
            return None
        age = max(abs(now_ns - hand.stamp_ns) / 1e9, self._stopwatch.seconds - hand.arrived)
        if age > forget_after:
            self.hand = None
            return None
        return None if self._fresh(hand.stamp_ns, hand.arrived, now_ns) else age

    def _fresh(self, stamp_ns: int, arrived: float, now_ns: int) -> bool:
        waited = self._stopwatch.seconds - arrived
        return -AHEAD_NS <= now_ns - stamp_ns < FRESH_NS and waited < FRESH_NS / 1e9
