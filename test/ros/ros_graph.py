"""What the tests over ROS share: a graph with nodes in this process, a camera, and listeners."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from drawn_shelf import draw_shelf, photo_of
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.nodes.client import AssistantClient
from shelfhelp_ros.nodes.conversions import to_camera_info, to_header
from shelfhelp_ros.nodes.image_conversion import fill_colour, fill_compressed, fill_depth
from shelfhelp_ros.nodes.quality_of_service import CAMERA, WORDS
from shelfhelp_ros.nodes.running import Crew
from shelfhelp_ros.nodes.transport import make_room_for_images
from shelfhelp_ros.sightings import FloatArray, ImageArray

__all__ = ["Camera", "Graph", "Heard", "photo_of", "until"]

FRAME = "camera_color_optical_frame"
LENS = CameraModel.from_field_of_view(640, 480, 60.0)
# Whoever waits for this long waits for nothing: a machine that is busy with other work is slow, not silent.
PATIENCE = 180.0


class Graph:
    """A crew on a context of its own. ``options`` go to every node, so that they meet in this domain."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.folder, self.domain = folder, domain
        make_room_for_images()
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=domain)
        self.crew = Crew(self.context)
        self.clients: dict[str, Any] = {}

    def close(self) -> None:
        self.crew.close()
        self.context.try_shutdown()

    def add(self, kind: Callable[..., Any], *arguments: Any, ros: dict[str, Any] | None = None, **options: Any) -> Any:
        """Make a node of this graph with ROS parameters, and spin it."""
        given = [item for name, value in (ros or {}).items() for item in ("-p", f"{name}:={_yaml(value)}")]
        return self.crew.add(kind(*arguments, context=self.context, cli_args=["--ros-args", *given], **options))

    def perception(self, models: Path, active: bool = True, **parameters: Any) -> Any:
        """A perception node with a catalogue of its own."""
        from shelfhelp_ros.nodes.perception_node import PerceptionNode

        places = {"models": models, "catalogue": self.folder / "catalogue.db"}
        node = self.add(PerceptionNode, ros=places | parameters)
        if active:
            node.trigger_configure()
            node.trigger_activate()
        return node

    def guidance(self, **parameters: Any) -> Any:
        """A guidance node, active."""
        from shelfhelp_ros.nodes.guidance_node import GuidanceNode

        node = self.add(GuidanceNode, ros=parameters)
        node.trigger_configure()
        node.trigger_activate()
        return node

    def client(self) -> AssistantClient:
        return self.add(AssistantClient)

    def listen(self, kind: type, topic: str, quality: Any = WORDS) -> Heard:
        """Everything that is published on a topic from now on."""
        heard = Heard(topic)
        self.node.create_subscription(kind, topic, heard.messages.append, quality)
        for node in self.crew.nodes:
            for publisher in node.publishers:
                if publisher.topic_name == f"/{topic.lstrip('/')}":
                    until(
                        lambda publisher=publisher: publisher.get_subscription_count() > 0, what=f"a match of {topic}"
                    )
        return heard

    @property
    def node(self) -> Node:
        """The test's own node."""
        if not hasattr(self, "_node"):
            self._node = self.add(Node, "test")
        return self._node

    def camera(self) -> Camera:
        return Camera(self.node)


class Heard:
    """The messages of one topic."""

    def __init__(self, topic: str) -> None:
        self.messages: list[Any] = []
        self._topic = topic

    def wait_for(
        self, wanted: Callable[[Any], bool] = lambda message: True, doing: Callable[[], object] = lambda: None
    ) -> Any:
        """The first message that is ``wanted``; calls ``doing`` (a camera's next frame, say) until it comes."""
        return until(
            lambda: next((message for message in list(self.messages) if wanted(message)), None), doing, self._topic
        )


class Camera:
    """A camera that looks at a drawn shelf: numbers of packs, four in a row (see drawn_shelf)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._colour = node.create_publisher(Image, "camera/color/image_raw", CAMERA)
        self._compressed = node.create_publisher(CompressedImage, "camera/color/image_raw/compressed", CAMERA)
        self._info = node.create_publisher(CameraInfo, "camera/color/camera_info", CAMERA)
        self._depth = node.create_publisher(Image, "camera/aligned_depth_to_color/image_raw", CAMERA)

    def show(
        self,
        numbers: list[int],
        depth: FloatArray | None = None,
        compressed: bool = False,
        calibrated: bool = True,
        pause: float = 0.1,
    ) -> int:
        """Publish one frame, wait ``pause`` seconds, and return the frame's stamp."""
        image, _ = draw_shelf(numbers)
        return self.publish(image, depth, compressed, calibrated, pause)

    def publish(
        self,
        image: ImageArray,
        depth: FloatArray | None = None,
        compressed: bool = False,
        calibrated: bool = True,
        pause: float = 0.1,
    ) -> int:
        stamp = self._node.get_clock().now().nanoseconds
        header = to_header(stamp, FRAME)
        if calibrated:
            self._info.publish(to_camera_info(LENS, stamp, FRAME))
        if depth is not None:
            self._depth.publish(fill_depth(Image(header=header), depth))
        if compressed:
            self._compressed.publish(fill_compressed(CompressedImage(header=header), image))
        else:
            self._colour.publish(fill_colour(Image(header=header), image))
        time.sleep(pause)
        return int(stamp)

    def send(self, message: Image | CompressedImage) -> None:
        """Publish a colour message as it is."""
        (self._compressed if isinstance(message, CompressedImage) else self._colour).publish(message)

    def send_depth(self, message: Image) -> None:
        """Publish a depth message as it is."""
        self._depth.publish(message)

    def send_info(self, message: CameraInfo) -> None:
        """Publish a calibration as it is."""
        self._info.publish(message)


def until(answer: Callable[[], Any], doing: Callable[[], object] = lambda: None, what: str = "it") -> Any:
    """What ``answer`` gives once it is true. Fails after a generous time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = answer()
        if found:
            return found
        doing()
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen in {PATIENCE:.0f} s")


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, Path) else str(value)
