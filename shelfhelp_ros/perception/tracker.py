"""Which detection is which product from frame to frame: IoU with the predicted boxes, Hungarian assignment."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from shelfhelp_ros.geometry import BoxArray, iou
from shelfhelp_ros.perception.motion import Affine, BoxFilter, FilterNoise, growth, still
from shelfhelp_ros.sightings import Detections

#: Two boxes that overlap by this at least (IoU) may be of one thing that fingers hide a part of.
_SAME_PLACE = 0.5

#: A box about a product that is hidden in part is of the hand too, or of what is left, when its width or its height is
#: less or more than these shares of the whole.
_ITS_SIZE = (0.85, 1.18)

#: How fast the whole box follows what is detected outwards and inwards, a frame: a hand comes bit by bit.
_OUTWARDS, _INWARDS = 0.5, 0.1


@dataclass(frozen=True)
class TrackerSettings:
    """``min_iou``: least overlap of a detection with a track's predicted box. ``confirm_hits``: detections until a
    track is believed. ``max_missed_s``: seconds without a detection until it is dropped."""

    min_iou: float = 0.2
    confirm_hits: int = 2
    max_missed_s: float = 1.0
    noise: FilterNoise = field(default_factory=FilterNoise)


@dataclass(frozen=True)
class Track:
    """A product as it stands after one frame. ``detection`` is its row in the newest detections, None if unseen;
    ``expected`` is where it was to be before they were looked at."""

    track_id: int
    box: npt.NDArray[np.float32]
    score: float
    hits: int
    confirmed: bool
    last_seen_ns: int
    detection: int | None
    whole: npt.NDArray[np.float32] | None = None


@dataclass
class _Trail:
    track_id: int
    filter: BoxFilter
    score: float
    last_seen_ns: int
    whole: npt.NDArray[np.float32]
    hits: int = 1
    detection: int | None = None
    expected: BoxFilter | None = None


class Tracker:
    """Keeps one id for one product. Ids begin at 1 and are never used twice."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._trails: list[_Trail] = []
        self._next_id = 1
        self._stamp_ns: int | None = None

    def update(self, detections: Detections, stamp_ns: int, motion: Affine | None = None) -> list[Track]:
        """Take in one frame's detections; ``motion`` is the camera's motion in the image since the frame before.

        Returns every live track by id, those without a detection in this frame at their predicted box. A stamp older
        than the last one (a bag that starts again) begins anew, with new ids.
        """
        self._predict(stamp_ns, motion)
        for trail in self._trails:
            trail.detection = None
        unmatched = self._assign(detections, stamp_ns)
        limit_ns = self.settings.max_missed_s * 1e9
        self._trails = [trail for trail in self._trails if self._alive(trail, stamp_ns, limit_ns)]
        for row in unmatched:
            self._begin(detections, row, stamp_ns)
        return [self._snapshot(trail, detections) for trail in self._trails]

    def carry(self, stamp_ns: int, motion: Affine) -> list[Track]:
        """Every live track in a frame in which nothing was detected, moved by the camera's ``motion`` since the frame
        before; who was detected when, and in which row, stays as it was in the last frame that was."""
        self._predict(stamp_ns, motion)
        return [self._snapshot(trail) for trail in self._trails]

    def part(self, track_ids: Collection[int], detections: Detections, stamp_ns: int) -> list[Track]:
        """What was detected at these tracks in this frame is another thing, that stands before them: where it is clear
        of the shelf, or not about where they are, it begins a track of its own, and they stay at their places, unseen.
        Returns every live track."""
        for trail in list(self._trails):
            row, expected = trail.detection, trail.expected
            if trail.track_id not in track_ids or row is None or expected is None:
                continue
            overlap = float(iou(expected.box[None], detections.boxes[row][None])[0, 0])
            if row < detections.clear or overlap < _SAME_PLACE:
                trail.filter, trail.detection, trail.hits = expected, None, trail.hits - 1
                self._begin(detections, row, stamp_ns)
        return [self._snapshot(trail, detections) for trail in self._trails]

    def keep(self, track_ids: Collection[int], detections: Detections) -> list[Track]:
        """Something hides a part of what stands at these tracks: one whose detection is of another size than it was
        stays at its place, unseen. Returns every live track."""
        for trail in self._trails:
            seen = None if trail.detection is None else detections.boxes[trail.detection]
            if trail.track_id not in track_ids:
                trail.whole = trail.whole if seen is None else _followed(trail.whole, seen)
            elif seen is None or not _is_between(_size(seen) / _size(trail.whole), *_ITS_SIZE):
                trail.filter, trail.detection = BoxFilter(trail.whole, self.settings.noise), None
        return [self._snapshot(trail, detections) for trail in self._trails]

    def hold(self, track_ids: Collection[int], stamp_ns: int) -> None:
        """Count tracks without a detection as seen: they stand still on the shelf, only the camera moves them."""
        for trail in self._trails:
            if trail.track_id in track_ids and trail.detection is None:
                trail.last_seen_ns = stamp_ns
                trail.filter.stand()

    def _predict(self, stamp_ns: int, motion: Affine | None) -> None:
        seconds = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        if seconds < 0:
            self._trails.clear()
        self._stamp_ns = stamp_ns
        for trail in self._trails:
            trail.filter.predict(max(seconds, 0.0), still() if motion is None else motion)
            trail.whole = trail.whole if motion is None else _moved(trail.whole, motion)

    def _assign(self, detections: Detections, stamp_ns: int) -> list[int]:
        """Give detections to trails; returns the rows that are nobody's."""
        if not self._trails or not len(detections):
            return list(range(len(detections)))
        predicted: BoxArray = np.stack([trail.filter.box for trail in self._trails])
        overlap = iou(predicted, detections.boxes)
        # Below the gate a pair costs so much that it is only taken when the row has nothing else; it is dropped below.
        trails, rows = linear_sum_assignment(np.where(overlap >= self.settings.min_iou, 1 - overlap, 1e3))
        taken = set()
        for index, row in zip(trails, rows, strict=True):
            if overlap[index, row] < self.settings.min_iou:
                continue
            trail = self._trails[index]
            trail.expected = copy(trail.filter)
            trail.filter.correct(detections.boxes[row])
            trail.score, trail.last_seen_ns, trail.detection = float(detections.scores[row]), stamp_ns, int(row)
            trail.hits += 1
            taken.add(int(row))
        return [row for row in range(len(detections)) if row not in taken]

    def _alive(self, trail: _Trail, stamp_ns: int, limit_ns: float) -> bool:
        """An unconfirmed track dies with its first miss, a confirmed one when it has been unseen too long."""
        if trail.detection is not None:
            return True
        return trail.hits >= self.settings.confirm_hits and stamp_ns - trail.last_seen_ns <= limit_ns

    def _begin(self, detections: Detections, row: int, stamp_ns: int) -> None:
        box = detections.boxes[row]
        box_filter = BoxFilter(box, self.settings.noise)
        score = float(detections.scores[row])
        self._trails.append(_Trail(self._next_id, box_filter, score, stamp_ns, box.copy(), detection=row))
        self._next_id += 1

    def _snapshot(self, trail: _Trail, detections: Detections | None = None) -> Track:
        seen = trail.detection
        return Track(
            track_id=trail.track_id,
            box=trail.filter.box if seen is None or detections is None else detections.boxes[seen],
            score=trail.score,
            hits=trail.hits,
            confirmed=trail.hits >= self.settings.confirm_hits,
            last_seen_ns=trail.last_seen_ns,
            detection=seen,
            whole=trail.whole,
        )


def _followed(whole: npt.NDArray[np.float32], seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The whole box (4,) after it was seen where nothing is known to hide a part of it."""
    if float(iou(whole[None], seen[None])[0, 0]) < _SAME_PLACE:
        return np.array(seen, np.float32)
    outwards = np.array([-1, -1, 1, 1], np.float32) * (seen - whole) > 0
    return np.asarray(whole + np.where(outwards, _OUTWARDS, _INWARDS) * (seen - whole), np.float32)


def _moved(box: npt.NDArray[np.float32], motion: Affine) -> npt.NDArray[np.float32]:
    """A box (4,) carried along by the camera's motion in the image."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * growth(motion)
    centre = motion[:, :2] @ centre + motion[:, 2]
    return np.asarray(np.concatenate([centre - half, centre + half]), np.float32)


def _size(box: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Width and height."""
    return np.asarray(np.maximum(box[2:] - box[:2], 1.0), np.float32)


def _is_between(shares: npt.NDArray[np.float32], low: float, high: float) -> bool:
    return bool(((shares >= low) & (shares <= high)).all())
