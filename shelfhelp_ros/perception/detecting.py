"""Which frames are detected in, and where what was found in one has moved by the time that it is known."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace

from shelfhelp_ros.perception.motion import Affine, move_boxes, still, then
from shelfhelp_ros.sightings import Detections, Frame

# Products are followed no further from the frame that they were detected in: the shelf may have changed by then.
_LONGEST_S = 0.5
# Of frames that are farther apart than this each can be detected in: what is found would only be known one frame later.
_FAR_APART_S = 0.25


class Detecting:
    """Detects at most every ``interval_s`` seconds; in frames between, products only move with the camera.

    With ``beside``, an executor of one thread, detection goes on there while the frames that come meanwhile are
    followed: no frame waits for it, and what it finds is carried by the camera's motion since to the frame in which it
    is taken in. A frame that cannot be followed from the one before is waited for, and so is each of a slow camera;
    ``waited`` tells whether the last one was.
    """

    def __init__(self, detect: Callable[[Frame, float | None], Detections], beside: Executor | None = None) -> None:
        """``detect`` finds the products in a frame, those that score more than a threshold."""
        self._detect = detect
        self._beside = beside
        self.forget()

    def forget(self) -> None:
        """Begin anew, as for another stream."""
        self._begun_ns = self._frame_ns = 0
        self._running: Future[Detections] | None = None
        self._moved = still()
        self.waited = False

    def update(
        self, frame: Frame, motion: Affine | None, interval_s: float, threshold: float | None
    ) -> Detections | None:
        """What is newly known of the products, with boxes in ``frame``; None where nothing is.

        ``motion`` is that of the picture since the frame before, None where it could not be followed. Raises what the
        detector raises.
        """
        seconds = (frame.stamp_ns - self._begun_ns) / 1e9
        apart, self._frame_ns = (frame.stamp_ns - self._frame_ns) / 1e9, frame.stamp_ns
        self.waited = motion is None or seconds < 0 or interval_s == 0 or apart > _FAR_APART_S
        if motion is None or self.waited:
            self._begin(frame, threshold)
            return self._take()
        self._moved = then(self._moved, motion)
        found = None
        if self._running is not None and (self._running.done() or seconds > _LONGEST_S):
            found = self._take()
        if self._running is None and seconds >= interval_s:
            self._begin(frame, threshold)
            if self._beside is None:
                return self._take()
        return found

    def _begin(self, frame: Frame, threshold: float | None) -> None:
        self._begun_ns, self._moved = frame.stamp_ns, still()
        if self._beside is not None:
            self._running = self._beside.submit(self._detect, frame, threshold)
        else:
            found = self._detect(frame, threshold)
            self._running = Future()
            self._running.set_result(found)

    def _take(self) -> Detections:
        assert self._running is not None
        running, self._running = self._running, None
        found = running.result()
        return replace(found, boxes=move_boxes(found.boxes, self._moved))
