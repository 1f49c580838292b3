"""What packs are printed with: grounds, lettering, badges, tables and barcodes.

Everything is drawn with Pillow and the typefaces that matplotlib brings along, so the same seed gives the same print on
every machine with the same versions. Layers are RGB or RGBA Pillow images; colours are RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.colours import readable
from shelfhelp_ros.simulation.products import Colour

Layer = Image.Image
Floats = npt.NDArray[Any]

FACES = (
    "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic",
    "DejaVuSerif", "DejaVuSansMono-Bold", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic",
    "cmb10", "cmss10", "cmtt10",
)  # fmt: skip
HEAVY_FACES = tuple(face for face in FACES if "Bol" in face or face == "cmb10")
LETTER_HEIGHT = 72
FINE_HEIGHT = 18


@lru_cache(maxsize=1)
def font_folder() -> Path:
    """The folder of typefaces; ShelfHelpError when matplotlib, which brings them, is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise ShelfHelpError("drawing packs needs matplotlib; install it with: pip install 'shelfhelp[sim]'") from error
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@lru_cache(maxsize=256)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_folder() / f"{face}.ttf"), size)


@lru_cache(maxsize=1024)
def lettering(text: str, face: str, stroke: int = 0, height: int = LETTER_HEIGHT) -> Layer:
    """The text as an L mask, cut to its ink; ``height`` of the letters and the thickening ``stroke`` are pixels."""
    font = _font(face, height)
    left, top, right, bottom = (round(v) for v in font.getbbox(text, stroke_width=stroke))
    mask = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, stroke_width=stroke)
    return mask


