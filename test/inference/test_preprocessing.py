"""The tensor a network gets is the one its card describes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import MEAN, STD, detector_card, encoder_card

from shelfhelp_ros.inference.preprocessing import fit, letterbox_for, to_tensor


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_normalisation(order):
    """(pixel / 255 - mean) / std in the card's channel order, channels first."""
    card = dataclasses.replace(encoder_card().input, channel_order=order)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    tensor = to_tensor(card, [image, image[::-1].copy()])
    channels = image[:, :, ::-1] if order == "RGB" else image
    expected = ((channels / 255 - MEAN) / STD).transpose(2, 0, 1)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0], expected, atol=1e-5)
    np.testing.assert_allclose(tensor[1], expected[:, ::-1], atol=1e-5)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_dynamic_size(width, height):
    """A dynamic input keeps the picture's shape, in the card's multiples, the longer side at the card's size."""
    card = detector_card(dynamic=True, side=640).input
    box = letterbox_for(card, width, height)
    assert box.target_width % 32 == box.target_height % 32 == 0
    assert max(box.target_width, box.target_height) == 640
    scale = 640 / max(width, height)
    assert box.target_width - width * scale < 32.01
    assert box.target_height - height * scale < 32.01
    assert box.resized[0] <= box.target_width
    assert box.resized[1] <= box.target_height


def test_zoomed_out():
    """At a quarter a dynamic input shrinks, a fixed one keeps its size and shows the picture smaller."""
    small = letterbox_for(detector_card(dynamic=True).input, 640, 480, 0.25)
    assert (small.target_width, small.target_height, small.scale) == (160, 128, 0.25)
    fixed = letterbox_for(detector_card(dynamic=False).input, 640, 480, 0.25)
    assert (fixed.target_width, fixed.target_height, fixed.scale) == (640, 640, 0.25)


def test_common_camera_sizes_need_no_padding():
    """640×480 goes into a dynamic 640 input pixel by pixel."""
    box = letterbox_for(detector_card(dynamic=True).input, 640, 480)
    assert (box.target_width, box.target_height, box.scale) == (640, 480, 1.0)


@pytest.mark.parametrize(("resize", "corner"), [("squash", 200), ("letterbox", 114)])
def test_fit(resize, corner):
    """A tall crop is squashed or padded, as the card says."""
    card = dataclasses.replace(encoder_card().input, resize=resize)
    out = fit(card, np.full((120, 40, 3), 200, np.uint8))
    assert out.shape == (64, 64, 3)
    assert out[0, 0, 0] == corner
    assert out[32, 32, 0] == 200
