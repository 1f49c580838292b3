"""From pictures to the input tensor a card describes: one resize, then the normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from shelfhelp_ros.geometry import Letterbox
from shelfhelp_ros.inference.card import InputCard
from shelfhelp_ros.inference.session import Session, Tensor
from shelfhelp_ros.inference.views import View
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


@runtime_checkable
class PictureSession(Protocol):
    """A session that takes a picture and the views of it that are wanted, and makes its own tensor of them."""

    def see(self, image: ImageArray, views: Sequence[View]) -> dict[str, Tensor]: ...


def see(session: Session, card: InputCard, image: ImageArray, views: Sequence[View]) -> dict[str, Tensor]:
    """Every output for views of one H×W×3 uint8 BGR picture, all of one tensor size, made where the session runs.

    A session on a GPU letterboxes and normalises there; of a detector it also sets suppressed boxes' scores to 0.
    """
    if isinstance(session, PictureSession):
        return session.see(image, views)
    return session.run({card.name: views_tensor(card, image, views)})


def views_tensor(card: InputCard, image: ImageArray, views: Sequence[View]) -> Tensor:
    """Views of a picture as the input tensor, made by the processor."""
    crops = [image[view.top : view.bottom, view.left : view.right] for view in views]
    return to_tensor(
        card,
        [
            fit(card, crop) if view.letterbox is None else view.letterbox.apply(crop, card.pad_value)
            for view, crop in zip(views, crops, strict=True)
        ],
    )


def _round_up(value: float, multiple: int) -> int:
    return max(1, int(np.ceil(round(value, 3) / multiple))) * multiple
