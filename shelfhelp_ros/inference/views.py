"""Parts of a picture as a network is to see them, and how a GPU makes them: two sparse matrices a view.

A resize is linear along each axis. Pixel i of the result is the mean of the picture between ``low[i]`` and ``high[i]``:
an area of the source where the view shrinks (as OpenCV's INTER_AREA), and one pixel's width around the sampling point
where it grows, which is what bilinear interpolation is. So two numbers a row and column are all that goes to the GPU
beside the picture; ``graphs/see.onnx`` makes the weights, multiplies, pads and normalises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.geometry import Letterbox
from shelfhelp_ros.inference.card import InputCard
from shelfhelp_ros.sightings import FloatArray, ImageArray


@dataclass(frozen=True)
class View:
    """The pixels left..right, top..bottom of a picture in a tensor; without a ``letterbox`` squashed to its size."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    letterbox: Letterbox | None

    @classmethod
    def of(cls, card: InputCard, left: int, top: int, right: int, bottom: int) -> View:
        """A crop at the card's fixed size, letterboxed or squashed as the card says."""
        box = Letterbox(right - left, bottom - top, card.width, card.height) if card.resize == "letterbox" else None
        return cls(left, top, right, bottom, card.width, card.height, box)

    @classmethod
    def whole(cls, letterbox: Letterbox) -> View:
        """A whole picture in a letterbox."""
        return cls(
            0,
            0,
            letterbox.source_width,
            letterbox.source_height,
            letterbox.target_width,
            letterbox.target_height,
            letterbox,
        )

    @property
    def window(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the picture inside the padding, in pixels of the tensor."""
        if self.letterbox is None:
            return 0, 0, self.width, self.height
        (left, top), (width, height) = self.letterbox.padding, self.letterbox.resized
        return left, top, left + width, top + height

    def spans(self) -> tuple[FloatArray, FloatArray]:
        """For each row and each column of the tensor (H×3, W×3): where its source begins, ends, and 1 / width of it."""
        left, top, right, bottom = self.window
        # As in OpenCV: areas only where both axes shrink, else points in between.
        shrinks = self.right - self.left >= right - left and self.bottom - self.top >= bottom - top
        return (
            source_spans(self.height, (top, bottom), (self.top, self.bottom), shrinks),
            source_spans(self.width, (left, right), (self.left, self.right), shrinks),
        )


def source_spans(length: int, shown: tuple[int, int], source: tuple[int, int], areas: bool) -> FloatArray:
    """Of ``length`` pixels those ``shown`` (from, to) show the ``source``'s (from, to): by areas, or by points.

    Returns length×3: begin, end and 1 / width of what each shows, in source pixels; zeros for padding.
    """
    (begin, end), (low, high) = shown, source
    step = (high - low) / (end - begin)
    places = np.arange(end - begin)
    starts = low + (places * step if areas else np.clip((places + 0.5) * step - 0.5, 0, high - low - 1))
    width = step if areas else 1.0
    spans = np.zeros((length, 3), np.float32)
    spans[begin:end] = np.stack([starts, starts + width, np.full_like(starts, 1 / width, float)], axis=1)
    return spans


def colour_constants(card: InputCard) -> dict[str, FloatArray]:
    """The card's normalisation as ``graphs/see.onnx`` takes it: value × scale + shift, channels in the card's order."""
    mean, std = np.asarray(card.mean, np.float32), np.asarray(card.std, np.float32)
    bgr = np.eye(3, dtype=np.float32)
    return {
        "channels": bgr[::-1].copy() if card.channel_order == "RGB" else bgr,
        "scale": np.float32(1 / (255 * std)).reshape(1, 3, 1, 1),
        "shift": (-mean / std).reshape(1, 3, 1, 1),
        "pad": np.full((1, 1, 1, 1), card.pad_value, np.float32),
    }


def see_inputs(card: InputCard, image: ImageArray, views: Sequence[View]) -> dict[str, np.ndarray]:
    """What ``graphs/see.onnx`` takes for views of one H×W×3 uint8 BGR picture; all views have one tensor size."""
    spans = [view.spans() for view in views]
    return {
        "picture": image,
        "rows": np.stack([rows for rows, _ in spans]),
        "columns": np.stack([columns for _, columns in spans]),
        **colour_constants(card),
    }
