"""ROS 2 bags without ROS: simulated shelves, or a real photo panned as if a camera moved over it.

Written with ``rosbags`` and standard message types only: colour (raw or JPEG), camera_info and, for simulated frames,
depth aligned to the colour image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import Frame, ImageArray

if TYPE_CHECKING:
    from shelfhelp_ros.simulation.camera import SimulatedShelf

Storage = Literal["sqlite3", "mcap"]
FRAME_ID = "camera_color_optical_frame"
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class BagSettings:
    """``storage`` of rosbag2; ``compressed`` writes JPEG of ``quality`` instead of raw images; ``namespace`` comes
    before ``color/image_raw`` and the rest; ``encoding`` is that of raw images.
    """

    storage: Storage = "sqlite3"
    compressed: bool = False
    quality: int = 90
    namespace: str = "/camera"
    encoding: Literal["bgr8", "rgb8"] = "bgr8"


class BagWriter:
    """Writes frames to a new bag, in a ``with`` statement. Raises ShelfHelpError when the path is taken."""

    def __init__(self, path: Path, settings: BagSettings | None = None) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise ShelfHelpError("writing bags needs rosbags; install it with: pip install rosbags") from error
        if path.exists():
            raise ShelfHelpError(f"{path} is there already; remove it or choose another path for the bag")
        self._settings = settings = settings or BagSettings()
        plugins = {"sqlite3": StoragePlugin.SQLITE3, "mcap": StoragePlugin.MCAP}
        if settings.storage not in plugins:
            raise ShelfHelpError(f"the bag's storage is {settings.storage!r}; it has to be sqlite3 or mcap")
        self._types: Any = get_typestore(Stores.ROS2_HUMBLE)
        self._writer: Any = Writer(path, version=8, storage_plugin=plugins[settings.storage])
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except OSError as error:
            raise ShelfHelpError(f"the bag cannot be written to {self._writer.path}: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, frame: Frame) -> None:
        """Add one frame: its image, and its camera_info and depth when it has them."""
        settings = self._settings
        colour = f"{settings.namespace}/color/image_raw"
        if settings.compressed:
            jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])[1]
            message = self._message(
                "sensor_msgs/msg/CompressedImage", header=self._header(frame),
                format=f"{settings.encoding}; jpeg compressed bgr8", data=jpeg.ravel(),
            )  # fmt: skip
            self._put(f"{colour}/compressed", frame.stamp_ns, message)
        else:
            pixels = frame.image if settings.encoding == "bgr8" else frame.image[..., ::-1]
            self._put(colour, frame.stamp_ns, self._image(frame, settings.encoding, pixels))
        if frame.camera is not None:
            self._put(f"{settings.namespace}/color/camera_info", frame.stamp_ns, self._camera_info(frame, frame.camera))
        if frame.depth is not None:
            millimetres = np.nan_to_num(np.round(frame.depth * 1000), nan=0.0, posinf=0.0).clip(0, 65535).astype("<u2")
            topic = f"{settings.namespace}/aligned_depth_to_color/image_raw"
            self._put(topic, frame.stamp_ns, self._image(frame, "16UC1", millimetres))

    def _message(self, name: str, **fields: Any) -> Any:
        return self._types.types[name](**fields)

    def _header(self, frame: Frame) -> Any:
        seconds, nanoseconds = divmod(frame.stamp_ns, 1_000_000_000)
        stamp = self._message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._message("std_msgs/msg/Header", stamp=stamp, frame_id=frame.frame_id)

    def _image(self, frame: Frame, encoding: str, pixels: Any) -> Any:
        height, width = pixels.shape[:2]
        return self._message(
            "sensor_msgs/msg/Image", header=self._header(frame), height=height, width=width, encoding=encoding,
            is_bigendian=0, step=pixels.nbytes // height,
            data=np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8),
        )  # fmt: skip

    def _camera_info(self, frame: Frame, camera: CameraModel) -> Any:
        k = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], float)
        p = np.array([camera.fx, 0, camera.cx, 0, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0], float)
        whole = self._message(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._message(
            "sensor_msgs/msg/CameraInfo", header=self._header(frame), height=camera.height, width=camera.width,
            distortion_model="plumb_bob", d=np.zeros(5), k=k, r=np.eye(3).ravel(), p=p, binning_x=0, binning_y=0,
            roi=whole,
        )  # fmt: skip

    def _put(self, topic: str, stamp_ns: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._types)
        self._writer.write(self._connections[topic], stamp_ns, self._types.serialize_cdr(message, kind))


def write_bag(path: Path, frames: Iterable[Frame], settings: BagSettings | None = None) -> int:
    """Write frames to a new bag at ``path``; returns how many. Raises ShelfHelpError when the path is taken."""
    count = 0
    with BagWriter(path, settings) as writer:
        for frame in frames:
            writer.write(frame)
            count += 1
    return count


def simulated_frames(shelf: SimulatedShelf, count: int, rate: float = 15.0) -> Iterator[Frame]:
    """``count`` frames of a simulated camera at ``rate`` a second, colour with depth and camera."""
    for index in range(count):
        picture = shelf.render(truth=False)
        stamp = START_NS + round(index * 1e9 / rate)
        yield Frame(stamp, shelf.frame_id, picture.image, picture.depth, picture.camera)
        shelf.step(1 / rate)


def photo_frames(
    photo: ImageArray, count: int, size: tuple[int, int] = (640, 480), rate: float = 15.0
) -> Iterator[Frame]:
    """A window of ``size`` (width, height) that travels over a photo and back, coming nearer and leaning a little.

    The photo (H×W×3 BGR) is enlarged when the window does not fit into it. There is no depth.
    """
    width, height = size
    rows, columns = photo.shape[:2]
    scale = max(1.0, 1.15 * width / columns, 1.15 * height / rows)
    camera = CameraModel.from_field_of_view(width, height, 60.0)
    for index in range(count):
        phase = 2 * np.pi * index / max(count, 1)
        zoom = scale * (1.05 - 0.05 * np.cos(2 * phase))
        travel_x, travel_y = max(0.0, columns * zoom - width) / 2, max(0.0, rows * zoom - height) / 2
        middle = np.array(
            [columns * zoom / 2 - travel_x * np.cos(phase), rows * zoom / 2 - travel_y * np.sin(phase) * 0.8]
        )
        matrix = cv2.getRotationMatrix2D(
            (float(middle[0] / zoom), float(middle[1] / zoom)), 1.5 * float(np.sin(3 * phase)), float(zoom)
        )
        matrix[:, 2] += np.array([width / 2, height / 2]) - middle / zoom
        image = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield Frame(START_NS + round(index * 1e9 / rate), FRAME_ID, np.asarray(image, np.uint8), None, camera)


def photo_pan_bag(
    photo: Path,
    path: Path,
    count: int = 60,
    size: tuple[int, int] = (640, 480),
    rate: float = 15.0,
    settings: BagSettings | None = None,
) -> int:
    """Write a bag in which a camera moves over a real photo; returns the number of frames."""
    return write_bag(path, photo_frames(load_image(photo), count, size, rate), settings)
