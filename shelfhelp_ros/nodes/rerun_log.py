"""What a search sees and says as a Rerun recording (rerun.io): pictures, boxes, positions, probability, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import cameras
from shelfhelp_ros.nodes.conversions import from_time
from shelfhelp_ros.nodes.image_conversion import Converter, best_converter, fill_colour
from shelfhelp_ros.nodes.quality_of_service import CAMERA, WORDS
from shelfhelp_ros.sightings import Decision

_TRIAL = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
_TARGET, _OTHER = (255, 160, 0), (120, 170, 255)


class RerunLog(Node):
    """Listens to the camera and to the assistant, and writes what it hears to ``path`` (.rrd) on the timeline *stamp*.

    Raises ShelfHelpError without the package rerun-sdk, or when the file cannot be written.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        try:
            import rerun
        except ImportError as error:
            raise ShelfHelpError(
                "a Rerun recording needs rerun-sdk; install it with: pip install 'shelfhelp[rerun]'"
            ) from error
        super().__init__("rerun_log", **options)
        self._rr: Any = rerun
        self._stream: Any = rerun.RecordingStream("shelfhelp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream.save(path)
        except (OSError, RuntimeError) as error:
            raise ShelfHelpError(f"{path} cannot be written: {error}") from error
        self._converter: Converter = best_converter(fill_colour(Image(), _TRIAL))
        self._target = 0
        self.create_subscription(Image, cameras.COLOUR, self._on_image, CAMERA)
        self.create_subscription(CompressedImage, cameras.COMPRESSED, self._on_compressed, CAMERA)
        self.create_subscription(ProductArray, "products", self._on_products, WORDS)
        self.create_subscription(TargetSighting, "target", self._on_target, WORDS)
        self.create_subscription(Instruction, "spoken", self._on_spoken, WORDS)

    def close(self) -> None:
        """Write what is left."""
        self._stream.flush()
        self._stream.disconnect()

    def _log(self, entity: str, stamp_ns: int, what: Any) -> None:
        self._stream.set_time("stamp", timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.log(entity, what)

    def _on_image(self, message: Image) -> None:
        try:
            picture = self._converter.colour(message)[..., ::-1]
        except ShelfHelpError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        self._log("camera/image", from_time(message.header.stamp), self._rr.Image(picture).compress(jpeg_quality=80))

    def _on_compressed(self, message: CompressedImage) -> None:
        kind = "image/png" if "png" in message.format else "image/jpeg"
        picture = self._rr.EncodedImage(contents=bytes(message.data), media_type=kind)
        self._log("camera/image", from_time(message.header.stamp), picture)

    def _on_products(self, message: ProductArray) -> None:
        stamp, products = from_time(message.header.stamp), message.products
        colours = [_TARGET if product.track_id == self._target else _OTHER for product in products]
        boxes = self._rr.Boxes2D(
            array=np.array([product.box for product in products], np.float32).reshape(-1, 4),
            array_format=self._rr.Box2DFormat.XYXY,
            labels=[product.product_name for product in products],
            colors=colours,
        )
        self._log("camera/image/products", stamp, boxes)
        placed = [(product, colour) for product, colour in zip(products, colours, strict=True) if product.has_position]
        points = self._rr.Points3D(
            [(product.position.x, product.position.y, product.position.z) for product, _ in placed],
            labels=[product.product_name for product, _ in placed],
            colors=[colour for _, colour in placed],
            radii=0.02,
        )
        self._log("shelf/products", stamp, points)

    def _on_target(self, message: TargetSighting) -> None:
        self._target = message.product.track_id if message.has_product else 0
        stamp = from_time(message.header.stamp)
        self._log("target/probability", stamp, self._rr.Scalars(float(message.probability)))
        self._log("target/decision", stamp, self._rr.TextLog(Decision(message.decision).name.lower()))

    def _on_spoken(self, message: Instruction) -> None:
        words = self._rr.TextLog(f"[{message.phase}] {message.text}")
        self._log("spoken", int(self.get_clock().now().nanoseconds), words)
