"""An assistant at work, before a camera that can be made to fail in every way, and what the person hears of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from drawn_shelf import draw_shelf
from ros_graph import FRAME, LENS, Camera, Graph, photo_of, until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from shelfhelp_interfaces.msg import Instruction, TargetSighting

from shelfhelp_ros.nodes.conversions import from_time, to_camera_info, to_header
from shelfhelp_ros.nodes.image_conversion import fill_colour, fill_depth
from shelfhelp_ros.nodes.quality_of_service import RESULT
from shelfhelp_ros.nodes.speech_node import SpeechNode

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
RATE = 6.0
LOST = "Hold still, I lost the camera."
# A direction rests on data of 300 ms at most as its first word begins; the rest is for a machine that is busy with
# other work between that moment and the next line of the program, where this suite looks at the clock.
FRESH_NS, BUSY_NS = 300_000_000, 700_000_000


@dataclass(frozen=True)
class Shot:
    """What a camera sends for one picture. ``stamp_ns`` goes into every header; None parts are not sent."""

    stamp_ns: int
    colour: Image | CompressedImage | None
    depth: Image | None
    info: CameraInfo | None
    depth_stamp_ns: int | None = None


class Stream(threading.Thread):
    """A camera with depth, ``rate`` pictures a second; ``alter`` changes each before it is sent, None keeps it back."""

    def __init__(self, camera: Camera, now_ns: Callable[[], int], rate: float = RATE) -> None:
        super().__init__(name="camera", daemon=True)
        self._camera, self._now_ns = camera, now_ns
        self._ended = threading.Event()
        self._image, _ = draw_shelf(SHELF)
        self._depth = np.full(self._image.shape[:2], 0.8, np.float32)
        self.rate = rate
        self.alter: Callable[[Shot], Shot | None] = lambda shot: shot
        self.sent: list[int] = []

    def run(self) -> None:
        while not self._ended.wait(1.0 / self.rate):
            shot = self.alter(self._shot())
            if shot is not None:
                self._send(shot)

    def close(self) -> None:
        self._ended.set()
        self.join()

    def _shot(self) -> Shot:
        stamp = self._now_ns()
        colour, depth = fill_colour(Image(), self._image), fill_depth(Image(), self._depth)
        return Shot(stamp, colour, depth, to_camera_info(LENS, stamp, FRAME))

    def _send(self, shot: Shot) -> None:
        header = to_header(shot.stamp_ns, FRAME)
        if shot.info is not None:
            shot.info.header = header
            self._camera.send_info(shot.info)
        if shot.depth is not None:
            shot.depth.header = to_header(shot.depth_stamp_ns or shot.stamp_ns, FRAME)
            self._camera.send_depth(shot.depth)
        if shot.colour is not None:
            shot.colour.header = header
            self._camera.send(shot.colour)
            self.sent = [*self.sent[-200:], shot.stamp_ns]


class Assistant:
    """Perception, guidance and a voice of text on one graph, with a camera that streams."""

    def __init__(self, graph: Graph, models: Path, **perception: Any) -> None:
        self.graph = graph
        self.said: list[tuple[Instruction, int]] = []
        self.spoken = 0
        self.found_ns = 0
        self.health: dict[str, DiagnosticStatus] = {}
        self.perception = graph.perception(models, **perception)
        self.guidance = graph.guidance()
        self.speech = graph.add(SpeechNode, self._note, ros={"backend": "text"})
        self.client = graph.client()
        graph.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, RESULT)
        graph.node.create_subscription(TargetSighting, "target", self._on_target, RESULT)
        self.stream = Stream(graph.camera(), self.now_ns)

    def now_ns(self) -> int:
        return int(self.graph.node.get_clock().now().nanoseconds)

    def _note(self, instruction: Instruction) -> None:
        self.said.append((instruction, self.now_ns()))

    def _on_target(self, message: TargetSighting) -> None:
        if message.decision == TargetSighting.FOUND and message.target_name == "Pack three":
            self.found_ns = from_time(message.header.stamp)

    def _on_health(self, message: DiagnosticArray) -> None:
        self.health |= {status.name: status for status in message.status}

    def prepare(self) -> None:
        """Pack three in the catalogue, and a camera that works."""
        self.client.enrol_product("Pack three", [photo_of(3)])
        self.stream.start()

    def find(self) -> None:
        """A search before a camera that works, up to the first sighting."""
        self.prepare()
        self.mends_search()

    def works(self) -> None:
        """Pack three is found in a picture from now on; on a machine that is too slow for directions, too."""
        now = self.now_ns()
        until(lambda: self.found_ns >= now, what="a sighting of pack three")

    def mends_search(self) -> None:
        """The search for pack three can begin again, and finds it."""
        self.client.set_target("Pack three")
        self.works()

    def begin(self) -> None:
        """As new: a camera that works, a search that is on, and nothing said yet."""
        self.stream.rate = RATE
        self.stream.alter = lambda shot: shot
        self.mends_search()
        self.said.clear()

    def close(self) -> None:
        self.stream.close()

    def check(self) -> None:
        """What holds whatever the fault: every node still works, and no direction rested on old data."""
        assert self.graph.crew.wait(0) is None, "a node ended"
        for instruction, at_ns in self.said:
            if is_direction(instruction):
                holds_ns = from_time(instruction.valid_until) - from_time(instruction.header.stamp)
                assert holds_ns <= FRESH_NS, (
                    f"{instruction.text} may be begun {holds_ns / 1e6:.0f} ms after its picture"
                )
                assert at_ns - from_time(instruction.header.stamp) < FRESH_NS + BUSY_NS, instruction.text

    @property
    def words(self) -> list[str]:
        return [instruction.text for instruction, _ in self.said]

    def hears(self, wanted: Callable[[Instruction], bool] | str, doing: Callable[[], object] = lambda: None) -> Any:
        """The first thing said from now on that is ``wanted`` (or is these words)."""
        begin = len(self.said)
        is_wanted = (lambda said: said.text == wanted) if isinstance(wanted, str) else wanted
        return until(
            lambda: next((said for said, _ in self.said[begin:] if is_wanted(said)), None),
            doing,
            f"{wanted!r} among {self.words[-8:]}" if isinstance(wanted, str) else "what was to be heard",
        )

    def tells(self, name: str, part: str, level: bytes = DiagnosticStatus.WARN) -> DiagnosticStatus:
        """The status ``name`` of /diagnostics, once its message holds ``part``."""

        def status() -> DiagnosticStatus | None:
            known = self.health.get(name)
            return known if known is not None and known.level == level and part in known.message else None

        found: DiagnosticStatus = until(status, what=f"{part!r} in {name}, not {self.health.get(name)}")
        return found

    def breaks(self, alter: Callable[[Shot], Shot | None]) -> None:
        """From the next picture on the camera sends this."""
        self.stream.alter = alter

    def mends(self) -> None:
        """The camera works again, and so does all else: a direction is heard, and /diagnostics is content."""
        self.stream.alter = lambda shot: shot
        self.hears(is_direction)
        self.tells("perception: frames", "working", DiagnosticStatus.OK)
        self.tells("guidance: health", "working", DiagnosticStatus.OK)


def is_direction(said: Instruction) -> bool:
    return bool(said.axis)


def changed(shot: Shot, **fields: Any) -> Shot:
    """The shot with fields of its colour message changed."""
    for name, value in fields.items():
        setattr(shot.colour, name, value)
    return shot


def without(*parts: str) -> Callable[[Shot], Shot]:
    """A camera that leaves out parts of each shot."""
    return lambda shot: replace(shot, **dict.fromkeys(parts))


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def any_of(texts: Iterable[str], part: str) -> bool:
    return any(part in text for text in texts)
