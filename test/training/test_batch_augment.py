"""Views of whole batches: each change is what its library counterpart is, and a seed repeats."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torchvision", reason="torchvision comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as library

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data import batch_augment
from shelfhelp_training.data.batch_augment import RECIPES, BatchAugmentation, Recipe, apply_colours

torch.set_num_threads(1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(count: int, height: int = 40, width: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    small = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return library.resize(small, [height, width], antialias=True)


@pytest.mark.parametrize("preset", list(RECIPES))
def test_views_have_their_form_and_follow_the_seed(preset: str) -> None:
    """N×3×S×S float whatever went in, each value that of a pixel, the same for the same seed, and no two alike."""
    augment = BatchAugmentation(preset, 32, MEAN, STD)  # type: ignore[arg-type]
    batch = pictures(1, 48, 36).repeat(6, 1, 1, 1)
    views = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        views.append(augment(batch))
    first, again, other = views
    assert first.shape == (6, 3, 32, 32)
    assert first.dtype == torch.float32
    pixels = first * augment.std + augment.mean
    assert pixels.min() >= -1e-4
    assert pixels.max() <= 1 + 1e-4
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert torch.equal(first, other) == (preset == "none")
    if preset != "none":
        assert all(not torch.equal(first[0], view) for view in first[1:])


def test_nothing_is_only_normalised() -> None:
    """The network gets (pixel - mean) / std, resized where the size differs as Pillow would."""
    batch = pictures(2)
    expected = library.normalize(batch.float() / 255, MEAN, STD)
    torch.testing.assert_close(BatchAugmentation("none", 40, MEAN, STD)(batch), expected)
    smaller = BatchAugmentation("none", 20, (0, 0, 0), (1, 1, 1))(batch)
    torch.testing.assert_close(smaller, library.resize(batch.float() / 255, [20, 20], antialias=True))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 0.6), st.floats(0.1, 0.6), st.floats(0.3, 1.0), st.floats(0.3, 1.0), st.integers(8, 50))
def test_a_crop_is_that_of_the_library(left: float, top: float, width: float, height: float, size: int) -> None:
    """Whole-pixel crops come out as torchvision crops and resizes them, with antialiasing."""
    picture = pictures(1, 60, 50).float() / 255
    x, y = round(left * 50), round(top * 60)
    wide, tall = max(2, round(width * (50 - x))), max(2, round(height * (60 - y)))
    rows = batch_augment._resampling(torch.tensor([y / 60]), torch.tensor([tall / 60]), 60, size)
    columns = batch_augment._resampling(torch.tensor([x / 50]), torch.tensor([wide / 50]), 50, size)
    ours = rows.unsqueeze(1) @ picture @ columns.transpose(1, 2).unsqueeze(1)
    inner = library.resized_crop(picture, y, x, tall, wide, [size, size], antialias=True)
    # At the crop's edge ours looks at the pixels beyond it, the library repeats the last one.
    margin = math.ceil(size / min(wide, tall)) + 1
    if size > 2 * margin:
        inside = (..., slice(margin, -margin), slice(margin, -margin))
        torch.testing.assert_close(ours[inside], inner[inside], atol=1e-4, rtol=0)


def test_blur_is_that_of_the_library() -> None:
    """A Gaussian of the same deviation; no blur is the picture itself."""
    picture = pictures(1).float() / 255
    recipe = Recipe(blur=0.5, sigma=(1.5, 1.5))
    matrix = batch_augment._blur(torch.tensor([0.4, 0.6]), torch.tensor([0.0, 0.0]), recipe, 40)
    sigma = 1.5 * 40 / 224
    blurred = matrix[:1].unsqueeze(1) @ picture @ matrix[:1].transpose(1, 2).unsqueeze(1)
    expected = library.gaussian_blur(picture, [9, 9], [sigma, sigma])
    torch.testing.assert_close(blurred[..., 5:-5, 5:-5], expected[..., 5:-5, 5:-5], atol=1e-4, rtol=0)
    torch.testing.assert_close(matrix[1], torch.eye(40))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.6, 1.2), st.floats(0.5, 1.2), st.floats(0.0, 1.4))
def test_colours_change_as_the_library_changes_them(brightness: float, contrast: float, saturation: float) -> None:
    """One matrix does what three steps of torchvision do, as long as none of them has to cut values off."""
    picture = 0.35 + 0.2 * pictures(2).double() / 255
    expected = library.adjust_brightness(picture, brightness)
    expected = library.adjust_saturation(library.adjust_contrast(expected, contrast), saturation)
    factors = [torch.full((2,), value, dtype=torch.float64) for value in (brightness, contrast, saturation, 0.0)]
    torch.testing.assert_close(apply_colours(picture, *factors), expected, atol=2e-4, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3.14, 3.14))
def test_a_turn_of_hues_keeps_brightness_and_greys(angle: float) -> None:
    """Turning back gives the picture again; a grey has no hue to turn."""
    picture = 0.4 + 0.15 * pictures(1).double() / 255
    one, turn = torch.ones(1, dtype=torch.float64), torch.tensor([angle], dtype=torch.float64)
    turned = apply_colours(picture, one, one, one, turn)
    luma = batch_augment.YIQ[0].view(3, 1, 1)
    torch.testing.assert_close((turned * luma).sum(1), (picture * luma).sum(1))
    torch.testing.assert_close(apply_colours(turned, one, one, one, -turn), picture)
    grey = picture[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(apply_colours(grey.contiguous(), one, one, one, turn), grey)


def test_chances_come_true() -> None:
    """About as many pictures are mirrored, grey or covered as the recipe says."""
    batch = pictures(1).repeat(1000, 1, 1, 1)
    torch.manual_seed(0)
    augment = BatchAugmentation("none", 40, (0, 0, 0), (1, 1, 1))
    augment.preset = "metric"
    plain = batch.float()[:1] / 255
    augment.recipe = Recipe(flip=0.3)
    mirrored = (augment(batch) - plain.flip(-1)).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert 0.24 < mirrored.float().mean() < 0.36
    augment.recipe = Recipe(grey=0.2)
    grey = augment(batch).std(dim=1).amax(dim=(1, 2)) < 1e-3
    assert 0.14 < grey.float().mean() < 0.26
    augment.recipe = Recipe(erase=0.6, erased=(0.1, 0.1))
    changed = ((augment(batch) - plain).abs() > 1e-3).any(dim=1).float().mean(dim=(1, 2))
    assert 0.54 < (changed > 0).float().mean() < 0.66
    assert changed[changed > 0].median() == pytest.approx(0.1, abs=0.02)


def test_views_of_packs_are_never_mirrored() -> None:
    """Lettering tells products apart: a pack half black, half white stays black on the left."""
    pack = torch.zeros(200, 3, 40, 40, dtype=torch.uint8)
    pack[..., 20:] = 255
    torch.manual_seed(0)
    views = BatchAugmentation("metric", 32, (0, 0, 0), (1, 1, 1))(pack)
    dark = views[..., :8].mean(dim=(1, 2, 3)) < views[..., -8:].mean(dim=(1, 2, 3))
    assert dark.float().mean() > 0.9


def test_a_wrong_preset_names_the_known_ones() -> None:
    """One line, with what there is."""
    with pytest.raises(ShelfHelpError, match="choose from none, supervised, simclr"):
        BatchAugmentation("heavy", 32, MEAN, STD)  # type: ignore[arg-type]
