"""A camera's topics as frames of a node: subscriptions, matching by stamp, conversion."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import cameras, conversions
from shelfhelp_ros.nodes.frame_matching import FrameMatcher, MatchedFrame
from shelfhelp_ros.nodes.image_conversion import Converter, best_converter, decode_compressed, fill_colour
from shelfhelp_ros.nodes.quality_of_service import CAMERA, COMPANION, adjustable
from shelfhelp_ros.sightings import FloatArray, Frame

_TRIAL = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
# Aligned images have one shape; a driver may round the height of a smaller one.
_SAME_SHAPE = 0.02


class CameraInput:
    """Callbacks store messages; `take`, in a worker's thread, turns the newest into a frame.

    ``fault`` is called with a sentence when a part of a frame cannot be used: depth that is not aligned, a camera_info
    without calibration. ``matcher`` may be exchanged while nothing is taken. ``timings_ms`` is of the frame taken last:
    how long it waited, and how long its conversion took.
    """

    def __init__(self, node: Node, matcher: FrameMatcher, transport: str, fault: Callable[[str], None]) -> None:
        self._node = node
        self.matcher = matcher
        self.timings_ms: dict[str, float] = {}
        self._fault = fault
        self._converter: Converter = best_converter(fill_colour(Image(), _TRIAL))
        colour: tuple[type, str] = (Image, cameras.COLOUR)
        if transport == "compressed":
            colour = (CompressedImage, cameras.COMPRESSED)
        self._subscriptions = [
            node.create_subscription(*colour, self._on_colour, **adjustable(CAMERA)),
            node.create_subscription(CameraInfo, cameras.CAMERA_INFO, self._on_camera, **adjustable(COMPANION)),
            node.create_subscription(Image, cameras.DEPTH, self._on_depth, **adjustable(COMPANION)),
        ]

    def destroy(self) -> None:
        """Leave the topics."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, or None after ``timeout`` seconds. Raises ShelfHelpError when its picture is not usable."""
        matched = self.matcher.take(timeout)
        if matched is None:
            return None
        started = time.perf_counter()
        frame = self._to_frame(matched)
        self.timings_ms = {"wait": matched.waited * 1e3, "convert": (time.perf_counter() - started) * 1e3}
        return frame

    def _on_colour(self, message: Any) -> None:
        self.matcher.put_colour(conversions.from_time(message.header.stamp), message)

    def _on_depth(self, message: Image) -> None:
        self.matcher.put_depth(conversions.from_time(message.header.stamp), message)

    def _on_camera(self, message: CameraInfo) -> None:
        self.matcher.put_camera(conversions.from_time(message.header.stamp), message)

    def _to_frame(self, matched: MatchedFrame) -> Frame:
        colour = matched.colour
        compressed = isinstance(colour, CompressedImage)
        image = decode_compressed(colour.data, colour.format) if compressed else self._converter.colour(colour)
        camera = None
        if matched.camera is not None:
            camera = conversions.from_camera_info(matched.camera)
            if camera is None:
                self._fault("camera_info is not calibrated; the parameter field_of_view is used in its place")
        depth = None if matched.depth is None else self._to_depth(matched.depth, image.shape[1] / image.shape[0])
        return Frame(matched.stamp_ns, colour.header.frame_id, image, depth, camera)

    def _to_depth(self, message: Image, aspect: float) -> FloatArray | None:
        """The depth image, or None with a word to the user: directions do not need it, so the frame is not lost."""
        try:
            depth = self._converter.depth(message)
            if abs(depth.shape[1] / depth.shape[0] - aspect) > _SAME_SHAPE * aspect:
                raise ShelfHelpError(
                    f"the depth image ({depth.shape[1]}×{depth.shape[0]}) is not aligned to the colour image; "
                    "turn on the camera's alignment (align_depth)"
                )
        except ShelfHelpError as error:
            self._fault(str(error))
            return None
        return depth
