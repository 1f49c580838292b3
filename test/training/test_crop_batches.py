"""Batches for metric learning: exactly P products with K crops, look-alikes together, repeatable."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.crop_sources import PACKSHOT, Crop
from shelfhelp_training.data.crops import ProductBatches

PIXEL = np.zeros((1, 1, 3), np.uint8)
BOX = np.array([0, 0, 1, 1], np.float32)


def crop(product: str, family: str, photo: str) -> Crop:
    return Crop(PIXEL, BOX, product, family, photo)


# 30 products of families of three; product number i has 1 + i % 5 photographs.
CROPS = [crop(f"a/{i}", f"a/{i // 3}", f"{i}-{p}") for i in range(30) for p in range(1 + i % 5)]
OTHERS = [crop(f"b/{i}", f"b/{i}", "shelf") for i in range(10) for _ in range(2)]


def batches(
    products: int = 8, per_product: int = 4, weights: tuple[float, float] = (1, 1), **more: int
) -> ProductBatches:
    sources = [0] * len(CROPS) + [1] * len(OTHERS)
    return ProductBatches([*CROPS, *OTHERS], sources, weights, products, per_product, batches=20, **more)


@pytest.mark.parametrize(("products", "per_product"), [(2, 2), (8, 4), (16, 3), (40, 1)])
def test_every_batch_has_p_products_with_k_crops(products: int, per_product: int) -> None:
    """Losses over triplets need that many of each, in every batch."""
    everything = [*CROPS, *OTHERS]
    found = list(batches(products, per_product))
    assert len(found) == 20
    for batch in found:
        counts = Counter(everything[index].product for index, _ in batch)
        assert len(counts) == products
        assert set(counts.values()) == {per_product}


def test_crops_of_a_product_come_from_different_photos() -> None:
    """Two crops of one photograph teach less than crops of two."""
    for batch in batches(per_product=3, weights=(1, 0)):
        for start in range(0, len(batch), 3):
            chosen = [CROPS[index] for index, _ in batch[start : start + 3]]
            there = len({c.photo for c in CROPS if c.product == chosen[0].product})
            assert len({c.photo for c in chosen}) == min(3, there)


def test_look_alikes_come_together() -> None:
    """Near-duplicates in one batch are the hard negatives; without `relatives` they meet only by chance."""

    def pairs(relatives: int) -> int:
        found = 0
        for batch in batches(products=6, per_product=1, weights=(1, 0), relatives=relatives):
            families = Counter(CROPS[index].family for index, _ in batch)
            found += sum(n * (n - 1) // 2 for n in families.values())
        return found

    assert pairs(2) > 3 * pairs(0)


def test_sources_keep_their_weights() -> None:
    """A source with weight nought gives no products, others their share."""
    alone = [index for batch in batches(weights=(0, 1)) for index, _ in batch]
    assert min(alone) >= len(CROPS)
    mixed = [index < len(CROPS) for batch in batches(products=4, weights=(3, 1), relatives=0) for index, _ in batch]
    assert 0.6 < np.mean(mixed) < 0.9


def test_an_epoch_repeats_and_the_next_differs() -> None:
    """A resumed epoch is the epoch that was interrupted; views get new seeds in every batch."""
    one, other = batches(), batches()
    assert list(one) == list(other)
    other.set_epoch(1)
    assert list(one) != list(other)
    seeds = [seed for batch in one for _, seed in batch]
    assert len(set(seeds)) == len(seeds)


def test_the_packshot_is_there_every_other_time() -> None:
    """A product is enrolled from its packshot, so training has to compare shelf crops with it."""
    crops = [crop(f"p/{i}", f"p/{i}", photo) for i in range(4) for photo in (PACKSHOT, *map(str, range(20)))]
    found = [
        any(crops[index].photo == PACKSHOT for index, _ in batch[start : start + 2])
        for batch in ProductBatches(crops, [0] * len(crops), [1], 4, 2, batches=100)
        for start in range(0, 8, 2)
    ]
    assert 0.45 < np.mean(found) < 0.7


def test_too_few_products_are_an_error() -> None:
    """Rather than an endless search for more."""
    with pytest.raises(ShelfHelpError, match="only 40 products"):
        batches(products=41)
    with pytest.raises(ShelfHelpError, match="only 10 products"):
        batches(products=11, weights=(0, 1))
