"""Pictures of what is in a pack: fruit, leaves, nuts, a cup, drawn from a few shaded outlines."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from shelfhelp_ros.simulation.colours import mix
from shelfhelp_ros.simulation.products import Colour

Layer = Image.Image
Points = list[tuple[float, float]]
GREEN = (66, 142, 48)


@lru_cache(maxsize=512)
def motif(name: str, colour: Colour, variant: int, size: int = 160) -> Layer:
    """A picture of the contents, RGBA ``size``×``size``: the same arguments give the same picture."""
    rng = np.random.default_rng([variant, 31])
    big = size * 2
    canvas = Image.new("RGBA", (big, big))
    _MOTIFS[name](canvas, colour, rng)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _blob(canvas: Layer, points: Points, colour: Colour, gloss: float = 1.0) -> None:
    """A filled outline (unit square) that is lit from the upper left, as a printed photograph of a round thing."""
    outline = np.array(points) * canvas.width
    low, high = np.floor(outline.min(0)).astype(int), np.ceil(outline.max(0)).astype(int) + 1
    width, height = (int(v) for v in high - low)
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).polygon([(float(px), float(py)) for px, py in outline - low], fill=255)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    light = 1.18 - 0.62 * ((x - 0.35) ** 2 + (y - 0.3) ** 2) / 0.6
    glow = gloss * 130 * np.exp(-((x - 0.32) ** 2 + (y - 0.25) ** 2) / 0.012)
    shaded = np.clip(np.array(colour, np.float32) * light[..., None] + glow[..., None], 0, 255).astype(np.uint8)
    canvas.paste(Image.fromarray(shaded), (int(low[0]), int(low[1])), mask)


def _ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0, count: int = 40) -> Points:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = rx * np.cos(angles), ry * np.sin(angles)
    return list(zip(cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn), strict=True))


def _leaf(cx: float, cy: float, length: float, turn: float) -> Points:
    t = np.linspace(0, 1, 16)
    half = 0.32 * length * np.sin(np.pi * t) ** 0.8
    x = np.concatenate([t, t[::-1]]) * length
    y = np.concatenate([half, -half[::-1]])
    return list(zip(cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn), strict=True))


def _draw_berry(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = 0.34 + 0.05 * np.cos(t - np.pi / 2) + 0.03 * np.cos(3 * t)
    _blob(canvas, list(zip(0.5 + radius * np.cos(t), 0.55 + 1.15 * radius * np.sin(t), strict=True)), colour)
    pen = ImageDraw.Draw(canvas)
    for _ in range(34):
        angle, far = rng.uniform(0, 6.28), 0.3 * np.sqrt(rng.random())
        x, y = (0.5 + far * np.cos(angle)) * canvas.width, (0.57 + 1.05 * far * np.sin(angle)) * canvas.width
        pen.ellipse([x - 3, y - 5, x + 3, y + 5], fill=(250, 214, 110))
    for turn in np.linspace(-2.9, -0.2, 6):
        _blob(canvas, _leaf(0.5, 0.23, 0.22, float(turn)), GREEN, 0)


def _draw_cluster(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for angle in (-2.2, -1.0):
        _blob(canvas, _leaf(0.5, 0.25, 0.28, angle), GREEN, 0.2)
    spots = [(0.34, 0.36), (0.5, 0.32), (0.66, 0.37), (0.28, 0.52), (0.44, 0.5), (0.6, 0.53), (0.73, 0.54),
             (0.38, 0.67), (0.54, 0.68), (0.67, 0.69), (0.47, 0.82), (0.6, 0.82)]  # fmt: skip
    for x, y in spots:
        jx, jy = rng.uniform(-0.02, 0.02, 2)
        _blob(canvas, _ellipse(x + jx, y + jy, 0.115, 0.115), mix(colour, (0, 0, 0), float(rng.uniform(0, 0.25))))


def _draw_cherry(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    big = canvas.width
    for x in (0.32, 0.68):
        pen.line(
            [(x * big, 0.6 * big), ((0.5 + (x - 0.5) * 0.35) * big, 0.3 * big), (0.56 * big, 0.1 * big)],
            (80, 100, 40),
            8,
        )
    _blob(canvas, _leaf(0.55, 0.12, 0.36, float(rng.uniform(0.1, 0.5))), GREEN, 0.2)
    _blob(canvas, _ellipse(0.31, 0.68, 0.22, 0.21), colour)
    _blob(canvas, _ellipse(0.69, 0.72, 0.22, 0.21), colour)


def _draw_apple(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 0.36 - 0.07 * np.exp(-(((t - 1.5 * np.pi) / 0.35) ** 2)) - 0.03 * np.exp(-(((t - 0.5 * np.pi) / 0.3) ** 2))
    _blob(canvas, list(zip(0.5 + 1.08 * radius * np.cos(t), 0.57 + radius * np.sin(t), strict=True)), colour)
    pen = ImageDraw.Draw(canvas)
    pen.line([(0.5 * canvas.width, 0.3 * canvas.width), (0.54 * canvas.width, 0.14 * canvas.width)], (84, 56, 30), 11)
    _blob(canvas, _leaf(0.54, 0.2, 0.28, float(rng.uniform(-0.6, 0.1))), GREEN, 0.2)


def _draw_pear(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    width = 0.3 - 0.13 * np.clip(-np.sin(t), 0, 1)
    _blob(canvas, list(zip(0.5 + width * np.cos(t), 0.55 + 0.38 * np.sin(t), strict=True)), colour)
    ImageDraw.Draw(canvas).line(
        [(0.5 * canvas.width, 0.2 * canvas.width), (0.55 * canvas.width, 0.06 * canvas.width)], (84, 56, 30), 11
    )
    _blob(canvas, _leaf(0.54, 0.12, 0.26, float(rng.uniform(-0.2, 0.5))), GREEN, 0.2)


def _draw_citrus(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    _blob(canvas, _ellipse(0.5, 0.5, 0.42, 0.42), colour, 0)
    _blob(canvas, _ellipse(0.5, 0.5, 0.37, 0.37), mix(colour, (255, 250, 235), 0.85), 0)
    turn = float(rng.uniform(0, 1))
    for index in range(9):
        angle = turn + index * 2 * np.pi / 9
        wedge = [(0.5 + 0.04 * np.cos(angle), 0.5 + 0.04 * np.sin(angle))]
        wedge += [
            (0.5 + 0.345 * np.cos(angle + d), 0.5 + 0.345 * np.sin(angle + d)) for d in np.linspace(-0.29, 0.29, 6)
        ]
        _blob(canvas, wedge, mix(colour, (255, 255, 255), 0.12), 0.5)
    _blob(canvas, _leaf(0.78, 0.8, 0.24, -0.4), GREEN, 0.2)


def _draw_leaf(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    big = canvas.width
    for turn in (-2.5, -0.6, -1.6):
        turn += float(rng.uniform(-0.15, 0.15))
        _blob(canvas, _leaf(0.5, 0.85, 0.75, turn), colour, 0.3)
        tip = (0.5 + 0.66 * np.cos(turn), 0.85 + 0.66 * np.sin(turn))
        pen.line([(0.5 * big, 0.85 * big), (tip[0] * big, tip[1] * big)], mix(colour, (255, 255, 255), 0.5), 5)


def _draw_flower(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    petals = int(rng.integers(5, 12))
    for index in range(petals):
        angle = index * 2 * np.pi / petals
        _blob(
            canvas,
            _ellipse(0.5 + 0.25 * np.cos(angle), 0.5 + 0.25 * np.sin(angle), 0.2, 0.85 / petals, angle),
            mix(colour, (255, 255, 255), 0.2),
            0.2,
        )
    _blob(canvas, _ellipse(0.5, 0.5, 0.12, 0.12), (236, 180, 30))


def _draw_cup(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    big = canvas.width
    pen = ImageDraw.Draw(canvas)
    pen.ellipse([0.66 * big, 0.48 * big, 0.92 * big, 0.74 * big], outline=(240, 240, 240), width=16)
    _blob(canvas, _ellipse(0.46, 0.86, 0.42, 0.07), (225, 225, 225), 0)
    _blob(canvas, [(0.14, 0.45), (0.78, 0.45), (0.68, 0.84), (0.24, 0.84)], (246, 246, 242), 0.2)
    _blob(canvas, _ellipse(0.46, 0.45, 0.32, 0.08), mix(colour, (90, 50, 20), 0.5), 0)
    for x in (0.34, 0.46, 0.58):
        curve = [((x + 0.03 * np.sin(k + x * 30)) * big, (0.36 - 0.05 * k) * big) for k in range(6)]
        pen.line(curve, (255, 255, 255, 150), 9)


def _draw_squares(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    big = canvas.width
    for row in range(3):
        for column in range(3):
            x, y = 0.1 + 0.27 * column + 0.03 * row, 0.12 + 0.26 * row
            _blob(canvas, [(x, y), (x + 0.25, y), (x + 0.25, y + 0.24), (x, y + 0.24)], colour, 0.3)
            box = [(x + 0.04) * big, (y + 0.04) * big, (x + 0.21) * big, (y + 0.2) * big]
            pen.rectangle(box, outline=mix(colour, (255, 255, 255), 0.25), width=4)


def _draw_nut(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for x, y in ((0.32, 0.4), (0.68, 0.44), (0.48, 0.72)):
        _blob(
            canvas, _leaf(x - 0.2, y + 0.16, 0.5, float(rng.uniform(-1.2, -0.3))), mix(colour, (60, 30, 10), 0.2), 0.6
        )
        _blob(canvas, _ellipse(x, y, 0.17, 0.14, float(rng.uniform(0, 3))), colour, 0.8)


def _draw_bean(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    big = canvas.width
    for x, y in ((0.3, 0.3), (0.68, 0.34), (0.36, 0.68), (0.7, 0.72), (0.5, 0.5)):
        turn = float(rng.uniform(0, 3.1))
        _blob(canvas, _ellipse(x, y, 0.2, 0.13, turn), colour, 0.6)
        dx, dy = 0.17 * np.cos(turn), 0.17 * np.sin(turn)
        pen.line([((x - dx) * big, (y - dy) * big), ((x + dx) * big, (y + dy) * big)], mix(colour, (0, 0, 0), 0.6), 6)


def _draw_drop(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    radius = 0.3 * (1 - 0.1 * np.sin(t))
    y = np.sin(t)
    width = np.where(y < 0, np.cos(t) * (1 + y) ** 0.5, np.cos(t))
    _blob(canvas, list(zip(0.5 + radius * width, 0.6 + np.where(y < 0, 0.5, 0.3) * y, strict=True)), colour, 1.2)


def _draw_cookie(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for x, y, radius in ((0.36, 0.38, 0.28), (0.6, 0.62, 0.32)):
        _blob(canvas, _ellipse(x, y, radius, radius * 0.93), mix((222, 170, 96), colour, 0.35), 0.1)
        for _ in range(13):
            angle, far = rng.uniform(0, 6.28), radius * 0.8 * np.sqrt(rng.random())
            _blob(
                canvas,
                _ellipse(x + far * np.cos(angle), y + far * np.sin(angle), 0.03, 0.026, count=9),
                mix(colour, (40, 20, 10), 0.6),
                0.3,
            )


def _draw_grain(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(canvas)
    big = canvas.width
    for base in (0.3, 0.5, 0.7):
        lean = (base - 0.5) * 0.5
        pen.line([(0.5 * big, 0.98 * big), ((base + lean) * big, 0.15 * big)], mix(colour, (90, 70, 20), 0.4), 7)
        for step in range(7):
            y = 0.15 + 0.085 * step
            x = base + lean * (1 - step / 9)
            for side in (-1, 1):
                _blob(canvas, _leaf(x, y + 0.06, 0.16, -1.57 + side * 0.6), colour, 0.4)


def _draw_crisp(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for _ in range(6):
        x, y, turn = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75), float(rng.uniform(0, 3.1))
        crisp = mix((244, 200, 84), colour, 0.2)
        _blob(canvas, _ellipse(x, y, 0.25, 0.17, turn), mix(crisp, (120, 70, 10), 0.25), 0)
        _blob(canvas, _ellipse(x, y, 0.22, 0.14, turn), crisp, 0.4)


def _draw_cheese(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    _blob(canvas, [(0.08, 0.5), (0.75, 0.2), (0.92, 0.45), (0.08, 0.55)], mix(colour, (255, 255, 255), 0.3), 0)
    _blob(canvas, [(0.08, 0.54), (0.92, 0.44), (0.92, 0.76), (0.08, 0.84)], colour, 0)
    for x, y, radius in ((0.3, 0.68, 0.07), (0.52, 0.6, 0.05), (0.7, 0.68, 0.08), (0.46, 0.76, 0.04)):
        _blob(canvas, _ellipse(x, y, radius, radius * 0.85), mix(colour, (120, 70, 0), 0.45), 0)


def _draw_pepper(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 1, 24)
    spine_x, spine_y = 0.2 + 0.62 * t, 0.3 + 0.5 * t**1.6
    half = 0.13 * (1 - t**2) + 0.01
    upper = list(zip(spine_x + half * 0.6, spine_y - half, strict=True))
    lower = list(zip(spine_x - half * 0.6, spine_y + half, strict=True))
    _blob(canvas, upper + lower[::-1], colour)
    _blob(canvas, _leaf(0.26, 0.32, 0.25, -2.4), GREEN, 0.2)


def _draw_fish(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    _blob(canvas, [(0.72, 0.5), (0.95, 0.3), (0.9, 0.5), (0.95, 0.7)], mix(colour, (0, 0, 0), 0.2), 0)
    _blob(canvas, _ellipse(0.43, 0.5, 0.36, 0.19), colour, 0.7)
    _blob(canvas, _ellipse(0.43, 0.57, 0.28, 0.1), mix(colour, (255, 255, 255), 0.6), 0)
    _blob(canvas, _ellipse(0.18, 0.46, 0.03, 0.03), (20, 20, 20), 1)


def _draw_bowl(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for _ in range(26):
        x, y = rng.uniform(0.16, 0.84), rng.uniform(0.3, 0.5)
        bit = mix(colour, (250, 220, 150) if rng.random() < 0.4 else (70, 30, 10), float(rng.uniform(0, 0.5)))
        _blob(canvas, _ellipse(x, y, 0.07, 0.055, float(rng.uniform(0, 3)), count=12), bit, 0.5)
    t = np.linspace(0, np.pi, 30)
    _blob(canvas, list(zip(0.5 + 0.45 * np.cos(t), 0.46 + 0.4 * np.sin(t), strict=True)), (242, 242, 246), 0.2)


def _draw_sun(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    points = int(rng.integers(5, 18))
    inner = float(rng.uniform(0.16, 0.36))
    angles = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 0.45)
    _blob(canvas, list(zip(0.5 + radius * np.cos(angles), 0.5 + radius * np.sin(angles), strict=True)), colour, 0)
    _blob(canvas, _ellipse(0.5, 0.5, inner * 0.7, inner * 0.7), mix(colour, (255, 255, 255), 0.7), 0)


def _draw_bolt(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    points = [(0.58, 0.05), (0.2, 0.56), (0.45, 0.56), (0.36, 0.95), (0.8, 0.4), (0.53, 0.4), (0.7, 0.05)]
    _blob(canvas, [(0.5 + (x - 0.5) * 1.12, 0.5 + (y - 0.5) * 1.08) for x, y in points], (245, 245, 245), 0)
    _blob(canvas, points, colour, 0.3)


def _draw_bubbles(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for _ in range(20):
        x, y, radius = rng.uniform(0.12, 0.88), rng.uniform(0.12, 0.88), rng.uniform(0.03, 0.13)
        _blob(canvas, _ellipse(x, y, radius, radius), mix(colour, (255, 255, 255), float(rng.uniform(0.1, 0.6))), 1)


def _draw_mountain(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    for x, top, width in ((0.3, 0.35, 0.3), (0.72, 0.42, 0.27), (0.5, 0.18, 0.38)):
        _blob(
            canvas,
            [(x - width, 0.85), (x, top), (x + width, 0.85)],
            mix(colour, (20, 40, 80), float(rng.uniform(0.1, 0.5))),
            0,
        )
        cap = width * 0.35
        _blob(
            canvas,
            [(x - cap, top + (0.85 - top) * 0.35), (x, top), (x + cap, top + (0.85 - top) * 0.35), (x, top + 0.16)],
            (250, 252, 255),
            0,
        )


def _draw_wave(canvas: Layer, colour: Colour, rng: np.random.Generator) -> None:
    x = np.linspace(0.04, 0.96, 40)
    for index in range(4):
        crest = 0.3 + 0.14 * index + 0.07 * np.sin(x * 9 + index * 1.7 + rng.uniform(0, 6))
        outline = [*zip(x, crest, strict=True), (0.96, 0.92), (0.04, 0.92)]
        _blob(canvas, outline, mix(colour, (255, 255, 255), 0.6 - 0.2 * index), 0)


_MOTIFS = {
    "apple": _draw_apple,
    "bean": _draw_bean,
    "berry": _draw_berry,
    "bolt": _draw_bolt,
    "bowl": _draw_bowl,
    "bubbles": _draw_bubbles,
    "cheese": _draw_cheese,
    "cherry": _draw_cherry,
    "citrus": _draw_citrus,
    "cluster": _draw_cluster,
    "cookie": _draw_cookie,
    "crisp": _draw_crisp,
    "cup": _draw_cup,
    "drop": _draw_drop,
    "fish": _draw_fish,
    "flower": _draw_flower,
    "grain": _draw_grain,
    "leaf": _draw_leaf,
    "mountain": _draw_mountain,
    "nut": _draw_nut,
    "pear": _draw_pear,
    "pepper": _draw_pepper,
    "squares": _draw_squares,
    "sun": _draw_sun,
    "wave": _draw_wave,
}
