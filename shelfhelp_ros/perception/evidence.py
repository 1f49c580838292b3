"""What has been learnt of each track's looks, and which tracks deserve another look in this frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.perception.encoder import normalise
from shelfhelp_ros.perception.tracker import Track
from shelfhelp_ros.sightings import FloatArray


@dataclass(frozen=True)
class EvidenceSettings:
    """``budget``: crops embedded in one frame at most. A track is looked at again when its sides have changed by
    ``size_change``, after ``refresh_s`` seconds, or after ``refresh_candidate_s`` when it may be the target, or
    ``refresh_held_s`` when it stands clear of the shelf. ``forgetting`` (0..1) is the weight that earlier looks keep
    with each new one; a look less alike than ``break_similarity`` to what was learnt before is of another product, and
    all before it is forgotten."""

    budget: int = 8
    size_change: float = 1.3
    refresh_s: float = 3.0
    refresh_candidate_s: float = 0.7
    refresh_held_s: float = 0.3
    forgetting: float = 0.8
    break_similarity: float = 0.5


@dataclass
class Evidence:
    """The looks of one track: their weighted sum (D,), its direction as ``embedding`` (D,), and facts of the last."""

    sum: FloatArray
    looked_ns: int
    looked_box: npt.NDArray[np.float32]
    cut_off: bool
    embedding: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.embedding = normalise(self.sum)

    def add(self, embedding: FloatArray, weight: float, settings: EvidenceSettings) -> bool:
        """Take in another look; returns whether it is of the product that was seen before."""
        same = float(embedding @ self.embedding) >= settings.break_similarity
        keep = settings.forgetting if same else 0.0
        self.sum = np.asarray(keep * self.sum + weight * embedding, np.float32)
        self.embedding = normalise(self.sum)
        return same


def look_weight(track: Track, image_size: tuple[int, int]) -> float:
    """How much a look at a track is worth, 0..1: less for small boxes, unsure ones and those the image cuts off."""
    width, height = track.box[2:] - track.box[:2]
    size = min(1.0, float(min(width, height)) / 64)
    return max(0.05, size * track.score * (0.3 if touches_border(track.box, image_size) else 1.0))


def touches_border(box: npt.NDArray[np.float32], image_size: tuple[int, int]) -> bool:
    """Whether a box reaches the image's edge, so that part of the product may lie outside."""
    width, height = image_size
    return bool(box[0] <= 1 or box[1] <= 1 or box[2] >= width - 1 or box[3] >= height - 1)


def choose_looks(
    tracks: Sequence[Track],
    known: dict[int, Evidence],
    candidates: set[int],
    stamp_ns: int,
    image_size: tuple[int, int],
    settings: EvidenceSettings,
    clear: Collection[int] = (),
) -> list[Track]:
    """The tracks to embed in this frame, at most the budget: new ones, then changed ones, then those that are due.

    Among the new ones the surest and biggest come first; ``candidates`` are ids that may be the target, ``clear``
    those of what stands clear of the shelf.
    """
    ranked: list[tuple[int, float, int]] = []
    for row, track in enumerate(tracks):
        evidence = known.get(track.track_id)
        if evidence is None:
            ranked.append((0, -look_weight(track, image_size), row))
            continue
        age = (stamp_ns - evidence.looked_ns) / 1e9
        refresh = settings.refresh_candidate_s if track.track_id in candidates else settings.refresh_s
        refresh = settings.refresh_held_s if track.track_id in clear else refresh
        if _changed(track, evidence, image_size, settings):
            ranked.append((1, -age, row))
        elif age >= refresh or age < 0:
            ranked.append((2, -age / refresh, row))
    return [tracks[row] for _, _, row in sorted(ranked)[: settings.budget]]


def _changed(track: Track, evidence: Evidence, image_size: tuple[int, int], settings: EvidenceSettings) -> bool:
    sides = np.maximum(track.box[2:] - track.box[:2], 1)
    before = np.maximum(evidence.looked_box[2:] - evidence.looked_box[:2], 1)
    ratio = np.maximum(sides / before, before / sides).max()
    return bool(ratio >= settings.size_change) or (evidence.cut_off and not touches_border(track.box, image_size))
