"""Views of a crop: repeatable, of the right size, and without augmentation exactly what the runtime sees."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from shelfhelp_ros.inference.card import InputCard
from shelfhelp_ros.inference.preprocessing import fit, to_tensor
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.crops import PlainViews
from shelfhelp_training.data.views import _turned, plain_view, random_view
from shelfhelp_training.methods.backbone import MEAN, STD

CROPS = load_crops(CropSource("drawn", "drawn", count=6, seed=1), root=None)  # type: ignore[arg-type]


def view(index: int, seed: int) -> np.ndarray:
    return random_view(CROPS[index], CROPS[-1].image, 96, 64, np.random.default_rng(seed))


@pytest.mark.parametrize("index", range(len(CROPS)))
def test_views_have_the_networks_size(index: int) -> None:
    """Whatever the shape of the pack."""
    for seed in range(8):
        assert view(index, seed).shape == (96, 64, 3)


def test_a_seed_repeats_and_another_differs() -> None:
    """A resumed training sees the same views."""
    np.testing.assert_array_equal(view(0, 5), view(0, 5))
    assert np.abs(view(0, 5).astype(int) - view(0, 6)).mean() > 5


def test_views_still_show_the_product() -> None:
    """However a pack is relit and covered, its views are on average more like it than like the other packs."""
    plain = np.stack([plain_view(crop, 96, 64) for crop in CROPS]).astype(float)
    right = 0
    for index in range(len(CROPS)):
        mean = np.mean([view(index, seed) for seed in range(30)], axis=0)
        right += int(np.argmin(np.abs(plain - mean).mean(axis=(1, 2, 3)))) == index
    assert right >= 5


def test_turning_moves_the_print_to_one_side() -> None:
    """A line in the middle of a can's label wanders by the sine of the angle, at most that of 25 degrees."""
    label = np.zeros((20, 101, 3), np.uint8)
    label[:, 49:52] = 255
    places = []
    for seed in range(40):
        turned = _turned(label, np.random.default_rng(seed)).astype(float).mean(axis=(0, 2))
        places.append((turned @ np.arange(101)) / turned.sum() - 50)
    assert np.abs(places).max() <= 50 * np.sin(np.radians(25)) / 0.98 + 1.5
    assert np.min(places) < -5
    assert np.max(places) > 5


def test_plain_views_are_what_the_runtime_sees() -> None:
    """The network is validated on the pixels that the robot will give it."""
    card = InputCard("images", 96, 64, "letterbox", MEAN, STD)
    expected = to_tensor(card, [fit(card, crop.tight) for crop in CROPS])
    views = PlainViews(CROPS, 96, 64)
    found = np.stack([views[i][0].numpy() for i in range(len(CROPS))]) / 255
    mean, std = (np.array(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    np.testing.assert_allclose((found - mean) / std, expected, atol=1e-4)
