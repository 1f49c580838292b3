"""Packs as they are printed: the front, the wrapped label of a can or bottle, the side, and the packshot.

``draw_front`` is flat artwork; ``draw_face`` is how the pack looks from the front, which for a can or a bottle is that
artwork bent round a cylinder. Images are H×W×3 uint8 BGR. The same product and size give the same pixels.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from shelfhelp_ros.images import load_image
from shelfhelp_ros.simulation import artwork
from shelfhelp_ros.simulation.artwork import FACES, HEAVY_FACES, Layer, write
from shelfhelp_ros.simulation.colours import mix, readable
from shelfhelp_ros.simulation.motifs import motif
from shelfhelp_ros.simulation.products import Colour, Product, make_products, products_from_folder

__all__ = [
    "Product",
    "draw_face",
    "draw_faces",
    "draw_front",
    "draw_side",
    "draw_wrap",
    "make_products",
    "products_from_folder",
]

Picture = npt.NDArray[np.uint8]
Area = tuple[float, float, float, float]

BADGES = ("NEW", "BIO", "-30%", "+20%", "0%", "100%", "Vegan", "No sugar", "Fair", "Top", "2 for 1", "Recipe", "A+")
LAYOUTS = 8
# A wrapped label shows its front twice, with a narrow strip of small print after each.
WRAP_FRONT = 0.36
NECK = 0.24
NECK_WIDTH = 0.42
PACKSHOT_PIXELS = 1024
# Photos of a pack that may stand turned: so many, from all round it.
SIDES = 3
PAPER = (252, 250, 244)


def draw_face(product: Product, size: int = 320, turned: float = 0.0) -> Picture:
    """The pack seen from straight in front, ``size`` pixels high: a packshot, fit to enrol the product with.

    Boxes and pouches fill the picture; cans fill it with the shading of a cylinder; bottles stand on a pale ground.
    ``turned``: share of a whole turn by which a can or bottle shows another side than its front.
    """
    if not _is_round(product):
        width = max(8, round(size * product.width / product.height))
        return draw_front(product, (width, size))
    return _draw_round(product, size, turned)


def draw_faces(product: Product, size: int = 320) -> list[Picture]:
    """The photos that the guide asks for: the front; of a can or bottle, which may stand turned, from all round it."""
    return [draw_face(product, size, side / SIDES) for side in range(SIDES if _is_round(product) else 1)]


def draw_front(product: Product, size: tuple[int, int]) -> Picture:
    """The flat artwork of the front, ``size`` = (width, height) pixels."""
    if product.packshot is not None:
        return cv2.resize(_packshot(str(product.packshot)), size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    rng = np.random.default_rng([product.style, 1])
    canvas = artwork.background(rng, size, product.base, product.second, product.accent)
    layout = int(rng.integers(LAYOUTS))
    _LAYOUTS[layout](canvas, product, _Print(product, rng))
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def draw_wrap(product: Product, size: tuple[int, int]) -> Picture:
    """The label that goes round a can or bottle, ``size`` = (width, height) pixels; a front starts at its left edge."""
    width, height = size
    front = draw_front(product, (round(width * WRAP_FRONT), height))
    strip = draw_side(product, (width // 2 - front.shape[1], height))
    half = np.hstack([front, strip])
    wrap = np.hstack([half, half])
    return np.ascontiguousarray(cv2.resize(wrap, size) if wrap.shape[1] != width else wrap).astype(np.uint8)


def draw_side(product: Product, size: tuple[int, int]) -> Picture:
    """The side of a pack: its colour, the name, small print, the nutrition table and the barcode."""
    rng = np.random.default_rng([product.style, 2])
    width, height = size
    ground = mix(product.base, product.second, float(rng.uniform(0, 0.5)))
    canvas = Image.new("RGB", size, ground)
    ink = readable(PAPER, ground)
    face = HEAVY_FACES[int(rng.integers(len(HEAVY_FACES)))]
    write(canvas, product.brand, face, (width * 0.1, height * 0.04, width * 0.9, height * 0.14), ink)
    write(canvas, product.flavour, face, (width * 0.12, height * 0.15, width * 0.88, height * 0.21), ink)
    artwork.small_print(canvas, rng, (width * 0.1, height * 0.24, width * 0.9, height * 0.5), ink, 8)
    artwork.nutrition_table(canvas, rng, (width * 0.1, height * 0.53, width * 0.9, height * 0.82))
    artwork.barcode(canvas, rng, (width * 0.2, height * 0.85, width * 0.8, height * 0.97))
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


@lru_cache(maxsize=128)
def _packshot(path: str) -> Picture:
    image = load_image(path)
    scale = PACKSHOT_PIXELS / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def label_span(product: Product) -> tuple[float, float]:
    """Bottom and top of the label of a can or bottle, as shares of its height."""
    if product.shape == "can":
        return 0.03, 0.97
    rng = np.random.default_rng([product.style, 4])
    return float(rng.uniform(0.06, 0.16)), float(rng.uniform(0.52, 0.66))


def bottle_colours(product: Product) -> tuple[Colour, Colour]:
    """The colour of a bottle's body (glass, plastic or what is in it) and of its cap, RGB."""
    rng = np.random.default_rng([product.style, 5])
    bodies = (product.flavour_colour, product.base, (235, 240, 245), (54, 34, 20), (28, 70, 40), (200, 220, 235))
    caps = (product.accent, product.second, (245, 245, 245), (30, 30, 34), (196, 160, 60))
    return bodies[int(rng.integers(len(bodies)))], caps[int(rng.integers(len(caps)))]