def write(
    canvas: Layer, text: str, face: str, box: tuple[float, float, float, float], colour: Colour, *,
    outline: Colour | None = None, shadow: bool = False, slant: float = 0.0, arch: float = 0.0, turn: float = 0.0,
    align: float = 0.5, fine: bool = False,
) -> None:  # fmt: skip
    """Set text as large as it goes into ``box`` (left, top, right, bottom in pixels), stretched by at most a quarter.

    ``slant`` shears, ``arch`` bends (share of the height), ``turn`` rotates (degrees); ``align`` 0..1 is left to right;
    ``fine`` print is drawn with small letters, which is quicker.
    """
    if not text:
        return
    mask = lettering(text, face, height=FINE_HEIGHT if fine else LETTER_HEIGHT)
    room_x, room_y = box[2] - box[0], box[3] - box[1]
    scale_y = room_y / mask.height
    scale_x = min(room_x / mask.width, scale_y * 1.25)
    scale_y = min(scale_y, scale_x * 1.5)
    size = (max(1, round(mask.width * scale_x)), max(1, round(mask.height * scale_y)))
    if turn:
        angle = np.radians(abs(turn))
        shrink = min(1.0, room_x / (size[0] * np.cos(angle) + size[1] * np.sin(angle)))
        size = (max(1, int(size[0] * shrink)), max(1, int(size[1] * shrink)))
    ink = _shaped(mask, size, slant, arch, turn)
    left = round(box[0] + (room_x - ink.width) * align)
    top = round(box[1] + (room_y - ink.height) / 2)
    weight = max(1, round(size[1] * 0.06))
    if shadow:
        canvas.paste((0, 0, 0), (left + weight, top + weight), ink.point(lambda v: v * 0.55))
    if outline is not None:
        rim = _shaped(
            lettering(text, face, 7), (round(size[0] * 1.0 + 2 * weight), size[1] + 2 * weight), slant, arch, turn
        )
        canvas.paste(outline, (left - (rim.width - ink.width) // 2, top - (rim.height - ink.height) // 2), rim)
    canvas.paste(colour, (left, top), ink)


def _shaped(mask: Layer, size: tuple[int, int], slant: float, arch: float, turn: float) -> Layer:
    resized = mask.resize(size, Image.Resampling.LANCZOS if size[1] < mask.height else Image.Resampling.BILINEAR)
    if slant:
        extra = round(abs(slant) * size[1])
        resized = resized.transform(
            (size[0] + extra, size[1]), Image.Transform.AFFINE,
            (1, slant, -slant * size[1] if slant > 0 else 0, 0, 1, 0), Image.Resampling.BILINEAR,
        )  # fmt: skip
    if arch:
        resized = _bent(resized, arch)
    if turn:
        resized = resized.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    return resized


def _bent(mask: Layer, arch: float) -> Layer:
    ink = np.asarray(mask)
    lift = round(abs(arch) * ink.shape[0])
    across = np.linspace(-1, 1, ink.shape[1])
    shift = np.round(lift * (across**2 if arch > 0 else 1 - across**2)).astype(int)
    bent = np.zeros((ink.shape[0] + lift, ink.shape[1]), np.uint8)
    rows = np.arange(ink.shape[0])[:, None] + shift[None]
    bent[rows, np.arange(ink.shape[1])[None]] = ink
    return Image.fromarray(bent)


def background(rng: np.random.Generator, size: tuple[int, int], base: Colour, second: Colour, accent: Colour) -> Layer:
    """A printed ground: plain, gradients, bands, waves, rays, dots or soft clouds in the pack's colours."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width, y / height
    cut = float(rng.uniform(0.25, 0.75))
    wave = cut + 0.08 * np.sin(x * float(rng.uniform(3, 16)) + float(rng.uniform(0, 6.28)))
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    share = np.asarray(pattern(rng, x, y, height / width, cut, wave), np.float32)[..., None]
    ground = np.array(base, np.float32) * (1 - share) + np.array(second, np.float32) * share
    if rng.random() < 0.35:
        ground[np.abs(y - wave) < rng.uniform(0.005, 0.03)] = accent
    if rng.random() < 0.5:
        ground *= (1.08 - 0.2 * y)[..., None]
    return Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))


def _rays(rng: np.random.Generator, x: Floats, y: Floats, ratio: float, cut: float, wave: Floats) -> Floats:
    angle = np.arctan2(y - cut, x - 0.5)
    return np.asarray(0.45 * (np.sin(angle * int(rng.integers(8, 22))) > 0))


def _stripes(rng: np.random.Generator, x: Floats, y: Floats, ratio: float, cut: float, wave: Floats) -> Floats:
    along = x * float(rng.uniform(-1, 1)) + y
    return np.asarray(0.5 * (np.sin(along * int(rng.integers(4, 12)) * 6.28) > 0.2))


def _dots(rng: np.random.Generator, x: Floats, y: Floats, ratio: float, cut: float, wave: Floats) -> Floats:
    count = int(rng.integers(5, 11))
    return np.asarray(0.5 * (np.hypot((x * count) % 1 - 0.5, (y * count * ratio) % 1 - 0.5) < 0.28))


def _disc(rng: np.random.Generator, x: Floats, y: Floats, ratio: float, cut: float, wave: Floats) -> Floats:
    return np.asarray(np.hypot((x - 0.5) * 1.1, (y - cut) * ratio) < rng.uniform(0.3, 0.55))


def _clouds(rng: np.random.Generator, x: Floats, y: Floats, ratio: float, cut: float, wave: Floats) -> Floats:
    coarse = Image.fromarray(rng.integers(0, 256, (6, 5), np.uint8))
    return np.asarray(np.asarray(coarse.resize(x.shape[::-1], Image.Resampling.BICUBIC)) / np.float32(255))


# Each gives the share of the second colour, 0..1, over the print: x and y run from 0 to 1.
_PATTERNS: tuple[Callable[[np.random.Generator, Floats, Floats, float, float, Floats], Floats], ...] = (
    lambda rng, x, y, ratio, cut, wave: np.zeros_like(x),
    lambda rng, x, y, ratio, cut, wave: y * np.float32(rng.uniform(0.3, 1)),
    lambda rng, x, y, ratio, cut, wave: np.clip(np.hypot(x - 0.5, (y - cut) * ratio) * 1.3, 0, 1),
    lambda rng, x, y, ratio, cut, wave: np.asarray(y > cut),
    lambda rng, x, y, ratio, cut, wave: np.asarray(y > wave),
    lambda rng, x, y, ratio, cut, wave: np.asarray(x * float(rng.uniform(-0.9, 0.9)) + y > cut),
    lambda rng, x, y, ratio, cut, wave: np.clip((np.abs(x - cut) - 0.18) * 30, 0, 1),
    _rays,
    _stripes,
    _dots,
    _disc,
    _clouds,
)


def place(
    canvas: Layer, picture: Layer, centre: tuple[float, float], side: float, turn: float = 0.0, shadow: bool = True
) -> None:
    """Paste an RGBA picture with its centre at ``centre`` (pixels), ``side`` pixels large, turned by degrees."""
    length = max(2, round(side))
    scaled = picture.resize((length, length), Image.Resampling.BILINEAR)
    if turn:
        scaled = scaled.rotate(turn, Image.Resampling.BILINEAR, expand=True)
    left, top = round(centre[0] - scaled.width / 2), round(centre[1] - scaled.height / 2)
    if shadow:
        dark = scaled.getchannel("A").filter(ImageFilter.BoxBlur(max(1, length // 40))).point(lambda v: v * 0.4)
        canvas.paste((10, 8, 6), (left + length // 30, top + length // 24), dark)
    canvas.paste(scaled, (left, top), scaled)


def badge(
    canvas: Layer, rng: np.random.Generator, text: str, centre: tuple[float, float], radius: float, colour: Colour
) -> None:
    """A round or star-shaped sticker with one word."""
    points = int(rng.integers(10, 22))
    rim = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.8, 0.92))
    angles = np.arange(2 * points) * np.pi / points
    radii = radius * np.where(np.arange(2 * points) % 2, rim, 1.0)
    pen = ImageDraw.Draw(canvas)
    pen.polygon(
        list(zip(centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles), strict=True)), fill=colour
    )
    if rng.random() < 0.5:
        inner = radius * 0.84
        box = [centre[0] - inner, centre[1] - inner, centre[0] + inner, centre[1] + inner]
        pen.ellipse(box, outline=readable((255, 255, 255), colour), width=max(1, round(radius / 18)))
    reach = radius * 0.68
    box4 = (centre[0] - reach, centre[1] - reach * 0.5, centre[0] + reach, centre[1] + reach * 0.5)
    write(
        canvas,
        text,
        HEAVY_FACES[int(rng.integers(len(HEAVY_FACES)))],
        box4,
        readable((255, 255, 255), colour),
        turn=float(rng.uniform(-15, 15)),
    )


def barcode(canvas: Layer, rng: np.random.Generator, box: tuple[float, float, float, float]) -> None:
    """Black bars on white."""
    pen = ImageDraw.Draw(canvas)
    pen.rectangle(box, fill=(255, 255, 255))
    x = box[0] + 3
    while x < box[2] - 3:
        bar = float(rng.integers(1, 4)) * (box[2] - box[0]) / 90
        pen.rectangle([x, box[1] + 2, x + bar, box[3] - 4], fill=(0, 0, 0))
        x += bar + float(rng.integers(1, 4)) * (box[2] - box[0]) / 90


def small_print(
    canvas: Layer, rng: np.random.Generator, box: tuple[float, float, float, float], colour: Colour, lines: int
) -> None:
    """Lines of text too small to be read from a shelf's distance."""
    step = (box[3] - box[1]) / lines
    for index in range(lines):
        words = " ".join(_WORDS[i] for i in rng.integers(len(_WORDS), size=int(rng.integers(5, 9))))
        top = box[1] + index * step
        write(canvas, words, "DejaVuSans", (box[0], top, box[2], top + step * 0.72), colour, align=0.0, fine=True)


def nutrition_table(canvas: Layer, rng: np.random.Generator, box: tuple[float, float, float, float]) -> None:
    """The table every pack carries on its side."""
    pen = ImageDraw.Draw(canvas)
    pen.rectangle(box, fill=(252, 252, 250), outline=(20, 20, 20))
    rows = ("Energy", "Fat", "Saturates", "Carbohydrate", "Sugars", "Fibre", "Protein", "Salt")
    step = (box[3] - box[1]) / (len(rows) + 1)
    for index, row in enumerate(rows):
        top = box[1] + (index + 0.5) * step
        line = f"{row}   {rng.uniform(0.1, 90):.1f} g"
        write(
            canvas,
            line,
            "DejaVuSans",
            (box[0] + 3, top, box[2] - 3, top + step * 0.6),
            (20, 20, 20),
            align=0.0,
            fine=True,
        )
        pen.line([box[0], top + step * 0.85, box[2], top + step * 0.85], fill=(120, 120, 120))


_WORDS = (
    "sugar", "wheat flour", "water", "salt", "may contain traces of nuts", "best before", "see lid", "glucose syrup",
    "store cool and dry", "E330", "acid", "natural flavouring", "whole milk powder", "vegetable oil", "emulsifier",
    "packed in", "keep frozen", "shake well", "serving suggestion", "recycle me", "vitamin C", "colour", "per 100 g",
    "portion", "ingredients", "cocoa butter", "produced for",
)  # fmt: skip
