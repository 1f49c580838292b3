"""Packs on a plain ground, for training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from shelfhelp_ros.simulation.coco import CocoSettings, export_coco
from shelfhelp_ros.simulation.packshots import random_packshots
from shelfhelp_ros.simulation.products import make_products


def test_the_box_goes_round_the_whole_pack() -> None:
    """Outside of it is one colour, but for what a camera adds; along its edges, inside, is the pack."""
    for _, frame in random_packshots(make_products(3, 20), 1, range(20), (320, 240)):
        left, top, right, bottom = frame.boxes[0].round().astype(int)
        assert 0 <= left < right <= 320
        assert 0 <= top < bottom <= 240
        assert max((right - left) / 320, (bottom - top) / 240) >= 0.45
        inside = np.zeros((240, 320), np.bool_)
        inside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
        if (~inside).sum() > 500:
            assert (
                frame.image[~inside].std(axis=0).max()
                < 0.8 * frame.image[top:bottom, left:right].std(axis=(0, 1)).max()
            )


def test_a_picture_depends_on_its_number_alone() -> None:
    """So that an export that stopped goes on with the same pictures."""
    products = make_products(3, 20)
    together = {number: frame.image for number, frame in random_packshots(products, 1, [0, 1, 2], (160, 120))}
    ((_, alone),) = random_packshots(products, 1, [2], (160, 120))
    np.testing.assert_array_equal(alone.image, together[2])
    assert not np.array_equal(together[0], together[1])


def test_a_data_set_of_packshots(tmp_path: Path) -> None:
    """Every picture has one box, of a product of the set."""
    settings = CocoSettings(seed=5, frames=3, width=160, height=120, products=40, domain="packshot")
    coco = json.loads(export_coco(tmp_path / "set", settings).read_text())
    assert [one["image_id"] for one in coco["annotations"]] == [0, 1, 2]
    assert all(image["drawn"] == {"domain": "packshot"} for image in coco["images"])
