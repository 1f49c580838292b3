"""What a node says of itself on ``/diagnostics`` once a second: that it lives, what it lacks, whom it cannot hear."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from shelfhelp_ros.nodes.connections import clashes_of
from shelfhelp_ros.nodes.quality_of_service import RESULT


class Health:
    """Publishes the statuses of ``frames`` and after them one on the node's health, in one message a second.

    ``complaint`` answers with what is wrong at present, or with an empty text; ``failure`` of a lifecycle node is why
    it could not be configured. Make one as the node is made: it tells of a node that is not configured, too.
    """

    def __init__(
        self,
        node: Node,
        complaint: Callable[[], str] = lambda: "",
        frames: Callable[[], Iterable[DiagnosticStatus]] = tuple,
    ) -> None:
        self._node, self._complaint, self._frames = node, complaint, frames
        self._told: set[str] = set()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", RESULT)
        # A paused simulation must not silence it.
        node.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _publish(self) -> None:
        if not self._node.context.ok():
            return
        message = DiagnosticArray(status=[*self._frames(), self._status()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _status(self) -> DiagnosticStatus:
        clashes = clashes_of(self._node)
        for text in clashes:
            if text not in self._told:
                self._node.get_logger().error(text)
        self._told = set(clashes)
        failure, complaint = getattr(self._node, "failure", ""), self._complaint()
        status = DiagnosticStatus(name=f"{self._node.get_name()}: health", level=DiagnosticStatus.OK, message="working")
        if failure or clashes:
            status.level, status.message = DiagnosticStatus.ERROR, failure or clashes[0]
        elif complaint:
            status.level, status.message = DiagnosticStatus.WARN, complaint
        return status
