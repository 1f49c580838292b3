"""Pictures arrive upright and whole, or with one sentence that names the picture and the fault."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import MAX_PIXELS, decode_image, load_image, require_image


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 60, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_colours_are_bgr(tmp_path):
    """A red file has its red in the last channel, whichever way it is read."""
    red = Image.new("RGB", (6, 4), (255, 0, 0))
    assert decode_image(encode(red))[0, 0].tolist() == [0, 0, 255]
    red.save(tmp_path / "red.png")
    loaded = load_image(str(tmp_path / "red.png"))
    assert loaded.shape == (4, 6, 3)
    assert loaded.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_formats(kind):
    """The formats of cameras, phones and web shops are read."""
    assert decode_image(encode(noise(), kind)).shape == (40, 60, 3)


@pytest.mark.parametrize(("orientation", "corner"), [(1, "tl"), (3, "br"), (6, "tr"), (8, "bl"), (2, "tr"), (5, "tl")])
def test_exif_orientation(orientation, corner):
    """A phone photo stored on its side stands upright."""
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste((255, 255, 255), (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encode(picture, "JPEG", exif=exif, quality=95))
    assert image.shape[:2] == ((20, 40) if orientation < 5 else (40, 20))
    y, x = np.argwhere(image[:, :, 0] > 128).mean(axis=0)
    assert ("t" if y < image.shape[0] / 2 else "b") + ("l" if x < image.shape[1] / 2 else "r") == corner


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "I;16"])
def test_other_colour_modes(mode):
    """Grey, palette, transparent, print and deep pictures become BGR; what is transparent becomes white."""
    if mode == "I;16":
        picture = Image.fromarray(np.full((4, 4), 200 * 257, np.uint16))
    else:
        picture = Image.new("RGB", (4, 4), (200, 200, 200)).convert(mode)
    image = decode_image(encode(picture, "TIFF" if mode == "CMYK" else "PNG"))
    assert image.shape == (4, 4, 3)
    assert image.dtype == np.uint8
    assert abs(int(image.mean()) - (255 if mode == "1" else 200)) <= 60
    clear = decode_image(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0))))
    assert (clear == 255).all()


def test_truncated_picture():
    """Half a download is an error, not a picture with a grey half."""
    for kind in ("JPEG", "PNG"):
        data = encode(noise(300, 300), kind)
        with pytest.raises(ShelfHelpError, match=r"half\.jpg is damaged or cut short"):
            decode_image(data[: len(data) // 2], "half.jpg")


def test_not_a_picture(tmp_path):
    """Text, an empty file, a missing one and a folder each get their own sentence."""
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b.png").write_bytes(b"")
    for name, words in [("a.txt", "not a picture"), ("b.png", "is empty"), ("c.png", "not there"), ("", "a folder")]:
        with pytest.raises(ShelfHelpError, match=words):
            load_image(tmp_path / name)
    with pytest.raises(ShelfHelpError, match=r"cannot be read|not there"):
        load_image("nul\0byte")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_does_not_hang(tmp_path):
    """A pipe that nobody writes to is refused instead of waited for."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ShelfHelpError, match="not there"):
        load_image(tmp_path / "pipe.png")


def test_decompression_bomb():
    """A small file that would unpack to more than the limit is refused before it is unpacked."""
    side = int(MAX_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ShelfHelpError, match="million; give a smaller picture"):
        decode_image(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF"]), st.integers(0, 400))
def test_damaged_bytes_never_raise_anything_else(junk, kind, place):
    """Whatever is overwritten in a file, the outcome is a picture or a ShelfHelpError."""
    data = encode(noise(20, 20), kind)
    damaged = data[:place] + junk + data[place + len(junk) :]
    with contextlib.suppress(ShelfHelpError):
        require_image(decode_image(damaged))


def test_require_image():
    """Arrays that are no BGR picture are named with their shape."""
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ShelfHelpError, match="uint8 array"):
            require_image(wrong)
