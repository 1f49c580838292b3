"""Packs by themselves on a plain ground, as photos for enrolment show them: a detector has to take the whole pack."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import cv2
import numpy as np

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.packs import draw_face
from shelfhelp_ros.simulation.products import Product
from shelfhelp_ros.simulation.scene import CameraPose, RenderedFrame

#: How much of the picture's width or height a pack takes, whichever it takes more of.
SHARE = (0.5, 1.0)
#: Degrees by which it may lie askew, as a standard deviation.
_ASKEW = 2.0
#: The ground is the grey that networks are fed beside a picture this often; else it is pale, or of any colour.
_GREY, _PALE = (0.5, 114), 0.3


def random_packshots(
    products: list[Product], seed: int, wanted: Collection[int], size: tuple[int, int]
) -> Iterator[tuple[int, RenderedFrame]]:
    """Pictures (``size`` width, height) of one random product each, by their numbers; nothing is known of depth. The
    same arguments give the same pictures, and one does not depend on which others are wanted."""
    # A bottle is narrower than its picture.
    filling = [product for product in products if product.shape != "bottle"] or products
    for number in sorted(wanted):
        rng = np.random.default_rng([seed, number, 0x9AC])
        product = filling[int(rng.integers(len(filling)))]
        image, box = _laid_out(rng, draw_face(product, int(rng.integers(240, 641))), size)
        image = Effects.sample(rng).apply(image, number) if rng.random() < 0.5 else image
        camera = CameraModel.from_field_of_view(*size, 60.0)
        pose = CameraPose.looking_at(np.array([0.0, -1.0, 0.0]), np.zeros(3))
        yield (
            number,
            RenderedFrame(
                image=image,
                depth=np.full(size[::-1], np.nan, np.float32),
                camera=camera,
                pose=pose,
                boxes=box[None],
                product_ids=(product.id,),
                visibility=np.ones(1, np.float32),
                positions=np.full((1, 3), np.nan),
                packs=(0,),
            ),
        )


def _laid_out(rng: np.random.Generator, face: ImageArray, size: tuple[int, int]) -> tuple[ImageArray, np.ndarray]:
    """A face on a plain ground, and its box (4,)."""
    width, height = size
    scale = min(width / face.shape[1], height / face.shape[0]) * float(rng.uniform(*SHARE))
    wide, high = face.shape[1] * scale, face.shape[0] * scale
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    angle = float(rng.normal(0, _ASKEW))
    turn = cv2.getRotationMatrix2D((face.shape[1] / 2, face.shape[0] / 2), angle, scale)
    turn[:, 2] += [left + wide / 2 - face.shape[1] / 2, top + high / 2 - face.shape[0] / 2]
    drawn = rng.random()
    ground = np.full(3, _GREY[1]) if drawn < _GREY[0] else rng.uniform(200 if drawn < _GREY[0] + _PALE else 0, 256, 3)
    image = np.full((height, width, 3), ground, np.uint8)
    cv2.warpAffine(face, turn, size, dst=image, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT)
    corners = np.array([[0, 0, 1], [face.shape[1], 0, 1], [face.shape[1], face.shape[0], 1], [0, face.shape[0], 1]])
    placed = corners @ turn.T
    box = np.concatenate([placed.min(0), placed.max(0)]).clip(0, [width, height] * 2)
    return image, np.asarray(box, np.float32)
