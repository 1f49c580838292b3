"""Where the product is, from the hand or the camera, for as long as that is known from fresh data.

What is felt and what sounds between the words follows the data themselves, and not the instructions, which come seldom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.phases import ACTIVE, Phase
from shelfhelp_ros.guidance.planner import Offset
from shelfhelp_ros.guidance.settings import AHEAD_NS, FRESH_NS, GuidanceSettings
from shelfhelp_ros.sightings import Decision, TargetSighting


@dataclass(frozen=True)
class Heading:
    """An offset, with the stamp and frame of the older of the data that it rests on."""

    offset: Offset
    stamp_ns: int
    frame_id: str

    @property
    def valid_until_ns(self) -> int:
        return self.stamp_ns + FRESH_NS


@dataclass(frozen=True)
class _Seen:
    sighting: TargetSighting
    arrived_ns: int

    def fresh(self, now_ns: int) -> bool:
        return _fresh(self.sighting.stamp_ns, self.arrived_ns, now_ns)


@dataclass(frozen=True)
class _Hand:
    xyz: npt.NDArray[np.float64]
    stamp_ns: int
    frame_id: str
    arrived_ns: int


class Way:
    """Takes in sightings, hand positions and the phases that the guide goes through; tells the way at any moment.

    There is none unless a search is on (a phase of a search was the last one heard), the product is found, and both the
    sighting and a hand that is being waited for are less than 300 ms old, by their stamps and by when they arrived.
    Times are nanoseconds of the clock that stamps the images. ``heading`` may be called from any thread.
    """

    def __init__(self, settings: GuidanceSettings | None = None) -> None:
        self.settings = settings or GuidanceSettings()
        self.phase = Phase.IDLE
        self._seen: _Seen | None = None
        self._hand: _Hand | None = None

    def on_phase(self, phase: Phase) -> None:
        self.phase = phase

    def on_sighting(self, sighting: TargetSighting, now_ns: int) -> None:
        """The newest verdict; one without a target tells that nothing is being looked for."""
        seen = self._seen
        if not sighting.target_id:
            self._seen = None
        elif seen is None or sighting.stamp_ns >= seen.sighting.stamp_ns or not seen.fresh(now_ns):
            self._seen = _Seen(sighting, now_ns)

    def on_hand(
        self,
        xyz: npt.NDArray[np.float64],
        covariance: npt.NDArray[np.float64],
        stamp_ns: int,
        frame_id: str,
        now_ns: int,
    ) -> None:
        """The palm is at ``xyz`` (3,) metres; ignored when it is not finite or less certain than ``hand_spread``."""
        variances = np.diagonal(covariance)
        if np.isfinite(xyz).all() and (variances <= self.settings.hand_spread**2).all():
            self._hand = _Hand(xyz, stamp_ns, frame_id, now_ns)

    def heading(self, now_ns: int) -> Heading | None:
        """The way at ``now_ns``, None when it is not known."""
        seen = self._seen
        if self.phase not in ACTIVE or seen is None or not seen.fresh(now_ns):
            return None
        sighting = seen.sighting
        if sighting.decision is not Decision.FOUND or sighting.product is None:
            return None
        bearing = np.asarray(sighting.product.bearing, np.float64)
        position = sighting.product.position
        xyz = None if position is None else np.asarray(position.xyz, np.float64)
        if xyz is not None and not (np.isfinite(xyz).all() and xyz[2] > 0):
            xyz = None
        if not np.isfinite(bearing).all() or bearing[2] <= 0:
            return None
        hand = self._awaited_hand(sighting, now_ns)
        if hand is None:
            return Heading(_from_camera(bearing, xyz), sighting.stamp_ns, sighting.frame_id)
        if not _fresh(hand.stamp_ns, hand.arrived_ns, now_ns):
            return None
        offset = _from_hand(hand.xyz, bearing, xyz, self.settings.palm_standoff)
        return Heading(offset, min(sighting.stamp_ns, hand.stamp_ns), sighting.frame_id)

    def _awaited_hand(self, sighting: TargetSighting, now_ns: int) -> _Hand | None:
        """The last hand in the camera's frame; None when there was none, or so long ago that it is given up."""
        hand = self._hand
        if hand is None or (hand.frame_id and sighting.frame_id and hand.frame_id != sighting.frame_id):
            return None
        age_ns = max(abs(now_ns - hand.stamp_ns), abs(now_ns - hand.arrived_ns))
        return hand if age_ns <= self.settings.hand_forget * 1e9 else None


def rate(size: float, near: float, far: float, slowest: float, fastest: float) -> float:
    """Beats a second for an offset of ``size``: ``fastest`` at ``near`` and less, ``slowest`` at ``far`` and more.

    ``fastest · (slowest / fastest)^u`` with ``u = clip((size - near) / (far - near), 0, 1)``: equal steps of distance
    are equal ratios of tempo, as differences of tempo are perceived (Weber's law). A size that is not finite is far.
    """
    u = min(1.0, max(0.0, (size - near) / (far - near))) if math.isfinite(size) else 1.0
    return float(fastest * (slowest / fastest) ** u)


def _fresh(stamp_ns: int, arrived_ns: int, now_ns: int) -> bool:
    return -AHEAD_NS <= now_ns - stamp_ns < FRESH_NS and 0 <= now_ns - arrived_ns < FRESH_NS


def _from_camera(bearing: npt.NDArray[np.float64], xyz: npt.NDArray[np.float64] | None) -> Offset:
    x, y = (math.degrees(math.atan2(value, bearing[2])) for value in bearing[:2])
    return Offset("camera", x, y, math.nan if xyz is None else float(xyz[2]))


def _from_hand(
    hand: npt.NDArray[np.float64],
    bearing: npt.NDArray[np.float64],
    xyz: npt.NDArray[np.float64] | None,
    standoff: float,
) -> Offset:
    """From the palm to its goal in front of the product; without the product's depth, at the depth of the hand."""
    if xyz is not None:
        x, y, z = (float(value) for value in xyz - hand)
        return Offset("hand", x, y, z - standoff)
    x, y = (float(value) for value in bearing[:2] / bearing[2] * max(hand[2], 0.0) - hand[:2])
    return Offset("hand", x, y, math.nan)
