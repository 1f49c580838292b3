"""Vectors have length one, do not depend on the batch they were made in, and odd boxes do no harm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawn_shelf import draw_pack, draw_shelf

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder, crop_box, normalise


@pytest.fixture(scope="module")
def encoder(tiny_models):
    return Encoder.load(tiny_models, "cpu", threads=1)


@pytest.mark.parametrize("count", [0, 1, 3, 16, 37])
def test_batches(encoder, count):
    """Any number of crops of any sizes gives the vectors that one crop at a time gives."""
    crops = [draw_pack(i, 40 + i, 90 - i) for i in range(count)]
    together = encoder.embed(crops)
    assert together.shape == (count, encoder.dimensions)
    assert together.dtype == np.float32
    for crop, vector in zip(crops, together, strict=True):
        np.testing.assert_allclose(encoder.embed([crop])[0], vector, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_boxes_are_crops(encoder):
    """Embedding boxes of a picture is embedding the crops, and the right pack is the most similar one."""
    image, boxes = draw_shelf(list(range(8)))
    vectors = encoder.embed_boxes(image, boxes)
    np.testing.assert_allclose(vectors[2], encoder.embed([crop_box(image, boxes[2])])[0], atol=1e-6)
    references = encoder.embed([draw_pack(i, 300, 330) for i in range(8)])
    assert (vectors @ references.T).argmax(axis=1).tolist() == list(range(8))


def test_odd_boxes(encoder):
    """Boxes over the edge are cut to the picture; empty, inverted, outside and NaN boxes give zero rows."""
    image, _ = draw_shelf([1, 2])
    nan = float("nan")
    boxes = np.array(
        [
            [-50, -50, 100, 100],
            [0, 0, 100, 100],
            [5, 5, 5, 9],
            [9, 9, 3, 3],
            [900, 0, 950, 9],
            [nan, 0, 9, 9],
            [3, 3, 3.4, 3.4],
        ],
        np.float32,
    )
    vectors = encoder.embed_boxes(image, boxes)
    np.testing.assert_allclose(vectors[0], vectors[1])
    assert (vectors[2:6] == 0).all()
    assert np.linalg.norm(vectors[6]) == pytest.approx(1)
    assert encoder.embed_boxes(image, np.zeros((0, 4), np.float32)).shape == (0, encoder.dimensions)


def test_not_a_crop(encoder):
    """A crop without pixels is refused."""
    with pytest.raises(ShelfHelpError, match="uint8 array"):
        encoder.embed([np.zeros((0, 5, 3), np.uint8)])


def test_wrong_task(encoder):
    """A card without an embedding makes no encoder."""
    with pytest.raises(ValueError, match="no encoder"):
        Encoder(dataclasses.replace(encoder.card, embedding=None), encoder.session)


def test_normalise_keeps_zeros():
    """A zero row stays zero instead of becoming NaN."""
    rows = normalise(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])


def test_shipped_encoder(shipped_models):
    """The shipped encoder gives unit vectors, and a pack is more like its own rescaled picture than like another."""
    encoder = Encoder.load(shipped_models, "cpu")
    vectors = encoder.embed([draw_pack(0, 200, 260), draw_pack(0, 120, 150), draw_pack(5, 200, 260)])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
