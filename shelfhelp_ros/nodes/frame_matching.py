"""Which frame to work on next: the newest colour image, with the depth and calibration that belong to it.

Callbacks only put messages here; the worker takes. Nothing is converted before it is taken, and what is not taken in
time is dropped. No ROS in this file: messages are opaque and stamps are nanoseconds.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

KEPT = 8
# Depth images that stayed away for this long are not waited for.
DEPTH_SECONDS = 1.0


@dataclass(frozen=True)
class MatchedFrame:
    """A colour message with its companions; ``depth`` and ``camera`` are None when nothing matched.

    ``waited`` is how many seconds passed between its arrival and its being taken.
    """

    stamp_ns: int
    colour: Any
    waited: float
    depth: Any = None
    camera: Any = None


class FrameMatcher:
    """Newest frame wins, companions matched by stamp.

    A colour image waits at most ``depth_wait`` seconds for its depth image, and only while depth images arrive at all
    (one within the last second). ``slop_ns`` is the largest difference of stamps that still counts as the same frame.
    """

    def __init__(self, slop_ns: int, depth_wait: float) -> None:
        self.slop_ns = slop_ns
        self.depth_wait = depth_wait
        self.dropped = 0
        self.received = 0
        self._condition = threading.Condition()
        self._colour: OrderedDict[int, tuple[Any, float]] = OrderedDict()
        self._depth: OrderedDict[int, Any] = OrderedDict()
        self._camera: OrderedDict[int, Any] = OrderedDict()
        self._depth_seen = float("-inf")
        self.closed = False

    def put_colour(self, stamp_ns: int, message: Any) -> None:
        with self._condition:
            self.received += 1
            if stamp_ns in self._colour:
                self.dropped += 1
            self.dropped += _put(self._colour, stamp_ns, (message, time.monotonic()))
            self._condition.notify()

    def put_depth(self, stamp_ns: int, message: Any) -> None:
        with self._condition:
            self._depth_seen = time.monotonic()
            _put(self._depth, stamp_ns, message)
            self._condition.notify()

    def put_camera(self, stamp_ns: int, message: Any) -> None:
        with self._condition:
            _put(self._camera, stamp_ns, message)

    def take(self, timeout: float) -> MatchedFrame | None:
        """The newest frame that is ready, or None after ``timeout`` seconds or once closed. Older ones are dropped."""
        deadline = time.monotonic() + timeout
        with self._condition:
            while not self.closed:
                now = time.monotonic()
                stamp = self._ready(now)
                if stamp is not None:
                    return self._take(stamp)
                if now >= deadline:
                    return None
                self._condition.wait(min(deadline, self._patience(deadline)) - now)
        return None

    @property
    def depth_comes(self) -> bool:
        """Whether depth images arrive at all: one within the last second."""
        return time.monotonic() - self._depth_seen < DEPTH_SECONDS

    def close(self) -> None:
        """Make every present and later `take` return None."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    def _ready(self, now: float) -> int | None:
        if not self._colour:
            return None
        arrivals = list(self._colour.items())
        for stamp, _ in reversed(arrivals):
            if _nearest(self._depth, stamp, self.slop_ns) is not None:
                return stamp
        first_arrival = arrivals[0][1][1]
        waiting = self.depth_comes and now - first_arrival < self.depth_wait
        return None if waiting else arrivals[-1][0]

    def _patience(self, default: float) -> float:
        arrivals = [arrival for _, arrival in self._colour.values()]
        return arrivals[0] + self.depth_wait if arrivals else default

    def _take(self, stamp: int) -> MatchedFrame:
        message, arrived = self._colour[stamp]
        order = list(self._colour)
        for old in order[: order.index(stamp) + 1]:
            del self._colour[old]
        self.dropped += order.index(stamp)
        depth = _nearest(self._depth, stamp, self.slop_ns)
        # A driver may stamp calibration on its own clock tick; it changes seldom, so the last one serves as well.
        camera = _nearest(self._camera, stamp, self.slop_ns)
        if camera is None and self._camera:
            camera = next(reversed(self._camera.values()))
        return MatchedFrame(stamp, message, time.monotonic() - arrived, depth, camera)


def _put(kept: OrderedDict[int, Any], stamp: int, message: Any) -> int:
    """Keep ``message`` as the newest; returns how many of the oldest had to go for it."""
    kept[stamp] = message
    kept.move_to_end(stamp)
    surplus = max(0, len(kept) - KEPT)
    for _ in range(surplus):
        kept.popitem(last=False)
    return surplus


def _nearest(kept: OrderedDict[int, Any], stamp: int, slop_ns: int) -> Any:
    if stamp in kept:
        return kept[stamp]
    best = min(kept, key=lambda other: abs(other - stamp), default=None)
    return kept[best] if best is not None and abs(best - stamp) <= slop_ns else None
