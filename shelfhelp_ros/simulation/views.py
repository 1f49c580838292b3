"""Random shelves and camera poses for training data: near and far, tidy and untidy, upright and tilted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import LAYOUTS, Layout, Stock
from shelfhelp_ros.simulation.products import Product
from shelfhelp_ros.simulation.scene import CameraPose, Look, RenderedFrame, SceneSettings, ShelfScene

PACK_PIXELS = (28.0, 210.0)
FAR = 70.0
DRINKS = ("soda", "energy", "beer", "juice", "water", "milk")


@dataclass(frozen=True)
class Surprise:
    """What changes from picture to picture of one shelf."""

    pose: CameraPose
    effects: Effects
    hand: np.ndarray[tuple[int], np.dtype[np.float64]] | None


def random_effects(seed: int) -> Effects:
    """The faults of a random camera, by its seed."""
    return Effects.sample(np.random.default_rng([seed, 0xEF]))


def random_settings(
    rng: np.random.Generator, layout: Layout | None, size: tuple[int, int]
) -> tuple[SceneSettings, float]:
    """Settings of a random shelf, and the height in pixels that a typical pack shall have in its pictures."""
    pixels = float(np.exp(rng.uniform(*np.log(PACK_PIXELS))))
    if layout is None:
        layout = LAYOUTS[str(rng.choice(list(LAYOUTS), p=[0.1, 0.3, 0.4, 0.1, 0.1]))]
        if pixels < FAR:
            layout = replace(layout, width=2.2, rows=int(rng.integers(4, 6)))
        layout = replace(layout, behind=float(rng.uniform(0, 0.6)), mixed=float(rng.uniform(0, 1)))
    settings = SceneSettings(
        layout=layout,
        look=Look.sample(rng),
        width=size[0],
        height=size[1],
        field_of_view=float(rng.uniform(42, 72)),
        shadows=bool(rng.random() < 0.6),
        texture=256 if pixels > 130 else 160,
    )
    return settings, pixels


def random_surprise(rng: np.random.Generator, scene: ShelfScene, pixels: float) -> Surprise:
    """A camera that sees packs about ``pixels`` high, its faults, and sometimes a hand in the picture."""
    stock = scene.stock
    pack = stock.packs[int(rng.integers(len(stock.packs)))]
    middle = np.array([0.0, 0.0, stock.top / 2])
    target = pack.front + (middle - pack.front) * [0.5, 0, 0.5] * float(rng.random())
    target = target + np.array([rng.normal(0, 0.05), 0.0, rng.normal(0, 0.05)])
    typical = float(np.median([p.product.height for p in stock.packs]))
    distance = scene.camera.fy * typical / (pixels * float(rng.uniform(0.8, 1.25)))
    # Not so far that the room around the shelf fills the picture.
    reach = 0.6 * stock.layout.width * scene.camera.fx / scene.camera.width
    distance = float(np.clip(distance, 0.28, max(0.5, 1.5 * reach)))
    yaw, pitch = np.radians(np.clip(rng.normal(0, 16), -42, 42)), np.radians(np.clip(rng.normal(8, 11), -18, 38))
    away = distance * np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    pose = CameraPose.looking_at(target + away, target, float(rng.normal(0, 4)))
    return Surprise(pose, Effects.sample(rng), _random_hand(rng, stock))


def _random_hand(rng: np.random.Generator, stock: Stock) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    if rng.random() > 0.25:
        return None
    pack = stock.packs[int(rng.integers(len(stock.packs)))]
    return np.asarray(
        pack.front + np.array([rng.normal(0, 0.05), -abs(rng.normal(0.03, 0.06)) - 0.01, rng.normal(0, 0.05)])
    )


def pick_products(rng: np.random.Generator, products: list[Product], count: int, categories: int) -> list[Product]:
    """About ``count`` products of about ``categories`` categories, whole families at a time.

    Near-duplicates so meet on the shelf. Every third shelf is a cooler with drinks only.
    """
    kinds = sorted({product.category for product in products})
    drinks = [kind for kind in kinds if kind in DRINKS]
    offered = drinks if drinks and rng.random() < 1 / 3 else kinds
    wanted = {offered[i] for i in rng.permutation(len(offered))[:categories]}
    families: dict[int, list[Product]] = {}
    for product in products:
        if product.category in wanted:
            families.setdefault(product.family, []).append(product)
    groups = list(families.values())
    chosen: list[Product] = []
    for index in rng.permutation(len(groups)):
        chosen += groups[index]
        if len(chosen) >= count:
            break
    return chosen


def random_pictures(
    products: list[Product], seed: int, count: int, size: tuple[int, int] = (640, 480), layout: Layout | None = None
) -> Iterator[RenderedFrame]:
    """``count`` pictures of one random shelf; the same arguments give the same pictures on one machine."""
    rng = np.random.default_rng([seed, 0xC0C0])
    settings, pixels = random_settings(rng, layout, size)
    chosen = pick_products(rng, products, 36 if pixels < FAR else 18, settings.layout.rows + 1)
    with ShelfScene(chosen, seed, settings) as scene:
        for _ in range(count):
            surprise = random_surprise(rng, scene, pixels)
            scene.move_hand(surprise.hand)
            yield scene.render(surprise.pose, surprise.effects)