def bottle_profile(product: Product) -> list[tuple[float, float]]:
    """Radius and height of a bottle from foot to cap, as shares of the half width and of the height."""
    rng = np.random.default_rng([product.style, 6])
    shoulder = float(rng.uniform(0.66, 0.78))
    neck = float(rng.uniform(0.3, 0.5))
    waist = float(rng.uniform(0.9, 1.0))
    return [(0.92, 0.0), (1.0, 0.03), (1.0, 0.1), (waist, shoulder / 2), (1.0, shoulder - 0.06), (0.94, shoulder),
            (neck + 0.12, shoulder + 0.12), (neck, 0.9), (neck * 1.1, 0.905), (neck * 1.1, 1.0)]  # fmt: skip


def _is_round(product: Product) -> bool:
    return product.packshot is None and product.shape in ("can", "bottle")


def _draw_round(product: Product, size: int, turned: float) -> Picture:
    width = max(8, round(size * product.width / product.height))
    low, high = label_span(product)
    label_height = max(8, round(size * (high - low)))
    wrap = draw_wrap(product, (max(16, round(width * np.pi)), label_height))
    # Each column of the picture looks at its own angle of the cylinder; the front's middle faces the camera.
    across = np.clip((np.arange(width) + 0.5) / width * 2 - 1, -1, 1)
    angle = np.arcsin(across) / (2 * np.pi)
    columns = (((angle + WRAP_FRONT / 2 + turned) % 1.0) * wrap.shape[1]).astype(np.float32)
    map_x = np.tile(columns, (label_height, 1))
    map_y = np.tile(np.arange(label_height, dtype=np.float32)[:, None], (1, width))
    label = cv2.remap(wrap, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    if product.shape == "can":
        body = np.full((size, width, 3), 190, np.uint8)
    else:
        colour, cap = bottle_colours(product)
        body = np.full((size, width, 3), colour[::-1], np.uint8)
        body[: round(size * 0.1)] = cap[::-1]
    top = round(size * (1 - high))
    body[top : top + label_height] = label[: size - top]
    light = 0.55 + 0.5 * np.sqrt(1 - across**2) + 0.12 * np.exp(-((across + 0.4) ** 2) / 0.01)
    lit = np.clip(body * light[None, :, None], 0, 255).astype(np.uint8)
    return lit if product.shape == "can" else _cut_out(product, lit, across)


def _cut_out(product: Product, body: Picture, across: npt.NDArray[np.float64]) -> Picture:
    profile = np.array(bottle_profile(product))
    heights = 1 - (np.arange(len(body)) + 0.5) / len(body)
    radius = np.interp(heights, profile[:, 1], profile[:, 0])
    inside = np.abs(across)[None] <= radius[:, None]
    ground = np.full_like(body, 238)
    ground[inside] = body[inside]
    return ground


class _Print:
    """The typographic choices of one product line, shared by all flavours and sizes of the family."""

    def __init__(self, product: Product, rng: np.random.Generator) -> None:
        self.rng = rng
        self.brand_face = HEAVY_FACES[int(rng.integers(len(HEAVY_FACES)))]
        self.title_face = HEAVY_FACES[int(rng.integers(len(HEAVY_FACES)))]
        self.plain_face = FACES[int(rng.integers(len(FACES)))]
        self.slant = float(rng.choice([0, 0, 0.2, 0.35]))
        self.arch = float(rng.choice([0, 0, 0, 0.25, -0.25, 0.4]))
        self.turn = float(rng.choice([0, 0, 0, 6, -6, 12]))
        self.outlined = bool(rng.random() < 0.55)
        self.shadow = bool(rng.random() < 0.4)
        self.badge = BADGES[int(rng.integers(len(BADGES)))]
        self.has_badge = bool(rng.random() < 0.6)
        self.badge_spot = (float(rng.choice([0.16, 0.84])), float(rng.uniform(0.08, 0.9)))
        self.badge_size = float(rng.uniform(0.08, 0.16))
        self.variant = int(rng.integers(1000))
        self.size_spot = float(rng.choice([0.08, 0.92]))
        self.strip = bool(rng.random() < 0.35)
        self.banner = int(rng.integers(4))
        self.upper_title = bool(rng.random() < 0.4)
        self.ink = product.accent if rng.random() < 0.35 else (PAPER if rng.random() < 0.6 else (24, 20, 30))


def _picture(product: Product, style: _Print, side: float) -> Layer:
    return motif(product.motif, product.flavour_colour, style.variant, 96 if side < 110 else 192 if side < 260 else 384)


def _ground(canvas: Layer, area: Area) -> Colour:
    """Mean colour of the canvas below some text, so that the ink can be made to stand out."""
    box = (
        max(0, int(area[0])),
        max(0, int(area[1])),
        min(canvas.width, int(area[2]) + 1),
        min(canvas.height, int(area[3]) + 1),
    )
    red, green, blue = (int(v) for v in np.asarray(canvas.crop(box)).reshape(-1, 3).mean(0))
    return red, green, blue


def _area(canvas: Layer, left: float, top: float, right: float, bottom: float) -> Area:
    return left * canvas.width, top * canvas.height, right * canvas.width, bottom * canvas.height


def _brand(canvas: Layer, product: Product, style: _Print, area: Area) -> None:
    pen = ImageDraw.Draw(canvas)
    pad_x, pad_y = (area[2] - area[0]) * 0.08, (area[3] - area[1]) * 0.2
    frame = (area[0] - pad_x, area[1] - pad_y, area[2] + pad_x, area[3] + pad_y)
    if style.banner == 1:
        pen.ellipse(frame, fill=product.second, outline=product.accent, width=max(1, round(pad_y * 0.4)))
    elif style.banner == 2:
        pen.rounded_rectangle(frame, radius=pad_y * 1.5, fill=product.accent)
    elif style.banner == 3:
        pen.rectangle((0, frame[1], canvas.width, frame[3]), fill=product.second)
    ground = _ground(canvas, area)
    colour = readable(style.ink, ground)
    write(
        canvas,
        product.brand,
        style.brand_face,
        area,
        colour,
        slant=style.slant,
        shadow=style.shadow and style.banner == 0,
    )


def _title(canvas: Layer, product: Product, style: _Print, area: Area) -> None:
    text = product.title.upper() if style.upper_title else product.title
    ground = _ground(canvas, area)
    colour = readable(product.accent if style.outlined else style.ink, ground)
    rim = readable(PAPER, colour) if style.outlined else None
    write(
        canvas, text, style.title_face, area, colour, outline=rim, shadow=style.shadow, arch=style.arch, turn=style.turn
    )


def _flavour(canvas: Layer, product: Product, style: _Print, area: Area, banded: bool) -> None:
    if banded:
        pen = ImageDraw.Draw(canvas)
        pad = (area[3] - area[1]) * 0.25
        pen.rectangle((area[0] - 2 * pad, area[1] - pad, area[2] + 2 * pad, area[3] + pad), fill=product.flavour_colour)
    ground = _ground(canvas, area)
    write(
        canvas,
        product.flavour,
        style.title_face,
        area,
        readable(product.flavour_colour if not banded else PAPER, ground),
    )


def _claim(canvas: Layer, product: Product, style: _Print, area: Area) -> None:
    write(canvas, product.claim, style.plain_face, area, readable(style.ink, _ground(canvas, area)))


def _finish(canvas: Layer, product: Product, style: _Print) -> None:
    """What nearly every front carries at its edges: quantity, badge, nutrition strip, small print."""
    left = style.size_spot - 0.07 if style.size_spot < 0.5 else style.size_spot - 0.19
    area = _area(canvas, left, 0.93, left + 0.26, 0.975)
    write(canvas, product.quantity, "DejaVuSans-Bold", area, readable(style.ink, _ground(canvas, area)))
    if style.strip:
        pen = ImageDraw.Draw(canvas)
        start = 0.3 if style.size_spot < 0.5 else 0.06
        for index in range(5):
            box = _area(canvas, start + index * 0.09, 0.925, start + index * 0.09 + 0.075, 0.975)
            pen.rounded_rectangle(box, radius=canvas.width * 0.01, fill=(180, 216, 240), outline=(60, 90, 140))
    if style.has_badge:
        centre = (style.badge_spot[0] * canvas.width, style.badge_spot[1] * canvas.height)
        radius = style.badge_size * min(canvas.width, canvas.height)
        artwork.badge(canvas, style.rng, style.badge, centre, radius, product.accent)
    area = _area(canvas, 0.3, 0.9, 0.7, 0.915)
    artwork.small_print(canvas, style.rng, area, readable(style.ink, _ground(canvas, area)), 1)


def _layout_classic(canvas: Layer, product: Product, style: _Print) -> None:
    side = 0.62 * min(canvas.width * 1.1, canvas.height * 0.75)
    turn = float(style.rng.uniform(-15, 15))
    artwork.place(canvas, _picture(product, style, side), (canvas.width * 0.5, canvas.height * 0.68), side, turn)
    _brand(canvas, product, style, _area(canvas, 0.15, 0.05, 0.85, 0.15))
    _title(canvas, product, style, _area(canvas, 0.06, 0.19, 0.94, 0.38))
    _claim(canvas, product, style, _area(canvas, 0.2, 0.385, 0.8, 0.43))
    _flavour(canvas, product, style, _area(canvas, 0.18, 0.82, 0.82, 0.89), True)
    _finish(canvas, product, style)


def _layout_picture_top(canvas: Layer, product: Product, style: _Print) -> None:
    side = 0.6 * min(canvas.width, canvas.height)
    artwork.place(
        canvas,
        _picture(product, style, side),
        (canvas.width * float(style.rng.uniform(0.35, 0.65)), canvas.height * 0.27),
        side,
    )
    _title(canvas, product, style, _area(canvas, 0.06, 0.5, 0.94, 0.7))
    _brand(canvas, product, style, _area(canvas, 0.2, 0.04, 0.8, 0.12))
    _flavour(canvas, product, style, _area(canvas, 0.12, 0.72, 0.88, 0.8), False)
    _claim(canvas, product, style, _area(canvas, 0.25, 0.82, 0.75, 0.87))
    _finish(canvas, product, style)


def _layout_medallion(canvas: Layer, product: Product, style: _Print) -> None:
    for _ in range(6):
        spot = (float(style.rng.random()) * canvas.width, float(style.rng.random()) * canvas.height)
        side = float(style.rng.uniform(0.2, 0.4)) * canvas.width
        artwork.place(canvas, _picture(product, style, side), spot, side, float(style.rng.uniform(0, 360)))
    pen = ImageDraw.Draw(canvas)
    high = float(style.rng.uniform(0.2, 0.3))
    box = _area(canvas, 0.04, 0.5 - high, 0.96, 0.5 + high)
    pen.ellipse(box, fill=product.second, outline=product.accent, width=max(1, canvas.width // 40))
    _title(canvas, product, style, _area(canvas, 0.12, 0.44, 0.88, 0.58))
    _brand(canvas, product, style, _area(canvas, 0.22, 0.33, 0.78, 0.42))
    _flavour(canvas, product, style, _area(canvas, 0.24, 0.59, 0.76, 0.65), False)
    _claim(canvas, product, style, _area(canvas, 0.25, 0.8, 0.75, 0.86))
    _finish(canvas, product, style)


def _layout_column(canvas: Layer, product: Product, style: _Print) -> None:
    pen = ImageDraw.Draw(canvas)
    edge = float(style.rng.uniform(0.24, 0.36))
    pen.rectangle(_area(canvas, 0, 0, edge, 1), fill=product.second)
    tall = Image.new("RGB", (round(canvas.height * 0.9), max(4, round(canvas.width * edge * 0.8))), product.second)
    write(
        tall,
        product.brand,
        style.brand_face,
        (4, 2, tall.width - 4, tall.height - 2),
        readable(style.ink, product.second),
    )
    canvas.paste(tall.rotate(90, expand=True), (round(canvas.width * edge * 0.1), round(canvas.height * 0.05)))
    side = 0.58 * min(canvas.width, canvas.height)
    artwork.place(canvas, _picture(product, style, side), (canvas.width * (edge + 0.33), canvas.height * 0.62), side)
    _title(canvas, product, style, _area(canvas, edge + 0.04, 0.06, 0.97, 0.24))
    _flavour(canvas, product, style, _area(canvas, edge + 0.08, 0.27, 0.92, 0.34), True)
    _claim(canvas, product, style, _area(canvas, edge + 0.1, 0.84, 0.9, 0.89))
    _finish(canvas, product, style)


def _layout_diagonal(canvas: Layer, product: Product, style: _Print) -> None:
    pen = ImageDraw.Draw(canvas)
    low, high = sorted(float(v) for v in style.rng.uniform(0.25, 0.75, 2))
    width, height = canvas.size
    pen.polygon(
        [(0, height * high), (width, height * low), (width, height * (low + 0.24)), (0, height * (high + 0.24))],
        fill=product.second,
    )
    side = 0.52 * min(width * 1.1, height)
    artwork.place(canvas, _picture(product, style, side), (width * 0.68, height * 0.76), side, 10)
    middle = (low + high) / 2
    turn = float(np.degrees(np.arctan2((high - low) * height, width)))
    area = _area(canvas, 0.05, middle - 0.02, 0.95, middle + 0.24)
    text = product.title.upper() if style.upper_title else product.title
    write(canvas, text, style.title_face, area, readable(style.ink, product.second), turn=turn, shadow=style.shadow)
    _brand(canvas, product, style, _area(canvas, 0.1, 0.05, 0.75, 0.16))
    _flavour(canvas, product, style, _area(canvas, 0.06, 0.84, 0.6, 0.9), True)
    _claim(canvas, product, style, _area(canvas, 0.1, 0.18, 0.6, 0.23))
    _finish(canvas, product, style)


def _layout_plain(canvas: Layer, product: Product, style: _Print) -> None:
    """A shop's own brand: one colour, a small picture, much room."""
    pen = ImageDraw.Draw(canvas)
    pen.rectangle(_area(canvas, 0, 0, 1, 1), fill=product.base)
    pen.rectangle(_area(canvas, 0, 0.86, 1, 1), fill=product.flavour_colour)
    side = 0.34 * min(canvas.width, canvas.height)
    artwork.place(
        canvas, _picture(product, style, side), (canvas.width * 0.5, canvas.height * 0.62), side, shadow=False
    )
    ink = readable(style.ink, product.base)
    write(canvas, product.brand, style.brand_face, _area(canvas, 0.08, 0.05, 0.6, 0.12), ink, align=0)
    write(canvas, product.title, style.plain_face, _area(canvas, 0.08, 0.16, 0.92, 0.3), ink, align=0)
    write(canvas, product.flavour, style.plain_face, _area(canvas, 0.08, 0.32, 0.8, 0.39), ink, align=0)
    _claim(canvas, product, style, _area(canvas, 0.08, 0.41, 0.6, 0.46))
    _finish(canvas, product, style)


def _layout_label(canvas: Layer, product: Product, style: _Print) -> None:
    """A framed paper label, as on jars."""
    pen = ImageDraw.Draw(canvas)
    paper = mix(PAPER, product.base, float(style.rng.uniform(0, 0.15)))
    box = _area(canvas, 0.08, 0.14, 0.92, 0.88)
    pen.rounded_rectangle(
        box,
        radius=canvas.width * float(style.rng.uniform(0, 0.12)),
        fill=paper,
        outline=product.accent,
        width=max(1, canvas.width // 50),
    )
    side = 0.4 * min(canvas.width, canvas.height)
    artwork.place(
        canvas, _picture(product, style, side), (canvas.width * 0.5, canvas.height * 0.58), side, shadow=False
    )
    _brand(canvas, product, style, _area(canvas, 0.2, 0.2, 0.8, 0.28))
    _title(canvas, product, style, _area(canvas, 0.14, 0.31, 0.86, 0.43))
    _flavour(canvas, product, style, _area(canvas, 0.2, 0.73, 0.8, 0.79), False)
    _claim(canvas, product, style, _area(canvas, 0.3, 0.81, 0.7, 0.85))
    _finish(canvas, product, style)


def _layout_pattern(canvas: Layer, product: Product, style: _Print) -> None:
    """The contents all over, with a plate for the words."""
    step = float(style.rng.uniform(0.22, 0.4)) * canvas.width
    rows = round(1.5 + canvas.height / step)
    for row in range(rows):
        for column in range(5):
            spot = ((column - 0.4 + 0.5 * (row % 2)) * step, (row + 0.1) * step)
            if spot[0] < canvas.width + step / 2:
                artwork.place(canvas, _picture(product, style, step), spot, step * 0.85, 20.0 * row - 30 * column)
    pen = ImageDraw.Draw(canvas)
    top = float(style.rng.uniform(0.12, 0.4))
    pen.rounded_rectangle(_area(canvas, 0.05, top, 0.95, top + 0.48), radius=canvas.width * 0.06, fill=product.second)
    _brand(canvas, product, style, _area(canvas, 0.2, top + 0.04, 0.8, top + 0.13))
    _title(canvas, product, style, _area(canvas, 0.1, top + 0.16, 0.9, top + 0.31))
    _flavour(canvas, product, style, _area(canvas, 0.16, top + 0.33, 0.84, top + 0.4), True)
    _claim(canvas, product, style, _area(canvas, 0.25, top + 0.42, 0.75, top + 0.465))
    _finish(canvas, product, style)


_LAYOUTS = (
    _layout_classic,
    _layout_picture_top,
    _layout_medallion,
    _layout_column,
    _layout_diagonal,
    _layout_plain,
    _layout_label,
    _layout_pattern,
)
