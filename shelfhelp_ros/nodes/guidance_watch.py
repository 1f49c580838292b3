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
        self._on_death = on_death
        self.wanted = ""
        callbacks = SubscriptionEventCallbacks(liveliness=self._on_liveliness)
        quality = adjustable(LIVING_STATE)
        node.create_subscription(String, "wanted", self._on_wanted, event_callbacks=callbacks, **quality)

    def _on_wanted(self, message: String) -> None:
        self.wanted = message.data

    def _on_liveliness(self, change: Any) -> None:
        died = change.not_alive_count_change > 0
        if died or change.alive_count_change < 0:
            wanted, self.wanted = self.wanted, ""
            if died and wanted:
                self._on_death()
