"""One contract for every way from an image message to an array: ours, and cv_bridge where there is a working one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import image_conversion as conversion


def message(data: np.ndarray, kind: str, padding: int = 0, big_endian: bool = False, **changes: Any) -> Any:
    """An image message over H×W(×C) pixels, its rows followed by ``padding`` bytes of rubbish."""
    height, width = data.shape[:2]
    stored = data.astype(data.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    fields = {
        "height": height,
        "width": width,
        "encoding": kind,
        "step": rows.shape[1],
        "is_bigendian": int(big_endian),
        "data": conversion.as_bytes(rows),
    }
    made = _empty()
    for name, value in (fields | changes).items():
        setattr(made, name, value)
    return made


def _empty() -> Any:
    try:
        from sensor_msgs.msg import Image
    except ImportError:
        return SimpleNamespace()
    return Image()


@pytest.fixture(params=["ours", "cv_bridge"])
def converter(request: pytest.FixtureRequest) -> conversion.Converter:
    """Both converters; cv_bridge only where it works."""
    if request.param == "ours":
        return conversion.PlainConverter()
    pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation")
    trial = conversion.fill_colour(_empty(), np.zeros((2, 4, 3), np.uint8))
    found = conversion.best_converter(trial)
    if isinstance(found, conversion.PlainConverter):
        pytest.skip("the cv_bridge that is installed does not work with this NumPy")
    return found


BGR = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("padding", [0, 5, 64])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("bgr8", [0, 1, 2]), ("rgb8", [2, 1, 0]), ("bgra8", [0, 1, 2, 0]), ("rgba8", [2, 1, 0, 0]), ("8UC3", [0, 1, 2])],
)
def test_colour_orders_and_row_padding(
    converter: conversion.Converter, encoding: str, order: list[int], padding: int
) -> None:
    """Red must not become blue, and rows must not shear, whatever the driver sends."""
    image = converter.colour(message(BGR[..., order], encoding, padding))
    np.testing.assert_array_equal(image, BGR)


@pytest.mark.parametrize("padding", [0, 3])
def test_grey_becomes_three_equal_channels(converter: conversion.Converter, padding: int) -> None:
    """A grey camera still works."""
    image = converter.colour(message(BGR[..., 0], "mono8", padding))
    np.testing.assert_array_equal(image, BGR[..., [0, 0, 0]])


def yuv(encoding: str, colour: tuple[int, int, int]) -> np.ndarray:
    """One colour as a 4×6 picture of packed 4:2:2, by ITU-R BT.601 in video range (as OpenCV and cv_bridge read it)."""
    b, g, r = (value / 255 for value in colour)
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    pair = [u, y, v, y] if encoding == "yuv422" else [y, u, y, v]
    return np.tile(np.array(pair).round().astype(np.uint8).reshape(1, 2, 2), (4, 3, 1))


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2"])
@pytest.mark.parametrize("colour", [(20, 30, 220), (200, 90, 10), (128, 128, 128)])
def test_yuv422_in_both_byte_orders(
    converter: conversion.Converter, encoding: str, colour: tuple[int, int, int]
) -> None:
    """Webcams send YUV; mixing up its two orders gives green people."""
    image = converter.colour(message(yuv(encoding, colour), encoding, padding=4))
    assert image.shape == (4, 6, 3)
    assert np.abs(image.astype(int) - colour).max() <= 4


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_depth_in_millimetres(converter: conversion.Converter, big_endian: bool, padding: int) -> None:
    """16UC1 holds millimetres, 0 is unknown; byte order and padding must not turn 0.5 m into 62 m."""
    raw = np.array([[0, 500, 1234], [65535, 1, 300]], np.uint16)
    depth = converter.depth(message(raw, "16UC1", padding, big_endian))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[np.nan, 0.5, 1.234], [65.535, 0.001, 0.3]], rtol=1e-6)


@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_in_metres(converter: conversion.Converter, big_endian: bool) -> None:
    """32FC1 holds metres; what is no distance is unknown."""
    raw = np.array([[0.5, np.nan, np.inf], [-np.inf, -1.0, 0.0]], np.float32)
    depth = converter.depth(message(raw, "32FC1", 8, big_endian))
    np.testing.assert_allclose(depth, [[0.5, np.nan, np.nan], [np.nan] * 3])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"height": 0}, "empty"),
        ({"width": 0}, "empty"),
        ({"step": 23}, "rows of 23 bytes"),
        ({"height": 7}, "cut short"),
        ({"height": 100_000, "width": 100_000, "step": 300_000}, "claims"),
        ({"encoding": "bayer_rggb8"}, "bayer_rggb8"),
        ({"encoding": ""}, "not supported"),
    ],
)
def test_malformed_colour_is_one_sentence(converter: conversion.Converter, changes: dict[str, Any], says: str) -> None:
    """A broken driver is named; it does not crash the search or read past the buffer."""
    with pytest.raises(ShelfHelpError, match=says):
        converter.colour(message(BGR, "bgr8", **changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"encoding": "64FC1"}, "64FC1"), ({"height": 3}, "cut short"), ({"step": 1}, "rows of 1 bytes")],
)
def test_malformed_depth_is_one_sentence(converter: conversion.Converter, changes: dict[str, Any], says: str) -> None:
    """The same for depth."""
    with pytest.raises(ShelfHelpError, match=says):
        converter.depth(message(np.ones((2, 3), np.uint16), "16UC1", **changes))


def test_an_odd_width_of_yuv_is_refused(converter: conversion.Converter) -> None:
    """Pairs of pixels share colour, so a row of them cannot be odd."""
    with pytest.raises(ShelfHelpError, match="odd width"):
        converter.colour(message(np.zeros((2, 3, 2), np.uint8), "yuv422"))


def test_bgr_is_not_copied_and_cannot_be_written() -> None:
    """At 1280×720 a copy of each frame costs; a view must not let the pipeline write into the message."""
    sent = message(BGR, "bgr8", padding=8)
    image = conversion.PlainConverter().colour(sent)
    assert np.shares_memory(image, np.frombuffer(sent.data, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 9),
    seed=st.integers(0, 1000),
)
def test_colour_survives_the_way_out_and_back(height: int, width: int, padding: int, seed: int) -> None:
    """Any size and padding: what is put in comes out."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = conversion.PlainConverter()
    np.testing.assert_array_equal(out.colour(conversion.fill_colour(_empty(), image)), image)
    np.testing.assert_array_equal(out.colour(message(image, "bgr8", padding)), image)


