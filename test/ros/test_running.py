"""A crew of nodes goes on spinning whatever their callbacks do."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from ros_graph import Graph, until
from std_msgs.msg import Empty


class Restless(Node):
    """Opens and destroys topics and timers in its own callbacks, as a lifecycle node does when it is cleaned up."""

    threads = 3

    def __init__(self, **options: object) -> None:
        super().__init__("restless", **options)
        self.rounds = 0
        self._busy = threading.Lock()
        self.create_timer(0.001, self._renew, callback_group=ReentrantCallbackGroup())

    def _renew(self) -> None:
        with self._busy:
            timers = [self.create_timer(0.0005, lambda: None) for _ in range(5)]
            subscription = self.create_subscription(Empty, "news", lambda message: None, 1)
            publisher = self.create_publisher(Empty, "news", 1)
            publisher.publish(Empty())
            time.sleep(0.002)
            for timer in timers:
                self.destroy_timer(timer)
            self.destroy_subscription(subscription)
            self.destroy_publisher(publisher)
            self.rounds += 1


def test_what_a_callback_destroys_does_not_stop_its_node(graph: Graph) -> None:
    """The executor may be about to wait for what a cleanup destroys; the node has to answer all the same afterwards."""
    node = graph.add(Restless)
    until(lambda: node.rounds >= 60 or graph.crew.wait(0) is not None, what="60 rounds")
    assert graph.crew.wait(0) is None
