"""A camera and a listener in one: publishes prepared frames at a steady rate and times what the assistant answers.

Frames are serialised beforehand and answers are read as bytes, so that little of what is measured is the probe's own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting

from shelfhelp_ros.nodes.bags import shifted, stamp_ns
from shelfhelp_ros.nodes.conversions import from_time, to_camera_info, to_header
from shelfhelp_ros.nodes.image_conversion import fill_colour, fill_depth
from shelfhelp_ros.nodes.quality_of_service import CAMERA, RESULT, WORDS
from shelfhelp_ros.sightings import Frame


@dataclass
class Answers:
    """Milliseconds from image stamp to the arrival of ``target`` and ``instruction``.

    ``stages`` is what perception says of itself once a second: how many frames, and milliseconds a frame by stage.
    """

    target_ms: list[float] = field(default_factory=list)
    instruction_ms: list[float] = field(default_factory=list)
    stages: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    seconds: float = 0.0

    def stage_ms(self, name: str) -> float:
        """Mean milliseconds a frame of one stage, ``wait`` and ``total`` among them; NaN when there was no word."""
        frames = sum(count for count, _ in self.stages)
        return sum(count * stages.get(name, 0.0) for count, stages in self.stages) / frames if frames else float("nan")


class LatencyProbe(Node):
    """Publishes frames as a camera and records when the answers to each arrive."""

    def __init__(self, frames: Sequence[Frame], **options: Any) -> None:
        super().__init__("latency_probe", **options)
        self._frames = [_serialised(frame) for frame in frames]
        self._next = 0
        self._stamps: set[int] = set()
        self.answers = Answers()
        self._colour = self.create_publisher(Image, "camera/color/image_raw", CAMERA)
        self._info = self.create_publisher(CameraInfo, "camera/color/camera_info", CAMERA)
        self._depth = self.create_publisher(Image, "camera/aligned_depth_to_color/image_raw", CAMERA)
        self.create_subscription(TargetSighting, "target", self._on_target, RESULT, raw=True)
        # Somebody listens to all products, as a viewer would.
        self.create_subscription(ProductArray, "products", lambda message: None, RESULT, raw=True)
        self.create_subscription(Instruction, "instruction", self._on_instruction, WORDS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RESULT)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)

    def publish(self) -> None:
        """One frame, stamped now; calibration and depth first, so that colour never waits for them."""
        info, depth, colour = self._frames[self._next]
        self._next = (self._next + 1) % len(self._frames)
        now = self.get_clock().now().nanoseconds
        self._stamps.add(now)
        for publisher, data in ((self._info, info), (self._depth, depth), (self._colour, colour)):
            if data is not None:
                publisher.publish(shifted(data, now))

    def destroy_node(self) -> None:
        self._executor.shutdown()
        super().destroy_node()

    def _age_ms(self, stamp: int) -> float:
        return (self.get_clock().now().nanoseconds - stamp) / 1e6

    def _on_target(self, data: bytes) -> None:
        # The word that begins a search comes before any picture.
        if (stamp := stamp_ns(data)) in self._stamps:
            self.answers.target_ms.append(self._age_ms(stamp))

    def _on_instruction(self, message: Instruction) -> None:
        if message.axis:
            self.answers.instruction_ms.append(self._age_ms(from_time(message.header.stamp)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "perception: frames":
                values = {entry.key: entry.value for entry in status.values}
                stages = {key.removesuffix(", ms"): float(text) for key, text in values.items() if key.endswith(", ms")}
                self.answers.stages.append((int(values["frames a second"]), stages))

    def run(self, seconds: float, rate_hz: float) -> Answers:
        """Publish for so many seconds; returns the answers that came meanwhile."""
        self.answers = Answers()
        start = due = time.monotonic()
        while (now := time.monotonic()) - start < seconds:
            if now >= due:
                self.publish()
                due = max(due + 1 / rate_hz, now)
            self._executor.spin_once(timeout_sec=max(0.0, due - time.monotonic()))
        self.answers.seconds = time.monotonic() - start
        return self.answers


def _serialised(frame: Frame) -> tuple[bytes | None, bytes | None, bytes]:
    """Calibration, depth and colour of a frame, their stamps 0."""
    header = to_header(0, frame.frame_id)
    info = None if frame.camera is None else serialize_message(to_camera_info(frame.camera, 0, frame.frame_id))
    depth = None if frame.depth is None else serialize_message(fill_depth(Image(header=header), frame.depth))
    return info, depth, serialize_message(fill_colour(Image(header=header), frame.image))
