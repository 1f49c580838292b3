"""Plays a bag on the graph with the bag's own timing, and the clock that goes with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from shelfhelp_ros.nodes import bags
from shelfhelp_ros.nodes.bags import Bag, BagTopics, Recorded, shifted, stamp_ns
from shelfhelp_ros.nodes.conversions import to_time

KINDS = {
    bags.IMAGE: Image,
    bags.COMPRESSED_IMAGE: CompressedImage,
    bags.CAMERA_INFO: CameraInfo,
    bags.HAND: PoseWithCovarianceStamped,
}
CLOCK_SECONDS = 0.01


class BagPlayer(Node):
    """Publishes a bag's camera topics under our names, and /clock.

    `play` blocks; it may be stopped from another thread. Images are published as a camera driver does, so a listener
    that is too slow misses some; ``published`` notes when each colour image went out, by its stamp.
    """

    def __init__(self, bag: Bag, topics: BagTopics, **options: Any) -> None:
        super().__init__("bag_player", **options)
        self._bag = bag
        self._topics = topics
        self._stopped = threading.Event()
        self.published: dict[int, float] = {}
        quality = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self._clock_topic = self.create_publisher(Clock, "/clock", quality)
        self._topics_out = {
            ours: self.create_publisher(KINDS[bag.kinds[theirs]], ours, quality)
            for theirs, ours in topics.renamed().items()
        }

    @property
    def heard(self) -> bool:
        """Whether anyone listens to the colour images yet."""
        return self._topics_out[self._colour_topic].get_subscription_count() > 0

    def stop(self) -> None:
        self._stopped.set()

    def publish_clock(self, time_ns: int) -> None:
        self._clock_topic.publish(Clock(clock=to_time(time_ns)))

    def play(
        self,
        rate: float = 1.0,
        loop: bool = False,
        start: float = 0.0,
        duration: float | None = None,
        progress: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """Play until the end, or for ever with ``loop``; ``progress`` is told the seconds of the bag played so far.

        When a bag begins again its stamps go on where they ended, so that no listener sees time run backwards.
        """
        begin = self._bag.start_ns + round(start * 1e9)
        length = self._bag.end_ns - begin if duration is None else min(self._bag.end_ns - begin, round(duration * 1e9))
        offset = 0
        while not self._stopped.is_set():
            self._play_once(begin, offset, rate, start, duration, progress)
            offset += length + 1
            if not loop:
                return

    def _play_once(
        self,
        begin: int,
        offset: int,
        rate: float,
        start: float,
        duration: float | None,
        progress: Callable[[float], None],
    ) -> None:
        began = time.monotonic()
        for message in self._bag.messages(self._topics, start, duration):
            if not self._wait(began, message.time_ns - begin, begin + offset, rate):
                return
            self._publish(message, offset)
            progress((message.time_ns - begin) / 1e9)

    def _wait(self, began: float, due_ns: int, zero_ns: int, rate: float) -> bool:
        """Let the clock run until a message is due; False when stopped."""
        while True:
            played_ns = min(due_ns, round((time.monotonic() - began) * rate * 1e9))
            self.publish_clock(zero_ns + played_ns)
            if played_ns >= due_ns:
                return not self._stopped.is_set()
            if self._stopped.wait(min(CLOCK_SECONDS, (due_ns - played_ns) / 1e9 / rate)):
                return False

    def _publish(self, message: Recorded, offset: int) -> None:
        data = shifted(message.data, offset)
        if message.kind in (bags.IMAGE, bags.COMPRESSED_IMAGE) and message.topic == self._colour_topic:
            self.published[stamp_ns(data)] = time.monotonic()
        self._topics_out[message.topic].publish(data)

    @property
    def _colour_topic(self) -> str:
        return self._topics.renamed()[self._topics.colour]
