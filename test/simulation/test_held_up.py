"""Packs held up to the camera, for training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfhelp_ros.simulation.coco import CocoSettings, export_coco
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.held_up import CLEAR, DISTANCE, random_held
from shelfhelp_ros.simulation.products import make_products
from shelfhelp_ros.simulation.scene import CameraPose, ShelfScene

pytestmark = pytest.mark.usefixtures("_opengl")


def test_a_pack_is_held_between_the_camera_and_the_shelf() -> None:
    """Protects the training data: the pack is where it is said to be, near, before all others, and a hand is at it."""
    rng = np.random.default_rng(4)
    with ShelfScene(make_products(4, 30), 4) as scene:
        pose = CameraPose.looking_at(np.array([0.0, -0.6, 0.8]), np.array([0.0, 0.0, 0.75]))
        for _ in range(8):
            held = random_held(rng, scene, pose)
            empty = scene.render(pose, Effects(blur=0, noise=0, vignette=0))
            with scene.moved({held.pack: held.shift}):
                taken = scene.render(pose, Effects(blur=0, noise=0, vignette=0))
                front = pose.to_optical(scene.front(held.pack)[None])[0]
                scene.move_hand(held.hand, held.roll)
                by_hand = scene.render(pose, Effects(blur=0, noise=0, vignette=0))
                scene.move_hand(None)
            assert DISTANCE[0] <= front[2] <= CLEAR * 0.6 + 1e-6
            box = taken.boxes[taken.packs.index(held.pack)]
            x, y = (
                front[:2] / front[2] * [taken.camera.fx, taken.camera.fy] + [taken.camera.cx, taken.camera.cy]
            ).astype(int)
            assert box[0] < x < box[2]
            assert box[1] < y < box[3]
            assert taken.depth[y, x] == pytest.approx(front[2], abs=0.03)
            assert taken.depth[y, x] < empty.depth[y, x] - 0.05
            assert by_hand.visibility[by_hand.packs.index(held.pack)] < taken.visibility[taken.packs.index(held.pack)]
            again = scene.render(pose, Effects(blur=0, noise=0, vignette=0))
            np.testing.assert_array_equal(again.depth, empty.depth)


def test_a_data_set_of_held_packs(tmp_path: Path) -> None:
    """Protects the export: every picture names the pack that is held, and the same seed gives the same pictures."""
    settings = CocoSettings(seed=5, frames=3, width=160, height=120, products=40, layout="small", domain="held")
    first, second = (export_coco(tmp_path / name, settings) for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    images = json.loads(first.read_text())["images"]
    assert all(image["drawn"]["domain"] == "held" and image["drawn"]["held"] >= 0 for image in images)
    for image in images:
        one, two = (cv2.imread(str(path.parent / image["file_name"])) for path in (first, second))
        np.testing.assert_array_equal(one, two)
