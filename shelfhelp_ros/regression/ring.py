"""The last seconds of a camera in memory, compressed, so that they can be kept when something went wrong."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.sightings import Frame

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]
# The quickest that is smaller than raw.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class _Kept:
    arrived_ns: int
    stamp_ns: int
    frame_id: str
    jpeg: bytes
    depth_png: bytes | None
    camera: CameraModel | None

    @property
    def size(self) -> int:
        return len(self.jpeg) + len(self.depth_png or b"")


class FrameRing:
    """Frames of the last ``seconds``, at most ``rate`` a second and ``megabytes`` in all; older ones are let go.

    Seconds are those of arrival: a camera whose clock jumps ahead is one of the failures that are to be kept. Depth is
    kept in whole millimetres up to 65 m. May be used from several threads.
    """

    def __init__(self, seconds: float, rate: float, megabytes: float = 200.0) -> None:
        self._span_ns, self._period_ns = round(seconds * 1e9), round(1e9 / rate)
        self._limit = round(megabytes * 1e6)
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def megabytes(self) -> float:
        return self._bytes / 1e6

    def add(self, frame: Frame, arrived_ns: int) -> bool:
        """Take a frame in that came at a time of a clock that never jumps; False when it is too soon after the last.

        Stamps that run backwards begin anew.
        """
        newest = self._kept[-1] if self._kept else None
        if newest is not None and arrived_ns - newest.arrived_ns < self._period_ns * 0.9:
            return False
        kept = _compressed(frame, arrived_ns)
        with self._lock:
            if newest is not None and frame.stamp_ns < newest.stamp_ns:
                self._kept.clear()
                self._bytes = 0
            self._kept.append(kept)
            self._bytes += kept.size
            while arrived_ns - self._kept[0].arrived_ns > self._span_ns or (
                self._bytes > self._limit and len(self._kept) > 1
            ):
                self._bytes -= self._kept.popleft().size
        return True

    def frames(self) -> Iterator[Frame]:
        """What is kept now, oldest first."""
        with self._lock:
            return map(_restored, list(self._kept))


def _compressed(frame: Frame, arrived_ns: int) -> _Kept:
    depth = None
    if frame.depth is not None:
        millimetres = np.nan_to_num(np.round(frame.depth * 1000), nan=0.0, posinf=0.0).clip(0, 65535)
        depth = cv2.imencode(".png", millimetres.astype(np.uint16), _PNG)[1].tobytes()
    jpeg = cv2.imencode(".jpg", frame.image, _JPEG)[1].tobytes()
    return _Kept(arrived_ns, frame.stamp_ns, frame.frame_id, jpeg, depth, frame.camera)


def _restored(kept: _Kept) -> Frame:
    image = np.asarray(cv2.imdecode(np.frombuffer(kept.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    depth = None
    if kept.depth_png is not None:
        millimetres = cv2.imdecode(np.frombuffer(kept.depth_png, np.uint8), cv2.IMREAD_UNCHANGED)
        metres = np.asarray(millimetres, np.float32) / 1000
        depth = np.where(metres > 0, metres, np.float32(np.nan))
    return Frame(kept.stamp_ns, kept.frame_id, image, depth, kept.camera)
