"""sensor_msgs pictures to arrays and back: cv_bridge where a working one is installed, else the converter below.

Only attributes of a message are read (``height``, ``width``, ``encoding``, ``step``, ``is_bigendian``, ``data``), so
this file imports no ROS. Layouts follow the header ``sensor_msgs/image_encodings.hpp``.
"""

from __future__ import annotations

import re
from array import array
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import FloatArray, ImageArray

MAX_PIXELS = 50_000_000
# Encoding: bytes a pixel, and how OpenCV names the way to BGR (None: it is BGR already).
COLOUR_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "bgr8": (3, None),
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "8UC3": (3, None),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2BGR_YUY2),
}
DEPTH_ENCODINGS: dict[str, tuple[str, float]] = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}
# Of a JPEG: what begins each of its parts, which parts tell the size, and which have no length after the marker.
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))


class Converter(Protocol):
    """Turns image messages into arrays. Both methods raise ShelfHelpError for a message that is not what it says."""

    def colour(self, message: Any) -> ImageArray:
        """H×W×3 uint8 BGR, read-only; a view of the message where the encoding allows it."""

    def depth(self, message: Any) -> FloatArray:
        """H×W float32 metres with NaN where unknown (16UC1 holds millimetres, 32FC1 metres)."""


def _check(message: Any, bytes_a_pixel: int) -> None:
    """Raise ShelfHelpError unless sizes, row step and data agree."""
    height, width, step, size = message.height, message.width, message.step, len(message.data)
    if height < 1 or width < 1:
        raise ShelfHelpError(f"an image message is empty ({width}×{height}); check the camera driver")
    if height * width > MAX_PIXELS:
        raise ShelfHelpError(f"an image message claims {width}×{height} pixels; lower the camera's resolution")
    if step < width * bytes_a_pixel:
        raise ShelfHelpError(
            f"an image message of width {width} in {message.encoding} has rows of {step} bytes, "
            f"fewer than {width * bytes_a_pixel}; check the camera driver"
        )
    if size < step * height:
        raise ShelfHelpError(f"an image message is cut short: {size} of {step * height} bytes; check the camera driver")


def _colour_layout(message: Any) -> tuple[int, int | None]:
    layout = COLOUR_ENCODINGS.get(message.encoding)
    if layout is None:
        known = ", ".join(sorted(COLOUR_ENCODINGS))
        raise ShelfHelpError(
            f"colour encoding '{message.encoding}' is not supported; have the camera send one of {known}"
        )
    _check(message, layout[0])
    if message.encoding.startswith(("yuv", "uyvy", "yuyv")) and message.width % 2:
        raise ShelfHelpError(
            f"an image message in {message.encoding} has the odd width {message.width}; check the camera driver"
        )
    return layout


def _depth_layout(message: Any) -> tuple[np.dtype[Any], float]:
    layout = DEPTH_ENCODINGS.get(message.encoding)
    if layout is None:
        known = ", ".join(sorted(DEPTH_ENCODINGS))
        raise ShelfHelpError(
            f"depth encoding '{message.encoding}' is not supported; have the camera send one of {known}"
        )
    kind = np.dtype(layout[0]).newbyteorder(">" if message.is_bigendian else "<")
    _check(message, kind.itemsize)
    return kind, layout[1]


def _metres(raw: npt.NDArray[Any], unit: float) -> FloatArray:
    depth = np.asarray(raw, np.float32) * np.float32(unit)
    with np.errstate(invalid="ignore"):
        depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def _frozen(image: npt.NDArray[Any]) -> ImageArray:
    image = image.view()
    image.flags.writeable = False
    return image


class PlainConverter:
    """NumPy and OpenCV only: what runs where there is no ROS installation."""

    def colour(self, message: Any) -> ImageArray:
        width_bytes, conversion = _colour_layout(message)
        rows = np.frombuffer(message.data, np.uint8, count=message.step * message.height)
        rows = rows.reshape(message.height, message.step)[:, : message.width * width_bytes]
        pixels = rows.reshape(message.height, message.width, width_bytes)
        if conversion is None:
            return _frozen(pixels)
        return _frozen(cv2.cvtColor(np.ascontiguousarray(pixels), conversion))

    def depth(self, message: Any) -> FloatArray:
        kind, unit = _depth_layout(message)
        raw: npt.NDArray[Any] = np.ndarray(
            (message.height, message.width), kind, memoryview(message.data), strides=(message.step, kind.itemsize)
        )
        return _metres(raw, unit)


