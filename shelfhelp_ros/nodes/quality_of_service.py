"""How each kind of topic is delivered."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

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
