"""Random shelves and camera poses for training data: near and far, tidy and untidy, upright and tilted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.held_up import Held, random_held
from shelfhelp_ros.simulation.layout import LAYOUTS, Layout, Stock
from shelfhelp_ros.simulation.packshots import random_packshots
from shelfhelp_ros.simulation.products import Product
from shelfhelp_ros.simulation.scene import CameraPose, Look, RenderedFrame, SceneSettings, ShelfScene
from shelfhelp_ros.simulation.wild import wild_effects, wild_hand, wild_settings

PACK_PIXELS = (28.0, 210.0)
FAR = 70.0
DRINKS = ("soda", "energy", "beer", "juice", "water", "milk")
Domain = Literal["plain", "wild", "held", "packshot"]
DOMAINS: tuple[Domain, ...] = ("plain", "wild", "held", "packshot")


@dataclass(frozen=True)
class Tilt:
    """How askew cameras are held: mean and spread of the angles in degrees, and how far they go."""

    yaw: float = 16.0
    widest: float = 42.0
    pitch: float = 8.0
    pitch_spread: float = 11.0
    lowest: float = -18.0
    highest: float = 38.0
    roll: float = 4.0


WILD_TILT = Tilt(yaw=24.0, widest=58.0, pitch=9.0, pitch_spread=18.0, lowest=-32.0, highest=52.0, roll=11.0)


@dataclass(frozen=True)
class Surprise:
    """What changes from picture to picture of one shelf: ``roll`` of the arm in degrees, ``held`` what it holds."""

    pose: CameraPose
    effects: Effects
    hand: np.ndarray[tuple[int], np.dtype[np.float64]] | None
    roll: float = 0.0
    held: Held | None = None


@dataclass(frozen=True)
class ShelfPicture:
    """The ``number``-th picture of a shelf, and what was drawn for it in words and numbers that JSON can hold."""

    number: int
    frame: RenderedFrame
    drawn: dict[str, Any]


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
    pose = _random_pose(rng, scene, pixels, Tilt())
    return Surprise(pose, Effects.sample(rng), _random_hand(rng, scene.stock))


def held_surprise(rng: np.random.Generator, scene: ShelfScene, pixels: float) -> Surprise:
    """A camera before the shelf, and a pack of it that somebody holds up to the camera."""
    pose = _random_pose(rng, scene, pixels, Tilt())
    held = random_held(rng, scene, pose)
    return Surprise(pose, Effects.sample(rng), held.hand, held.roll, held)


def wild_surprise(rng: np.random.Generator, scene: ShelfScene, pixels: float, cooler: bool) -> Surprise:
    """The same in the wild domain."""
    pose = _random_pose(rng, scene, pixels, WILD_TILT)
    effects = wild_effects(rng, abs(float(pose.position[1])), cooler, scene.camera.width)
    hand, roll = wild_hand(rng, scene.stock, pose)
    return Surprise(pose, effects, hand, roll)


def _random_pose(rng: np.random.Generator, scene: ShelfScene, pixels: float, tilt: Tilt) -> CameraPose:
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
    yaw = np.radians(np.clip(rng.normal(0, tilt.yaw), -tilt.widest, tilt.widest))
    pitch = np.radians(np.clip(rng.normal(tilt.pitch, tilt.pitch_spread), tilt.lowest, tilt.highest))
    away = distance * np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    return CameraPose.looking_at(target + away, target, float(rng.normal(0, tilt.roll)))


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
    products: list[Product],
    seed: int,
    wanted: Collection[int],
    size: tuple[int, int] = (640, 480),
    layout: Layout | None = None,
    domain: Domain = "plain",
) -> Iterator[ShelfPicture]:
    """The pictures of one random shelf whose numbers are ``wanted``, in their order.

    The same arguments give the same pictures on one machine, and a picture does not depend on which others are wanted.
    """
    if domain == "packshot":
        for number, frame in random_packshots(products, seed, wanted, size):
            yield ShelfPicture(number, frame, {"domain": domain})
        return
    rng = np.random.default_rng([seed, 0xC0C0])
    settings, pixels = random_settings(rng, layout, size)
    chosen = pick_products(rng, products, 36 if pixels < FAR else 18, settings.layout.rows + 1)
    cooler = False
    if domain == "wild":
        drinks = float(np.mean([product.category in DRINKS for product in chosen]))
        cooler = bool(rng.random() < 0.15 + 0.6 * drinks)
        settings = wild_settings(settings, rng, cooler, layout)
    with ShelfScene(chosen, seed, settings) as scene:
        for number in range(max(wanted, default=-1) + 1):
            surprise = _surprise(domain, rng, scene, pixels, cooler)
            if number in wanted:
                scene.move_hand(surprise.hand, surprise.roll)
                with scene.moved({} if surprise.held is None else {surprise.held.pack: surprise.held.shift}):
                    frame = scene.render(surprise.pose, surprise.effects, moment=number)
                yield ShelfPicture(number, frame, _drawn(domain, settings, surprise, cooler))


def _surprise(domain: Domain, rng: np.random.Generator, scene: ShelfScene, pixels: float, cooler: bool) -> Surprise:
    if domain == "wild":
        return wild_surprise(rng, scene, pixels, cooler)
    return held_surprise(rng, scene, pixels) if domain == "held" else random_surprise(rng, scene, pixels)


def _drawn(domain: Domain, settings: SceneSettings, surprise: Surprise, cooler: bool) -> dict[str, Any]:
    """What a picture's ground truth says about how it was made."""
    usual = Effects()
    effects = {
        field.name: getattr(surprise.effects, field.name)
        for field in fields(Effects)
        if getattr(surprise.effects, field.name) != getattr(usual, field.name)
    }
    hand = None if surprise.hand is None else [round(float(v), 4) for v in surprise.hand]
    return {
        "domain": domain,
        "cooler": cooler,
        "hand": hand,
        **({} if surprise.held is None else {"held": surprise.held.pack}),
        "effects": effects,
        "layout": asdict(settings.layout),
        "lamps": len(settings.look.lamps),
        "shadows": settings.shadows,
    }
