"""Whether guidance dies in the middle of a search: nobody else would tell the person, who waits for its next word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import String

from shelfhelp_ros.nodes.quality_of_service import LIVING_STATE, adjustable

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks


class GuidanceWatch:
    """Calls ``on_death`` when who tells what is ``wanted`` dies while something is.

    The graph is no help: it lists a killed node for up to 20 s, and by then the next one may be there. The middleware
    tells a publisher whose process has gone silent (not alive) from one that was closed (no publisher any more).
    """

    def __init__(self, node: Node, on_death: Callable[[], object]) -> None:
        self._node, self._on_death = node, on_death
        self.wanted = ""
        callbacks = SubscriptionEventCallbacks(liveliness=self._on_liveliness)
        quality = adjustable(LIVING_STATE)
        self._subscription = node.create_subscription(
            String, "wanted", self._on_wanted, event_callbacks=callbacks, **quality
        )

    def _on_wanted(self, message: String) -> None:
        self.wanted = message.data

    def _on_liveliness(self, change: Any) -> None:
        died = change.not_alive_count_change > 0 and not self._beside()
        if died or change.alive_count_change < 0:
            wanted, self.wanted = self.wanted, ""
            if died and wanted:
                self._on_death()

    def _beside(self) -> bool:
        """Whether guidance is in this process: it cannot die alone then, and Fast DDS does not tell that it lives."""
        topic, own = self._subscription.topic_name, (self._node.get_namespace(), self._node.get_name())
        listeners = self._node.get_subscriptions_info_by_topic(topic)
        ours = [_process(one) for one in listeners if (one.node_namespace, one.node_name) == own]
        return any(_process(one) in ours for one in self._node.get_publishers_info_by_topic(topic))


def _process(endpoint: Any) -> bytes:
    """The part of an endpoint's id that those of one process share (DDS: the participant's)."""
    return bytes(endpoint.endpoint_gid[:12])