@given(st.lists(st.floats(-1, 80) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=12))
def test_depth_survives_the_way_out_and_back(values: list[float]) -> None:
    """Depth comes back to the millimetre, or as unknown where 16 bits of millimetres cannot hold it."""
    depth = np.array([values], np.float32)
    back = conversion.PlainConverter().depth(conversion.fill_depth(_empty(), depth))
    holdable = np.isfinite(depth) & (depth >= 0.0005) & (depth <= 65.535)
    assert (np.isnan(back) | holdable | (np.nan_to_num(depth) > 0)).all()
    np.testing.assert_allclose(back[holdable], depth[holdable], atol=0.000501)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_compressed_pictures(kind: str) -> None:
    """JPEG and PNG decode to the picture that was sent."""
    smooth = cv2.resize(BGR, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = conversion.as_bytes(cv2.imencode(kind, smooth, [cv2.IMWRITE_JPEG_QUALITY, 98])[1])
    image = conversion.decode_compressed(data)
    assert np.abs(image.astype(int) - smooth).mean() < (3 if kind == ".jpg" else 1e-9)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0, 1, 20, 500, -3])
def test_a_compressed_picture_cut_short_is_refused(kind: str, kept: int) -> None:
    """A half picture with a grey lower part would be looked at as if the shelf ended there."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    data = cv2.imencode(kind, noise)[1].tobytes()[:kept]
    with pytest.raises(ShelfHelpError):
        conversion.decode_compressed(conversion.as_bytes(data), kind)


def jpeg(progressive: bool, before: bytes = b"") -> bytes:
    """A small JPEG, baseline or progressive, with ``before`` between its first marker and the rest."""
    data = cv2.imencode(".jpg", BGR, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()
    return data[:2] + before + data[2:]


#: An application's segment that holds what looks like a frame header, filling bytes, and a bare marker.
BEFORE = b"\xff\xe1\x00\x0c\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + b"\xff\xff\xff" + b"\xfe\x00\x03x" + b"\xff\x01"


@pytest.mark.parametrize("before", [b"", BEFORE])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_claims_too_many_pixels_is_not_decoded(
    progressive: bool, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few hundred bytes must not take a quarter of a gigabyte; the same picture with its own size is decoded."""
    data = jpeg(progressive, before)
    assert conversion.decode_compressed(conversion.as_bytes(data)).shape == BGR.shape
    size = data.rindex(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    claiming = data[:size] + (9000).to_bytes(2, "big") * 2 + data[size + 4 :]
    monkeypatch.setattr(conversion.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ShelfHelpError, match="claims 9000×9000 pixels"):
        conversion.decode_compressed(conversion.as_bytes(claiming))


@given(st.binary(max_size=200))
def test_rubbish_is_never_more_than_one_sentence(data: bytes) -> None:
    """Any bytes at all."""
    for head in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ShelfHelpError):
            conversion.decode_compressed(conversion.as_bytes(head + data))


def test_a_converter_is_found_everywhere() -> None:
    """A cv_bridge that is missing or broken must not stop the node."""
    trial = conversion.fill_colour(_empty(), np.zeros((2, 4, 3), np.uint8))
    assert conversion.best_converter(trial).colour(message(BGR, "bgr8")).shape == BGR.shape
