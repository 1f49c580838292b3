"""Perception, hand and guidance in one, for tests of the nodes that listen to them."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from ros_graph import FRAME, Graph, until
from shelfhelp_interfaces.msg import Instruction, TargetSighting

from shelfhelp_ros.nodes.conversions import to_hand, to_target
from shelfhelp_ros.nodes.quality_of_service import CAMERA, WORDS
from shelfhelp_ros.sightings import Decision, Position, TrackedProduct
from shelfhelp_ros.sightings import TargetSighting as Sighting

SURE = np.eye(3) * 1e-4


class Search:
    """Perception, hand and guidance in one: publishes what they would. The product is ``x, y`` metres from the hand."""

    def __init__(self, graph: Graph) -> None:
        self.node = graph.node
        self._target = self.node.create_publisher(TargetSighting, "target", WORDS)
        self._hand = self.node.create_publisher(PoseWithCovarianceStamped, "hand", CAMERA)
        self._instruction = self.node.create_publisher(Instruction, "instruction", WORDS)
        for publisher in (self._target, self._hand, self._instruction):
            until(lambda publisher=publisher: publisher.get_subscription_count() > 0, what="a listener")

    def phase(self, phase: str) -> None:
        self._instruction.publish(Instruction(phase=phase, text="words"))

    def see(self, x: float, y: float, age_ms: float = 0.0) -> int:
        """One frame of ``age_ms``; returns its stamp."""
        stamp = self.node.get_clock().now().nanoseconds - round(age_ms * 1e6)
        xyz = np.array([x, y, 0.9])
        box = np.array([0, 0, 10, 10], np.float32)
        position = Position(xyz, SURE)
        product = TrackedProduct(1, box, 0.9, "1", "Tea", 0.9, xyz / np.linalg.norm(xyz), position)
        self._hand.publish(to_hand(Position(np.array([0.0, 0.0, 0.6]), SURE), stamp, FRAME))
        self._target.publish(to_target(Sighting(stamp, FRAME, "1", "Tea", Decision.FOUND, 0.95, product)))
        return int(stamp)
