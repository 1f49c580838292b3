"""Random crops and changes of light for training a detector. Every function takes its generator, so a seed repeats."""

from __future__ import annotations

import cv2
import numpy as np

from shelfhelp_ros.geometry import BoxArray, area, clip
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.boxes import Sample

PAD_VALUE = 114


def random_crop(
    sample: Sample, size: int, scale: tuple[float, float], rng: np.random.Generator, minimum_visible: float = 0.4
) -> Sample:
    """A size×size window at a random place and scale, sometimes mirrored.

    Args:
        sample: the whole picture.
        size: side of the window in pixels.
        scale: range of the factor on the picture's pixels, drawn log-uniformly; the aspect changes by up to 10 %.
        rng: source of randomness.
        minimum_visible: share of a box that has to stay inside the window; less makes what is left an ignored region.
    """
    factor = np.exp(rng.uniform(*np.log(scale)))
    factors = factor * np.exp(rng.uniform(-0.1, 0.1, 2) / 2)
    height, width = sample.image.shape[:2]
    window = size / factors
    slack = np.array([width, height]) - window
    # Where the picture is smaller than the window, it lies anywhere inside; otherwise the window may hang over by 8 %.
    low, high = np.minimum(slack, 0) - 0.08 * window, np.maximum(slack, 0) + 0.08 * window
    corner = rng.uniform(low, high)
    matrix = np.array([[factors[0], 0, -corner[0] * factors[0]], [0, factors[1], -corner[1] * factors[1]]])
    image = _warp(sample.image, matrix, size)
    mirrored = rng.random() < 0.5
    boxes, ignore = (_move(boxes, matrix, size, mirrored) for boxes in (sample.boxes, sample.ignore))
    visible = area(clip(boxes, size, size)) / np.maximum(area(boxes), 1e-6)
    inside = clip(boxes, size, size)
    large = (inside[:, 2:] - inside[:, :2]).min(axis=1, initial=np.inf) >= 6
    kept = (visible >= minimum_visible) & large
    rest = inside[(visible > 0) & ~kept]
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    return Sample(image, inside[kept], np.concatenate([clip(ignore, size, size), rest]))


def _warp(image: ImageArray, matrix: np.ndarray, size: int) -> ImageArray:
    """The window of the picture; shrinking goes over an area-averaged copy, which warpAffine alone would alias."""
    shrink = float(min(1.0, 1.2 * max(matrix[0, 0], matrix[1, 1])))
    if shrink < 0.9:
        height, width = image.shape[:2]
        left, top = np.floor(-matrix[:, 2] / matrix[[0, 1], [0, 1]]) - 2
        right, bottom = np.ceil((size - matrix[:, 2]) / matrix[[0, 1], [0, 1]]) + 2
        x1, y1, x2, y2 = (int(v) for v in (max(0, left), max(0, top), min(width, right), min(height, bottom)))
        if x2 - x1 < 2 or y2 - y1 < 2:
            return np.full((size, size, 3), PAD_VALUE, np.uint8)
        small = cv2.resize(image[y1:y2, x1:x2], None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        step = np.array([(x2 - x1) / small.shape[1], (y2 - y1) / small.shape[0]])
        matrix = np.array(
            [
                [matrix[0, 0] * step[0], 0, matrix[0, 2] + matrix[0, 0] * x1],
                [0, matrix[1, 1] * step[1], matrix[1, 2] + matrix[1, 1] * y1],
            ]
        )
        image = np.asarray(small, np.uint8)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=(PAD_VALUE,) * 3)
    return np.asarray(warped, np.uint8)


def _move(boxes: BoxArray, matrix: np.ndarray, size: int, mirrored: bool) -> BoxArray:
    moved = boxes * np.tile(matrix[[0, 1], [0, 1]], 2) + np.tile(matrix[:, 2], 2)
    if mirrored:
        moved[:, [0, 2]] = size - moved[:, [2, 0]]
    return np.asarray(moved, np.float32)


def random_light(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Brightness, contrast, colour, blur, noise and JPEG artefacts of other cameras and shops."""
    pixels = image.astype(np.float32)
    mean = pixels.mean()
    pixels = (pixels - mean) * rng.uniform(0.7, 1.3) + mean * rng.uniform(0.6, 1.35)
    pixels *= rng.uniform(0.88, 1.12, 3).astype(np.float32)
    if rng.random() < 0.3:
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = grey + (pixels - grey) * np.float32(rng.uniform(0.2, 1.6))
    if rng.random() < 0.25:
        pixels += rng.normal(0, rng.uniform(2, 9), pixels.shape).astype(np.float32)
    changed: ImageArray = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.5, 1.6)), np.uint8)
    elif rng.random() < 0.15:
        changed = _motion_blur(changed, int(rng.integers(3, 8)), rng.uniform(0, np.pi))
    if rng.random() < 0.25:
        _, packed = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 85))])
        changed = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return changed


def _motion_blur(image: ImageArray, length: int, angle: float) -> ImageArray:
    kernel = np.zeros((length, length), np.float32)
    middle, reach = (length - 1) / 2, (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    start, end = (tuple(int(v) for v in np.round(middle + sign * reach)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def mosaic(samples: list[Sample]) -> Sample:
    """Four pictures in a 2×2 grid; each cell has the largest height and width among them, grey around."""
    height = max(s.image.shape[0] for s in samples)
    width = max(s.image.shape[1] for s in samples)
    canvas = np.full((2 * height, 2 * width, 3), PAD_VALUE, np.uint8)
    boxes, ignore = [], []
    for number, sample in enumerate(samples[:4]):
        top, left = number // 2 * height, number % 2 * width
        rows, columns = sample.image.shape[:2]
        canvas[top : top + rows, left : left + columns] = sample.image
        offset = np.array([left, top, left, top], np.float32)
        boxes.append(sample.boxes + offset)
        ignore.append(sample.ignore + offset)
    return Sample(canvas, np.concatenate(boxes), np.concatenate(ignore))
