"""A camera and a listener in one: publishes prepared frames at a steady rate and times what the assistant answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting
from std_msgs.msg import Header

from shelfhelp_ros.nodes.conversions import from_time, to_camera_info, to_header
from shelfhelp_ros.nodes.image_conversion import fill_colour, fill_depth
from shelfhelp_ros.nodes.quality_of_service import CAMERA, RESULT, WORDS
from shelfhelp_ros.sightings import Frame


@dataclass
class Answers:
    """Milliseconds from image stamp to the arrival of ``target`` and ``instruction``; ``products`` in each frame.

    ``stages`` is what perception says of itself once a second: how many frames, and milliseconds a frame by stage.
    """

    target_ms: list[float] = field(default_factory=list)
    instruction_ms: list[float] = field(default_factory=list)
    products: list[int] = field(default_factory=list)
    decisions: list[int] = field(default_factory=list)
    stages: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    seconds: float = 0.0

    def stage_ms(self, name: str) -> float:
        """Mean milliseconds a frame of one stage, ``wait`` and ``total`` among them; NaN when there was no word."""
        frames = sum(count for count, _ in self.stages)
        return sum(count * stages.get(name, 0.0) for count, stages in self.stages) / frames if frames else float("nan")


class LatencyProbe(Node):
    """Publishes frames as a camera and records when the answers to each arrive."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        super().__init__("latency_probe")
        self._frames = frames
        self._colours = [fill_colour(Image(), frame.image) for frame in frames]
        self._depths = [None if frame.depth is None else fill_depth(Image(), frame.depth) for frame in frames]
        self._next = 0
        self.answers = Answers()
        self._colour = self.create_publisher(Image, "camera/color/image_raw", CAMERA)
        self._info = self.create_publisher(CameraInfo, "camera/color/camera_info", CAMERA)
        self._depth = self.create_publisher(Image, "camera/aligned_depth_to_color/image_raw", CAMERA)
        self.create_subscription(TargetSighting, "target", self._on_target, RESULT)
        self.create_subscription(ProductArray, "products", self._on_products, RESULT)
        self.create_subscription(Instruction, "instruction", self._on_instruction, WORDS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RESULT)

    def publish(self) -> None:
        """One frame, stamped now; calibration and depth first, so that colour never waits for them."""
        frame, colour, depth = self._frames[self._next], self._colours[self._next], self._depths[self._next]
        self._next = (self._next + 1) % len(self._frames)
        stamp_ns = self.get_clock().now().nanoseconds
        if frame.camera is not None:
            self._info.publish(to_camera_info(frame.camera, stamp_ns, frame.frame_id))
        if depth is not None:
            depth.header = to_header(stamp_ns, frame.frame_id)
            self._depth.publish(depth)
        colour.header = to_header(stamp_ns, frame.frame_id)
        self._colour.publish(colour)

    def _age_ms(self, header: Header) -> float:
        return (self.get_clock().now().nanoseconds - from_time(header.stamp)) / 1e6

    def _on_target(self, message: TargetSighting) -> None:
        self.answers.target_ms.append(self._age_ms(message.header))
        self.answers.decisions.append(message.decision)

    def _on_products(self, message: ProductArray) -> None:
        self.answers.products.append(len(message.products))

    def _on_instruction(self, message: Instruction) -> None:
        if message.axis:
            self.answers.instruction_ms.append(self._age_ms(message.header))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "perception: frames":
                values = {entry.key: entry.value for entry in status.values}
                stages = {key.removesuffix(", ms"): float(text) for key, text in values.items() if key.endswith(", ms")}
                self.answers.stages.append((int(values["frames a second"]), stages))

    def run(self, seconds: float, rate_hz: float, warm_up: float = 3.0) -> Answers:
        """Publish for ``warm_up`` seconds, then for ``seconds`` with answers recorded."""
        for span in (warm_up, seconds):
            self.answers = Answers()
            start = due = time.monotonic()
            while (now := time.monotonic()) - start < span:
                if now >= due:
                    self.publish()
                    due = max(due + 1 / rate_hz, now)
                rclpy.spin_once(self, timeout_sec=max(0.0, min(due - time.monotonic(), 0.02)))
            self.answers.seconds = time.monotonic() - start
        return self.answers
