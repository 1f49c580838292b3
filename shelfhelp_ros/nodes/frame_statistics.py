"""What the worker did since the last diagnostics message. No ROS in this file."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Interval:
    """Counts and sums of one interval; times in milliseconds."""

    frames: int = 0
    ages: list[float] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    with_depth: int = 0
    with_calibration: int = 0

    def stage_means(self) -> dict[str, float]:
        """Milliseconds by stage, each over the frames that had it: not every frame sees a network end."""
        return {name: total / self.runs[name] for name, total in self.stages.items()}


class FrameStatistics:
    """Gathers figures of frames from the worker; `take` hands over one interval and begins the next."""

    def __init__(self) -> None:
        self.total_frames = 0
        self.total_faults = 0
        self._lock = threading.Lock()
        self._interval = Interval()

    def frame(self, age_ms: float, stages_ms: dict[str, float]) -> None:
        """One frame was published ``age_ms`` after its stamp."""
        with self._lock:
            self.total_frames += 1
            self._interval.frames += 1
            self._interval.ages.append(age_ms)
            self._interval.stages.update(stages_ms)
            self._interval.runs.update(stages_ms.keys())

    def companions(self, depth: bool, calibration: bool) -> None:
        """Whether the frame had a depth image and a calibration that could be used."""
        with self._lock:
            self._interval.with_depth += depth
            self._interval.with_calibration += calibration

    def fault(self, text: str) -> None:
        """A frame, or a part of one, could not be used."""
        with self._lock:
            self.total_faults += 1
            self._interval.faults.append(text)

    def take(self) -> Interval:
        with self._lock:
            interval, self._interval = self._interval, Interval()
        return interval
