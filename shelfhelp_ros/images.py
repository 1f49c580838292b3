"""Reading pictures: from files and from bytes, upright, as BGR, or with one clear sentence why not."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray

# Pillow also knows formats that start other programs (EPS); only plain pictures are read.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# A 4000×20000 panorama still passes; a decompression bomb does not. Below Pillow's own warning at 89 megapixels.
MAX_PIXELS = 80_000_000
MAX_BYTES = 200_000_000


def load_image(path: Path | str) -> ImageArray:
    """The picture in a file, H×W×3 uint8 BGR, turned upright by its EXIF orientation.

    Raises ShelfHelpError when the file is missing, not readable, not a picture, cut short, or too large.
    """
    path = Path(path)
    try:
        if not path.is_file():
            kind = "a folder, not a picture" if path.is_dir() else "not there"
            raise ShelfHelpError(f"{path} is {kind}; give the path of a picture")
        if path.stat().st_size > MAX_BYTES:
            raise ShelfHelpError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB; give a smaller picture")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, origin: str = "the picture") -> ImageArray:
    """The picture in encoded bytes (JPEG, PNG, WebP, …), H×W×3 uint8 BGR, turned upright by its EXIF orientation.

    Transparent parts become white. Raises ShelfHelpError, naming ``origin``, as `load_image` does.
    """
    if not data:
        raise ShelfHelpError(f"{origin} is empty; take or copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise ShelfHelpError(
                        f"{origin} has {picture.width}×{picture.height} pixels, more than {MAX_PIXELS // 1_000_000} "
                        "million; give a smaller picture"
                    )
                picture.load()
                return _to_bgr(ImageOps.exif_transpose(picture))
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ShelfHelpError(f"{origin} is not a picture this program can read; use JPEG or PNG") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise ShelfHelpError(f"{origin} is damaged or cut short ({error}); take or copy it again") from error


def _to_bgr(picture: Image.Image) -> ImageArray:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        # Deep grey pictures keep their upper eight bits; Pillow's own conversion would clip them to white.
        deep = np.asarray(picture, np.float64)
        scale = 257.0 if picture.mode.startswith("I") and deep.max(initial=0) > 255 else 1.0
        grey = np.clip(deep / scale, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"), np.uint8)[:, :, ::-1])


def require_image(image: ImageArray) -> None:
    """Raise ShelfHelpError unless ``image`` is a non-empty H×W×3 uint8 array."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ShelfHelpError(
            f"a picture has to be an H×W×3 uint8 array, not {image.dtype} of shape {image.shape}; convert it first"
        )
