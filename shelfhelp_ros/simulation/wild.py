"""The wild domain of rendered shelves: what cameras, shops and shoppers do at their worst, each drawn at random.

Beside the plain domain (``views``): lamps of many kinds and colours, coolers behind glass with the frames of their
doors, lenses out of focus, long smears, wrong exposure, bands from lamps, arms in sleeves before the packs, cameras
held askew, and shelves from bare to crammed. What was drawn is written down with every picture.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import Layout, Stock
from shelfhelp_ros.simulation.scene import CameraPose, Lamp, Look, SceneSettings

# Light of lamps from candle-warm to blue, RGB with green at 1.
LAMP_TINTS = ((1.25, 1.0, 0.65), (1.1, 1.0, 0.85), (1.0, 1.0, 1.0), (0.88, 1.0, 1.15), (0.95, 1.1, 0.95))


def wild_layout(rng: np.random.Generator, far: bool) -> Layout:
    """A shelf between bare and crammed, between tidy and not. ``far``: wide and high, for small packs."""
    dense = float(rng.random())
    untidy = float(rng.random()) ** 2
    closest = float(rng.uniform(0, 0.012)) * (1 - dense)
    return Layout(
        width=2.2 if far else float(rng.uniform(0.8, 1.7)),
        rows=int(rng.integers(4, 7)) if far else int(rng.integers(2, 5)),
        depth=float(rng.uniform(0.25, 0.5)),
        facings=(1, 1 + int(rng.integers(1 + round(4 * dense)))),
        gap=float(rng.uniform(0, 0.6)) * (1 - dense),
        behind=float(rng.uniform(0, 0.8)),
        mixed=float(rng.random()),
        set_back=0.02 + 0.12 * untidy,
        spacing=(closest, closest + 0.003 + 0.05 * (1 - dense) * float(rng.random())),
        turned=3 + 17 * untidy,
    )


def wild_look(rng: np.random.Generator, width: float, top: float, cooler: bool) -> Look:
    """A random shop; a ``cooler`` has strips of light inside its frames and posts between its doors."""
    look = Look.sample(rng)
    lamps = []
    for _ in range(int(rng.integers(0, 4))):
        place = (float(rng.uniform(-width, width)), -float(rng.uniform(0.3, 1.8)), float(rng.uniform(0.2, top + 1.2)))
        aim = (float(rng.uniform(-0.5, 0.5)) - place[0], 0.2 - place[1], float(rng.uniform(0, top)) - place[2])
        lamps.append(Lamp(place, aim, _tinted(rng, 0.1, 0.5), float(rng.uniform(20, 75))))
    posts: tuple[float, ...] = ()
    if cooler:
        step = float(rng.uniform(0.55, 0.85))
        first = float(rng.uniform(-step / 2, step / 2))
        places = first + step * np.arange(-3, 4)
        posts = tuple(float(x) for x in places if abs(x) < width / 2)
        colour = _tinted(rng, 0.15, 0.4)
        lamps += [Lamp((x, -0.03, top / 2), (0.3, 1.0, 0.0), colour, 89.0) for x in posts[:3]]
    sleeve = None
    if rng.random() < 0.7:
        red, green, blue = (float(v) for v in rng.uniform(0.03, 0.95, 3) ** 1.5)
        sleeve = (red, green, blue)
    # Where lamps shine, there is less light from everywhere: OpenGL cannot give more than white.
    dim = float(rng.uniform(0.5, 1.0)) / (1 + 0.25 * len(lamps))
    return replace(
        look, ambient=look.ambient * dim, head=look.head * float(rng.uniform(0, 1.2)), lamp=look.lamp * dim,
        lamps=tuple(lamps), sleeve=sleeve, posts=posts,
    )  # fmt: skip


def wild_settings(
    settings: SceneSettings, rng: np.random.Generator, cooler: bool, given: Layout | None
) -> SceneSettings:
    """The plain domain's ``settings`` with another layout (unless one is ``given``), look and lens."""
    layout = given or wild_layout(rng, settings.layout.width > 2)
    # The heights of rows follow from the products; this is near enough for lamps.
    top = 0.33 * layout.rows
    return replace(
        settings,
        layout=layout,
        look=wild_look(rng, layout.width, top, cooler),
        field_of_view=float(rng.uniform(38, 86)),
        shadows=bool(rng.random() < 0.75),
    )


def wild_effects(rng: np.random.Generator, distance: float, cooler: bool, width: int) -> Effects:
    """The faults of a bad camera whose subject is ``distance`` metres away; blurs grow with the picture's ``width``."""
    pixels = width / 640
    plain = Effects.sample(rng)
    tint = np.exp(rng.normal(0, 0.06, 3))
    blue, green, red = (float(gain * cast) for gain, cast in zip(plain.gains, tint, strict=True))
    glassy = cooler and rng.random() < 0.8
    # Most lenses hold the shelf in focus; the rest focus on the hand before it or the wall behind it.
    missed = float(np.exp(rng.normal(0, 0.12 if rng.random() < 0.6 else 0.6)))
    return replace(
        plain,
        metered=float(np.clip(105 * np.exp(rng.normal(0, 0.35)), 35, 200)),
        gains=(blue, green, red),
        gamma=float(np.exp(rng.normal(0, 0.2))),
        saturation=float(rng.uniform(0.35, 1.4)),
        motion=float(np.exp(rng.uniform(np.log(3), np.log(18)))) * pixels if rng.random() < 0.35 else 0.0,
        motion_angle=float(rng.uniform(-np.pi / 2, np.pi / 2)),
        noise=float(rng.exponential(6)),
        vignette=float(rng.uniform(0, 0.7)),
        glass=float(rng.uniform(0.1, 0.8)) if glassy else 0.0,
        aisle=float(rng.uniform(0.05, 0.8)) if glassy else 0.0,
        frost=float(rng.uniform(0.2, 0.9)) if cooler and rng.random() < 0.2 else 0.0,
        defocus=float(rng.exponential(7)) * pixels if rng.random() < 0.6 else 0.0,
        focus=float(max(0.15, distance * missed)),
        flicker=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.12 else 0.0,
        flicker_period=float(rng.uniform(0.15, 0.8)),
    )


def wild_hand(rng: np.random.Generator, stock: Stock, pose: CameraPose) -> tuple[np.ndarray | None, float]:
    """Fingertips (3,) between the camera and a pack, or None, and the roll of the arm in degrees."""
    if rng.random() > 0.45:
        return None, 0.0
    front = stock.packs[int(rng.integers(len(stock.packs)))].front
    towards = pose.position - front
    share = float(rng.beta(1.2, 4.0)) * 0.7
    scatter = rng.normal(0, 0.04, 3)
    position = front + towards * share + [scatter[0], -abs(scatter[1]) - 0.01, scatter[2]]
    return np.asarray(position), float(np.clip(rng.normal(0, 40), -110, 110))


def _tinted(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    level = float(rng.uniform(low, high))
    red, green, blue = LAMP_TINTS[int(rng.integers(len(LAMP_TINTS)))]
    return red * level, green * level, blue * level
