"""Random views of a crop, as a camera before a shelf might see the product: for training an encoder.

Every function takes its generator, so a seed repeats. Nothing is mirrored and hues stay close to true: lettering and
colour are what tells near-duplicates apart.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import Letterbox
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.crop_sources import Crop

FloatImage = npt.NDArray[np.float32]


def random_view(
    crop: Crop, neighbour: ImageArray, height: int, width: int, rng: np.random.Generator, pad_value: int = 114
) -> ImageArray:
    """A view of the product, letterboxed into height×width×3 uint8 BGR.

    Args:
        crop: the product.
        neighbour: another picture; it stands beside the product where the view reaches beyond the crop, or before it.
        height, width: pixels of the network's input.
        rng: source of randomness.
        pad_value: grey of the letterbox's padding.
    """
    image = _window(crop, neighbour, max(height, width), rng)
    if rng.random() < 0.3:
        image = _turned(image, rng)
    if rng.random() < 0.3:
        image = _occluded(image, neighbour, rng)
    pixels = _relit(image.astype(np.float32), rng)
    image = _recorded(pixels, rng)
    return Letterbox(image.shape[1], image.shape[0], width, height).apply(image, pad_value)


def plain_view(crop: Crop, height: int, width: int, pad_value: int = 114) -> ImageArray:
    """The product as the runtime sees it: cut out and letterboxed."""
    image = crop.tight
    return Letterbox(image.shape[1], image.shape[0], width, height).apply(image, pad_value)


def _window(crop: Crop, neighbour: ImageArray, longest: int, rng: np.random.Generator) -> ImageArray:
    """The product's box, missed a little on each side, seen a little from the side and turned a little."""
    x1, y1, x2, y2 = crop.box
    sides = np.array([x2 - x1, y2 - y1])
    # A detector's box is mostly tight, sometimes wide of the product or short of it.
    spread = 0.02 if rng.random() < 0.4 else 0.07
    low = crop.box[:2] + rng.normal(0, spread, 2) * sides
    high = crop.box[2:] + rng.normal(0, spread, 2) * sides
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    if rng.random() < 0.7:
        centre = corners.mean(axis=0)
        turn = np.radians(rng.normal(0, 3))
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corners = (corners - centre) @ rotation.T + centre + rng.normal(0, 0.03, (4, 2)) * sides
    stretch = np.exp(rng.normal(0, 0.06))
    scale = min(longest / sides.max(), 1.6)
    size = np.maximum(8, np.round(sides * scale * np.array([stretch, 1 / stretch]) ** 0.5)).astype(int)
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    output = (int(size[0]), int(size[1]))
    source = crop.image
    if scale < 0.6:
        # Shrinking by warping alone would alias: halve first.
        source = cv2.resize(source, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)
        matrix = matrix @ np.diag([2.0, 2.0, 1.0])
    # The canvas begins with what stands behind and beside, so that missing borders show something real.
    canvas = cv2.resize(neighbour, output, interpolation=cv2.INTER_LINEAR)
    return np.asarray(
        cv2.warpPerspective(source, matrix, output, canvas, cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT),
        np.uint8,
    )


def _turned(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """The print on a can or bottle that stands turned about its axis, by up to some 25 degrees."""
    height, width = image.shape[:2]
    angle = np.radians(np.clip(rng.normal(0, 12), -25, 25))
    across = np.linspace(-0.98, 0.98, width)
    source = np.sin(np.clip(np.arcsin(across) + angle, -np.pi / 2, np.pi / 2))
    column = np.tile((source / 0.98 + 1) / 2 * (width - 1), (height, 1)).astype(np.float32)
    row = np.tile(np.arange(height, dtype=np.float32)[:, None], (1, width))
    return np.asarray(cv2.remap(image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _occluded(image: ImageArray, neighbour: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Something before the product: a price rail below, a neighbour at the side, a hand or a tag anywhere."""
    height, width = image.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        top, left, bottom, right = 1 - rng.uniform(0.05, 0.22), 0.0, 1.0, 1.0
    elif kind == 1:
        left = 1 - rng.uniform(0.05, 0.25) if rng.random() < 0.5 else 0.0
        top, bottom, right = 0.0, 1.0, 1.0 if left else rng.uniform(0.05, 0.25)
    else:
        top, left = rng.uniform(0, 0.8, 2)
        bottom, right = top + rng.uniform(0.1, 0.35), left + rng.uniform(0.1, 0.4)
    y1, x1, y2, x2 = (round(v) for v in (top * height, left * width, min(bottom, 1) * height, min(right, 1) * width))
    if y2 - y1 < 2 or x2 - x1 < 2:
        return image
    image = image.copy()
    if rng.random() < 0.6:
        image[y1:y2, x1:x2] = cv2.resize(neighbour, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    else:
        image[y1:y2, x1:x2] = rng.integers(0, 256, 3)
    return image


def _relit(pixels: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Other light: exposure, contrast, tint, saturation, a shadow across, and a reflection."""
    height, width = pixels.shape[:2]
    pixels = 255 * (pixels / 255) ** np.float32(np.exp(rng.normal(0, 0.25)))
    pixels *= np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    pixels = (pixels - 110) * np.float32(np.exp(rng.normal(0, 0.12))) + 110 + np.float32(rng.normal(0, 8))
    if rng.random() < 0.5:
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = grey + (pixels - grey) * np.float32(rng.uniform(0.6, 1.3))
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    if rng.random() < 0.4:
        slope = rng.normal(0, 0.35, 2).astype(np.float32)
        pixels *= (1 + slope[0] * (down - 0.5) + slope[1] * (across - 0.5))[..., None]
    if rng.random() < 0.25:
        direction = rng.uniform(0, np.pi)
        along = np.cos(direction) * across + np.sin(direction) * down
        offset = (along - rng.uniform(-0.2, 1.2)) / rng.uniform(0.04, 0.25)
        shine = np.exp(-(offset**2)).astype(np.float32) * np.float32(rng.uniform(0.15, 0.7))
        pixels = pixels + shine[..., None] * (255 - pixels)
    return np.clip(pixels, 0, 255).astype(np.float32)


def _recorded(pixels: FloatImage, rng: np.random.Generator) -> ImageArray:
    """Another camera: fewer pixels on the product, blur, noise, compression."""
    height, width = pixels.shape[:2]
    if rng.random() < 0.5:
        longest = np.exp(rng.uniform(np.log(56), np.log(max(height, width, 57))))
        factor = longest / max(height, width)
        size = (max(4, round(width * factor)), max(4, round(height * factor)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.3, 1.3))).astype(np.float32)
    elif rng.random() < 0.15:
        kernel = np.zeros((5, 5), np.float32)
        kernel[2] = 0.2
        pixels = cv2.filter2D(pixels, -1, kernel if rng.random() < 0.5 else kernel.T.copy()).astype(np.float32)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(2, 9), pixels.shape).astype(np.float32)
    image = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image
