"""Augmented crops: boxes stay on their products."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_training.data.augment import mosaic, random_crop, random_light
from shelfhelp_training.data.boxes import Sample

NOTHING = np.zeros((0, 4), np.float32)


def picture_of(box: tuple[int, int, int, int], width: int = 300, height: int = 260) -> Sample:
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = (0, 255, 0)
    return Sample(image, np.array([box], np.float32), NOTHING)


def green_bounds(image: np.ndarray) -> np.ndarray:
    """Bounds of what is green and neither black background nor grey padding."""
    pixels = image.astype(int)
    green = (pixels[..., 1] - pixels[..., 0]) > 127
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 2.0))
@settings(max_examples=60, deadline=None)
def test_a_kept_box_bounds_its_product(seed: int, scale: float) -> None:
    """Scaling, shifting, mirroring and shrinking move pixels and boxes alike."""
    crop = random_crop(picture_of((100, 90, 190, 170)), 160, (scale, scale * 1.1), np.random.default_rng(seed))
    assert crop.image.shape == (160, 160, 3)
    if len(crop.boxes):
        np.testing.assert_allclose(crop.boxes[0], green_bounds(crop.image), atol=2.0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_visible_product_becomes_background(seed: int) -> None:
    """A product that is cut too much to be learnt is in an ignored region, whatever is left of it."""
    crop = random_crop(picture_of((100, 90, 190, 170)), 96, (0.8, 1.6), np.random.default_rng(seed))
    pixels = crop.image.astype(int)
    if ((pixels[..., 1] - pixels[..., 0]) > 200).any():
        assert len(crop.boxes) + len(crop.ignore) == 1
        known = np.concatenate([crop.boxes, crop.ignore])[0]
        np.testing.assert_allclose(known, green_bounds(crop.image), atol=2.0)


def test_a_seed_repeats() -> None:
    """The same generator gives the same crop and the same light."""
    sample = picture_of((100, 90, 190, 170))
    one, two = (random_crop(sample, 96, (0.5, 2.0), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.boxes, two.boxes)
    lights = [random_light(one.image, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*lights)
    assert lights[0].shape == one.image.shape
    assert lights[0].dtype == np.uint8


def test_mosaic_moves_boxes_with_their_pictures() -> None:
    """Each product is where its box says, in all four corners."""
    samples = [picture_of((10, 20, 60, 70)), picture_of((5, 5, 30, 90), 200, 100), picture_of((0, 0, 9, 9), 50, 50)]
    whole = mosaic([*samples, samples[0]])
    assert len(whole.boxes) == 4
    for box in whole.boxes.astype(int):
        assert (whole.image[box[1] : box[3], box[0] : box[2]] == (0, 255, 0)).all()
    assert (whole.image == (0, 255, 0)).all(axis=2).sum() == 2 * 50 * 50 + 25 * 85 + 81
