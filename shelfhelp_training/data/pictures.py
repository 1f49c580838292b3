"""Picture files as downloads leave them: is one there, and is it whole. Nothing is decoded that need not be."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from PIL import Image, UnidentifiedImageError

TAIL = 64
ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_log = logging.getLogger(__name__)


def picture_fault(path: Path) -> str | None:
    """What is wrong with a picture file: ``missing``, ``empty``, ``no picture``, ``truncated``; None when it is whole.

    A JPEG or PNG that ends as it should is taken for whole. Others are decoded, as some cameras write on after the end.
    """
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size == 0:
        return "empty"
    try:
        with Image.open(path) as picture:
            end = ENDS.get(picture.format or "")
            with path.open("rb") as file:
                file.seek(max(0, size - TAIL))
                if end is not None and end in file.read():
                    return None
            picture.load()
    except UnidentifiedImageError:
        return "no picture"
    except (OSError, SyntaxError, ValueError):
        return "truncated"
    return None


class Skipped(Counter[str]):
    """Counts what a reader left out, by reason, and says so in one line at the end."""

    def warn(self, source: Path) -> None:
        """Log the counts, if there are any."""
        if self:
            counts = ", ".join(f"{count} × {reason}" for reason, count in sorted(self.items()))
            _log.warning("%s: left out %s", source, counts)
