"""Where the user's hand is: what one picture shows of hands, which of them is the user's, and its way through time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand_filter import FilterSettings, HandFilter
from shelfhelp_ros.sightings import Frame, Position

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

#: How wrong an assumed field of view may make a position across the picture, as a share of the distance.
ASSUMED_LENS = 0.1


@dataclass(frozen=True)
class HandMeasurement:
    """One hand in one picture: ``xyz`` (3,) metres in the optical frame, 3×3 covariances in metres².

    ``noise`` changes from picture to picture, so a filter averages it away. ``bias`` does not (a hand larger than the
    average, a marker put on askew), so it stays in whatever is published. ``upward``: how far the fingers point up in
    the picture, 1 up, -1 down.
    """

    xyz: Vector
    noise: Matrix
    bias: Matrix
    upward: float = 1.0


class HandSource(Protocol):
    """Finds hands in pictures."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def find(self, frame: Frame, camera: CameraModel) -> list[HandMeasurement]:
        """Every hand in one frame; ``camera`` is that of the colour image."""

    def close(self) -> None:
        """Let go of the model."""


@dataclass(frozen=True)
class HandSettings:
    """``farthest``: metres from the camera beyond which a hand is not the user's. ``lost_after_s``: seconds without a
    measurement after which the track is forgotten. ``settle``: measurements that have to agree before a hand counts.
    ``field_of_view_degrees``: horizontal, for cameras without camera_info.
    """

    farthest: float = 1.2
    lost_after_s: float = 0.6
    settle: int = 2
    field_of_view_degrees: float = 69.0
    filter: FilterSettings = field(default_factory=FilterSettings)


class HandTracker:
    """Follows the user's hand from picture to picture. A picture that does not show it gives no position.

    The first measurement begins a track, ``settle`` of them that agree make it count. Then the measurement that is
    likeliest under the track is the hand, and those outside its gate are left out. A track that gets none for
    ``lost_after_s`` ends.
    """

    def __init__(self, settings: HandSettings | None = None) -> None:
        self.settings = settings or HandSettings()
        self._filter: HandFilter | None = None
        self._agreed = 0
        self._seen_ns = 0

    @property
    def tracking(self) -> bool:
        """Whether there is a hand that counts."""
        return self._filter is not None and self._agreed >= self.settings.settle

    def update(self, hands: Sequence[HandMeasurement], stamp_ns: int) -> Position | None:
        """The hand at the time of a picture that shows ``hands``; None unless the picture shows the user's.

        Stamps are nanoseconds; one before the last (a bag that begins again) begins a new track.
        """
        self._forget_if_lost(stamp_ns)
        near = [hand for hand in hands if hand.xyz[2] > 0 and np.linalg.norm(hand.xyz) <= self.settings.farthest]
        hand = self._begin(near, stamp_ns) if self._filter is None else self._follow(near, stamp_ns)
        if hand is None or self._filter is None or not self.tracking:
            return None
        return Position(self._filter.xyz, self._filter.covariance + hand.bias)

    def _forget_if_lost(self, stamp_ns: int) -> None:
        if not 0 <= stamp_ns - self._seen_ns <= self.settings.lost_after_s * 1e9:
            self._filter, self._agreed = None, 0

    def _begin(self, hands: Sequence[HandMeasurement], stamp_ns: int) -> HandMeasurement | None:
        """Start a track with the hand that is most likely the user's."""
        hand = min(hands, key=unlikeliness, default=None)
        if hand is not None:
            self._filter = HandFilter(hand.xyz, hand.noise, self.settings.filter)
            self._agreed, self._seen_ns = 1, stamp_ns
        return hand

    def _follow(self, hands: Sequence[HandMeasurement], stamp_ns: int) -> HandMeasurement | None:
        """Take in the measurement that fits the track best; None when none fits."""
        assert self._filter is not None
        ahead = self._filter.predicted((stamp_ns - self._seen_ns) / 1e9)
        hand = min(hands, key=lambda hand: ahead.distance(hand.xyz, hand.noise + hand.bias), default=None)
        if hand is None or ahead.distance(hand.xyz, hand.noise + hand.bias) > self.settings.filter.gate:
            return None
        ahead.correct(hand.xyz, hand.noise)
        self._filter, self._seen_ns = ahead, stamp_ns
        self._agreed += 1
        return hand


def unlikeliness(hand: HandMeasurement) -> float:
    """How little a hand looks like the user's own, in metres: its distance, twice that when the fingers point down.

    The user's arm reaches in from below or beside the camera, so of several hands theirs is the nearest and points away
    from them; that of a person opposite hangs into the picture.
    """
    return float(np.linalg.norm(hand.xyz)) * (1.5 - 0.5 * hand.upward)


class HandFinder:
    """Frames in, the hand's position out: a source of measurements and a tracker. Not thread-safe."""

    def __init__(self, source: HandSource, settings: HandSettings | None = None) -> None:
        self.source = source
        self.tracker = HandTracker(settings)

    def process(self, frame: Frame) -> Position | None:
        """Where the hand was when the frame was taken, metres in the optical frame; None when it does not show it."""
        height, width = frame.image.shape[:2]
        settings = self.tracker.settings
        if frame.camera is None:
            camera = CameraModel.from_field_of_view(width, height, settings.field_of_view_degrees)
        else:
            camera = frame.camera.scaled(width, height)
        hands = self.source.find(frame, camera)
        if frame.camera is None:
            hands = [_less_sure(hand) for hand in hands]
        return self.tracker.update(hands, frame.stamp_ns)


def _less_sure(hand: HandMeasurement) -> HandMeasurement:
    unknown = (ASSUMED_LENS * float(np.linalg.norm(hand.xyz))) ** 2 * np.eye(3)
    return HandMeasurement(hand.xyz, hand.noise, hand.bias + unknown, hand.upward)
