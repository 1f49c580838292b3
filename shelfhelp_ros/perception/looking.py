"""Crops of tracks become embeddings, beside the frames that come meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.perception.clocked import Clocked
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.tracker import Track
from shelfhelp_ros.sightings import FloatArray, Frame


@dataclass(frozen=True)
class Looked:
    """A track as it stood when its crop was taken, the embedding (D,) of that, and the stamp and size of the frame."""

    track: Track
    embedding: FloatArray
    stamp_ns: int
    image_size: tuple[int, int]


class Looking:
    """Embeds the crops of tracks, those of one frame at a time.

    With ``beside``, an executor, that goes on there: what has come of it is taken in a later frame. ``embed`` knows how
    long it takes.
    """

    def __init__(self, encoder: Encoder, beside: Executor | None = None) -> None:
        self.embed = Clocked(encoder.embed_boxes)
        self._beside = beside
        self.forget()

    @property
    def idle(self) -> bool:
        """Whether nothing is being looked at."""
        return self._running is None

    def forget(self) -> None:
        """Begin anew, as for another stream."""
        self._running: Future[FloatArray] | None = None
        self._tracks: Sequence[Track] = ()
        self._dropped: set[int] = set()

    def drop(self, track_id: int) -> None:
        """What is being seen of this track counts no more."""
        self._dropped.add(track_id)

    def begin(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Look at these tracks (one at least) in their boxes in ``frame``; only while idle."""
        boxes = np.stack([track.box for track in tracks])
        if self._beside is not None:
            running = self._beside.submit(self.embed, frame.image, boxes)
        else:
            running = Future()
            running.set_result(self.embed(frame.image, boxes))
        self._running, self._tracks, self._dropped = running, tracks, set()
        self._stamp_ns, self._image_size = frame.stamp_ns, (frame.image.shape[1], frame.image.shape[0])

    def take(self, wait: bool) -> list[Looked]:
        """What has been seen; nothing while that takes its time, unless it is waited for.

        Raises what the encoder raises.
        """
        if self._running is None or not (wait or self._running.done()):
            return []
        running, self._running = self._running, None
        return [
            Looked(track, embedding, self._stamp_ns, self._image_size)
            for track, embedding in zip(self._tracks, running.result(), strict=True)
            if track.track_id not in self._dropped
        ]
