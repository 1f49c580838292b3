"""The topics that tell the way from the hand to the product, for nodes that turn it into touch or tones."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from shelfhelp_interfaces.msg import Instruction, TargetSighting

from shelfhelp_ros.feedback.way import Way
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.nodes import conversions
from shelfhelp_ros.nodes.quality_of_service import CAMERA, WORDS, adjustable

_LOG_EVERY = 5.0


class WayTopics:
    """Feeds a ``Way`` from ``target``, ``hand`` and ``instruction``; ``changed`` is called after each message."""

    def __init__(
        self, node: Node, way: Way, on_phase: Callable[[Phase], object], changed: Callable[[], object] = lambda: None
    ) -> None:
        self._node, self._way, self._on_phase, self._changed = node, way, on_phase, changed
        node.create_subscription(TargetSighting, "target", self._on_target, **adjustable(WORDS))
        node.create_subscription(PoseWithCovarianceStamped, "hand", self._on_hand, **adjustable(CAMERA))
        node.create_subscription(Instruction, "instruction", self._on_instruction, **adjustable(WORDS))

    @property
    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_target(self, message: TargetSighting) -> None:
        try:
            self._way.on_sighting(conversions.from_target(message), self._now_ns)
        except ValueError as error:
            self._complain(f"a target message is not valid: {error}")
        self._changed()

    def _on_hand(self, message: PoseWithCovarianceStamped) -> None:
        try:
            hand, stamp_ns = conversions.from_hand(message)
        except ValueError as error:
            self._complain(f"a hand message is not valid: {error}")
            return
        self._way.on_hand(hand.xyz, hand.covariance, stamp_ns, message.header.frame_id, self._now_ns)
        self._changed()

    def _on_instruction(self, message: Instruction) -> None:
        try:
            self._on_phase(Phase(message.phase))
        except ValueError:
            self._complain(f"an instruction has an unknown phase: {message.phase!r}")
        self._changed()

    def _complain(self, text: str) -> None:
        self._node.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY)
