"""How each kind of topic is delivered."""

from __future__ import annotations

from copy import copy
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

#: Camera streams: a lost frame is not asked for again, and only the newest waits.
CAMERA = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
#: Streams that are matched with the camera's by stamp, and so may have to wait for it.
COMPANION = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
#: What we publish for each frame. A best-effort listener is served as well.
RESULT = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
#: Words: none may be lost.
WORDS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
#: A state that late listeners have to learn.
STATE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
#: The same, of which listeners also learn within two seconds that who tells it has died.
LIVING_STATE = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    liveliness=LivelinessPolicy.AUTOMATIC,
    liveliness_lease_duration=Duration(seconds=2),
)


def adjustable(quality: QoSProfile) -> dict[str, Any]:
    """Arguments of create_publisher and create_subscription for a topic whose delivery the configuration may change.

    The parameters are ROS's own, such as ``qos_overrides./target.subscription.reliability: best_effort``.
    """
    kinds = (QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
    return {"qos_profile": copy(quality), "qos_overriding_options": QoSOverridingOptions(kinds)}