class CvBridgeConverter:
    """The same through cv_bridge. Raises whatever importing or trying it raises when it does not work here."""

    def __init__(self) -> None:
        from cv_bridge import CvBridge

        self._bridge = CvBridge()

    def colour(self, message: Any) -> ImageArray:
        width_bytes, _ = _colour_layout(message)
        # cv_bridge knows one name only for each YUV order, takes 8UC3 for no colour at all, and shears the picture when
        # a row is padded by a part of a pixel.
        if message.encoding in ("uyvy", "yuyv", "8UC3") or message.step % width_bytes:
            return PlainConverter().colour(message)
        return _frozen(np.asarray(self._convert(message, "bgr8"), np.uint8))

    def depth(self, message: Any) -> FloatArray:
        kind, unit = _depth_layout(message)
        # Its way of turning bytes round needs a NumPy before 2.
        if message.step % kind.itemsize or message.is_bigendian:
            return PlainConverter().depth(message)
        raw = np.asarray(self._convert(message, "passthrough"))
        return _metres(raw.reshape(message.height, message.width), unit)

    def _convert(self, message: Any, encoding: str) -> npt.NDArray[Any]:
        try:
            image: npt.NDArray[Any] = self._bridge.imgmsg_to_cv2(message, encoding)
        except Exception as error:
            raise ShelfHelpError(f"cv_bridge cannot convert an image in {message.encoding} ({error})") from error
        return image


def best_converter(trial: Any) -> Converter:
    """cv_bridge when it is installed and converts ``trial`` (a small bgr8 message) rightly, else the plain converter.

    A cv_bridge built for another NumPy, or the ROS 1 one from PyPI, imports and then fails: hence the trial.
    """
    plain = PlainConverter()
    try:
        bridge = CvBridgeConverter()
        works = np.array_equal(bridge.colour(trial), plain.colour(trial))
    except Exception:
        return plain
    return bridge if works else plain


def decode_compressed(data: Any, declared: str = "") -> ImageArray:
    """H×W×3 uint8 BGR from the bytes of a CompressedImage (JPEG or PNG); ``declared`` is its ``format`` field.

    Raises ShelfHelpError when the bytes are neither, are cut short, or hold too many pixels.
    """
    encoded = np.frombuffer(data, np.uint8)
    whole = encoded.tobytes()
    end = whole[-64:].rstrip(b"\0")
    if whole.startswith(b"\xff\xd8"):
        complete, (width, height) = b"\xff\xd9" in end[-4:], _jpeg_size(whole)
    elif whole.startswith(b"\x89PNG\r\n\x1a\n"):
        complete, (width, height) = b"IEND" in end, (_number(whole, 16, 4), _number(whole, 20, 4))
    else:
        raise ShelfHelpError(
            f"a compressed image ('{declared}') is neither JPEG nor PNG; set the camera's image_transport"
        )
    if width * height > MAX_PIXELS:
        raise ShelfHelpError(f"a compressed image claims {width}×{height} pixels; lower the camera's resolution")
    if not complete:
        raise ShelfHelpError(
            f"a compressed image of {encoded.size} bytes is cut short; check the connection to the camera"
        )
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ShelfHelpError("a compressed image cannot be decoded; check the connection to the camera") from error
    if image is None or image.size == 0:
        raise ShelfHelpError("a compressed image cannot be decoded; check the connection to the camera")
    return _frozen(np.asarray(image, np.uint8))


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of the frame header, found as the decoder finds it; nothing by nothing where there is none."""
    at = 2
    while marker := _MARKER.search(data, at):
        kind, at = marker[1][0], marker.end()
        if kind in _FRAME_HEADERS:
            return _number(data, at + 5, 2), _number(data, at + 3, 2)
        if kind not in _BARE_MARKERS:
            at += _number(data, at, 2)
    return 0, 0


def as_bytes(values: npt.NDArray[Any] | bytes) -> array[int]:
    """``values`` as the ``array('B')`` that message fields take without looking at every element."""
    data = array("B")
    data.frombytes(values if isinstance(values, bytes) else np.ascontiguousarray(values).data.cast("B"))
    return data


def fill_colour(message: Any, image: ImageArray) -> Any:
    """Put an H×W×3 BGR image into a sensor_msgs/Image, as bgr8."""
    message.height, message.width = image.shape[:2]
    message.encoding, message.is_bigendian, message.step = "bgr8", 0, image.shape[1] * 3
    message.data = as_bytes(image)
    return message


def fill_depth(message: Any, depth: FloatArray) -> Any:
    """Put H×W metres into a sensor_msgs/Image as 16UC1 millimetres; unknown and beyond 65.5 m become 0."""
    millimetres = np.nan_to_num(depth * 1000.0, nan=0.0, posinf=0.0, neginf=0.0)
    millimetres = np.where((millimetres < 0) | (millimetres > 65535), 0, np.floor(millimetres + 0.5)).astype("<u2")
    message.height, message.width = depth.shape
    message.encoding, message.is_bigendian, message.step = "16UC1", 0, depth.shape[1] * 2
    message.data = as_bytes(millimetres)
    return message


def fill_compressed(message: Any, image: ImageArray, quality: int = 90) -> Any:
    """Put an H×W×3 BGR image into a sensor_msgs/CompressedImage, as JPEG of ``quality`` 1..100."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    message.format, message.data = "bgr8; jpeg compressed bgr8", as_bytes(encoded)
    return message
