"""Reading rosbag2 recordings (sqlite3 and mcap) without a ROS installation: which topics are there, message by message.

Messages stay serialised (CDR): they are published as they were recorded. No ROS in this file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.rosbag2 import Reader

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import cameras

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO, HAND = "sensor_msgs/msg/CameraInfo", "geometry_msgs/msg/PoseWithCovarianceStamped"


@dataclass(frozen=True)
class Recorded:
    """One message: the topic to publish it on, its type, the time it was recorded (nanoseconds) and its CDR bytes."""

    topic: str
    kind: str
    time_ns: int
    data: bytes


@dataclass(frozen=True)
class BagTopics:
    """Which topics of a bag play which part; empty: none."""

    colour: str
    compressed: bool = False
    camera_info: str = ""
    depth: str = ""
    hand: str = ""

    def renamed(self) -> dict[str, str]:
        """From the bag's names to the names that perception listens to."""
        pairs = (
            (self.colour, cameras.COMPRESSED if self.compressed else cameras.COLOUR),
            (self.camera_info, cameras.CAMERA_INFO),
            (self.depth, cameras.DEPTH),
            (self.hand, "hand"),
        )
        return {theirs: ours for theirs, ours in pairs if theirs}


class Bag:
    """An open recording. Raises ShelfHelpError when it is missing, damaged or of another kind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except Exception as error:  # besides its own ReaderError: whatever SQLite, zstd or a damaged file bring up
            raise ShelfHelpError(f"{path} cannot be read as a ROS 2 bag ({_first_line(error)})") from error
        self.kinds: dict[str, str] = {connection.topic: connection.msgtype for connection in self._reader.connections}
        if not self.kinds or not self._reader.message_count:
            self.close()
            raise ShelfHelpError(f"{path} is an empty bag; record it again")

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader.is_open:
            self._reader.close()

    @property
    def start_ns(self) -> int:
        return int(self._reader.start_time)

    @property
    def end_ns(self) -> int:
        return int(self._reader.end_time)

    def counts(self, topics: BagTopics) -> dict[str, int]:
        """How many messages each chosen topic has."""
        return {c.topic: int(c.msgcount) for c in self._reader.connections if c.topic in topics.renamed()}

    def choose_topics(self, colour: str = "", camera_info: str = "", depth: str = "", hand: str = "") -> BagTopics:
        """The topics to play: those given, else the ones named like a camera's.

        Raises ShelfHelpError that lists the bag's topics when a given one is not there or no colour image is found.
        """
        for name in (colour, camera_info, depth, hand):
            if name and name not in self.kinds:
                raise ShelfHelpError(f"{self.path} has no topic {name}; it holds {self._listing()}")
        chosen = colour or self._find_colour()
        compressed = self.kinds.get(chosen) == COMPRESSED_IMAGE
        if not chosen or self.kinds[chosen] not in (IMAGE, COMPRESSED_IMAGE):
            raise ShelfHelpError(
                f"{self.path} holds no colour images under a known name; name their topic with --colour. "
                f"It holds {self._listing()}"
            )
        place = chosen.removesuffix("/compressed").rsplit("/", 1)[0]
        return BagTopics(
            colour=chosen,
            compressed=compressed,
            camera_info=camera_info
            or self._find(CAMERA_INFO, f"{place}/camera_info", "color/camera_info", "rgb/camera_info"),
            depth=depth
            or self._find(IMAGE, "aligned_depth_to_color/image_raw", "depth_registered", "stereo/image_raw"),
            hand=hand or self._find(HAND, "/hand"),
        )

    def messages(self, topics: BagTopics, start: float = 0.0, duration: float | None = None) -> Iterator[Recorded]:
        """The messages of the chosen topics in order, ``start`` seconds in, for ``duration`` seconds.

        Raises ShelfHelpError when the recording turns out to be damaged further in.
        """
        renamed = topics.renamed()
        connections = [connection for connection in self._reader.connections if connection.topic in renamed]
        begin = self.start_ns + round(start * 1e9)
        end = None if duration is None else begin + round(duration * 1e9)
        reading: Any = self._reader.messages(connections, start=begin, stop=end)
        try:
            for connection, time_ns, data in reading:
                yield Recorded(renamed[connection.topic], connection.msgtype, time_ns, bytes(data))
        except ShelfHelpError:
            raise
        except Exception as error:  # whatever SQLite, zstd or a damaged length bring up, as above
            raise ShelfHelpError(
                f"{self.path} is damaged ({_first_line(error)}); the rest of it cannot be played"
            ) from error

    def _find_colour(self) -> str:
        endings = ("color/image_raw", "rgb/image_raw", "rgb/image_rect_color", "image_color", "image_raw")
        for kind, tail in ((IMAGE, ""), (COMPRESSED_IMAGE, "/compressed")):
            found = self._find(kind, *(ending + tail for ending in endings), without=("depth", "infra", "stereo"))
            if found:
                return found
        return ""

    def _find(self, kind: str, *endings: str, without: tuple[str, ...] = ()) -> str:
        """The first topic of a type whose name has one of the endings, the earlier endings first."""
        names = sorted(
            name for name, own in self.kinds.items() if own == kind and not any(word in name for word in without)
        )
        return next((name for ending in endings for name in names if name.endswith(ending)), "")

    def _listing(self) -> str:
        return ", ".join(f"{name} ({kind.rsplit('/', 1)[-1]})" for name, kind in sorted(self.kinds.items()))


def stamp_ns(data: bytes) -> int:
    """The header's stamp of a serialised message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from(_order(data) + "iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def shifted(data: bytes, offset_ns: int) -> bytes:
    """The same message with its header's stamp moved, so that time goes on when a bag begins again."""
    if not offset_ns:
        return data
    seconds, nanoseconds = divmod(stamp_ns(data) + offset_ns, 1_000_000_000)
    return b"".join((data[:4], struct.pack(_order(data) + "iI", seconds, nanoseconds), memoryview(data)[12:]))


def _order(data: bytes) -> str:
    """CDR: the second byte of the encapsulation tells the byte order."""
    if len(data) < 12:
        raise ShelfHelpError("a recorded message is cut short; the bag is damaged")
    return "<" if data[1] & 1 else ">"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
