"""From pictures to the input tensor a card describes: one resize, then the normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from shelfhelp_ros.geometry import Letterbox
from shelfhelp_ros.inference.card import InputCard
from shelfhelp_ros.inference.session import Tensor
from shelfhelp_ros.sightings import ImageArray


def letterbox_for(card: InputCard, width: int, height: int, zoom: float = 1.0) -> Letterbox:
    """How a picture of this size (pixels) lies in the network's input.

    A dynamic input takes the picture's shape: its longer side goes to the card's longer one, the other side as far as
    the shape asks, both rounded up to the card's multiple. With ``zoom`` below 1 the network sees the picture that much
    smaller; a dynamic input shrinks with it.
    """
    if not card.dynamic:
        return Letterbox(width, height, card.width, card.height, zoom)
    scale = zoom * max(card.width, card.height) / max(width, height)
    across, down = (_round_up(side * scale, card.multiple_of) for side in (width, height))
    return Letterbox(width, height, across, down)


def fit(card: InputCard, image: ImageArray) -> ImageArray:
    """One picture at the card's fixed input size, letterboxed or squashed."""
    height, width = image.shape[:2]
    if card.resize == "letterbox":
        return Letterbox(width, height, card.width, card.height).apply(image, card.pad_value)
    shrinks = card.width * card.height < width * height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (card.width, card.height), interpolation=interpolation), np.uint8)


def to_tensor(card: InputCard, images: Sequence[ImageArray]) -> Tensor:
    """N BGR pictures of one size as N×3×H×W float32, (pixel / 255 - mean) / std, channels in the card's order."""
    tensor: Tensor = np.asarray(
        cv2.dnn.blobFromImages(list(images), scalefactor=1 / 255, swapRB=card.channel_order == "RGB"), np.float32
    )
    tensor -= np.asarray(card.mean, np.float32)[:, None, None]
    tensor /= np.asarray(card.std, np.float32)[:, None, None]
    return tensor


def _round_up(value: float, multiple: int) -> int:
    return max(1, int(np.ceil(round(value, 3) / multiple))) * multiple
