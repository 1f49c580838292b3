"""What a real camera and a real shop do to a picture: exposure, colour cast, defocus, blur, noise, a pane of glass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Effects:
    """Amounts of each effect; the defaults are those of a good camera in good light.

    ``gains`` are factors on blue, green and red, ``gamma`` bends the tone curve, ``blur`` is a Gaussian sigma in
    pixels, ``motion`` a smear in pixels along ``motion_angle`` (radians), ``noise`` a standard deviation in grey
    levels, ``vignette`` and ``glass`` are 0..1.

    The rest is off by default. ``defocus`` is the diameter in pixels of the blur disc per dioptre that a point lies off
    the distance ``focus`` (metres); it needs the depth of the picture. ``aisle`` (0..1) mirrors the shelf opposite in
    a glass door, ``frost`` (0..1) is what has condensed on it. ``flicker`` (0..1) are the bands that lamps on
    alternating current leave in a rolling shutter, ``flicker_period`` apart, a share of the height. ``metered`` is the
    mean grey level that the camera exposes for, before the gains; 0 leaves the light as it is.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    blur: float = 0.4
    motion: float = 0.0
    motion_angle: float = 0.0
    noise: float = 1.5
    vignette: float = 0.1
    glass: float = 0.0
    seed: int = 0
    defocus: float = 0.0
    focus: float = 1.0
    aisle: float = 0.0
    frost: float = 0.0
    flicker: float = 0.0
    flicker_period: float = 0.5
    metered: float = 0.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Effects:
        """A random camera and shop: mostly decent, sometimes dark, blurred or behind glass."""
        exposure = float(np.exp(rng.normal(0.08, 0.2)))
        warmth = float(rng.normal(0, 0.08))
        return cls(
            gains=(exposure * (1 - warmth), exposure * float(rng.normal(1, 0.03)), exposure * (1 + warmth)),
            gamma=float(np.exp(rng.normal(-0.05, 0.16))),
            contrast=float(rng.uniform(0.75, 1.25)),
            saturation=float(rng.uniform(0.55, 1.2)),
            blur=float(rng.choice([0.0, 0.5, 0.9, 1.4], p=[0.35, 0.35, 0.2, 0.1])),
            motion=float(rng.uniform(3, 9)) if rng.random() < 0.2 else 0.0,
            motion_angle=float(rng.normal(0, 0.6)),
            noise=float(rng.exponential(4)),
            vignette=float(rng.uniform(0, 0.4)),
            glass=float(rng.uniform(0.15, 0.6)) if rng.random() < 0.2 else 0.0,
            seed=int(rng.integers(2**31)),
        )

    def apply(self, image: Picture, moment: int = 0, depth: Floats | None = None) -> Picture:
        """The H×W×3 BGR image as this camera would take it; ``moment`` varies the noise from frame to frame.

        ``depth`` H×W metres, NaN where nothing is near; without it nothing is out of focus.
        """
        height, width = image.shape[:2]
        # Bytes as long as that will do: the default effects take a few milliseconds so.
        values: npt.NDArray[Any] = image
        if self.glass:
            values = _behind_glass(image.astype(np.float32), self.glass, np.random.default_rng([self.seed, 99]))
        if self.aisle:
            values = _mirrored_aisle(values.astype(np.float32), self.aisle, np.random.default_rng([self.seed, 98]))
        if self.frost:
            values = _frosted(values.astype(np.float32), self.frost, np.random.default_rng([self.seed, 97]))
        if self.defocus and depth is not None:
            values = _defocused(values.astype(np.float32), depth, self.defocus, self.focus)
        if self.metered:
            values = values * np.float32(self.metered / max(float(values.mean()), 8.0))
        if self.saturation != 1.0 or self.contrast != 1.0 or self.gains != (1.0, 1.0, 1.0):
            values = np.asarray(cv2.transform(values.astype(np.float32), self._colour_matrix()), np.float32)
        if self.vignette:
            values = _times(values, _vignette(width, height, self.vignette))
        if self.flicker:
            values = values * _bands(height, self.flicker, self.flicker_period, self.seed)
        if self.blur:
            values = np.asarray(cv2.GaussianBlur(values, (0, 0), self.blur))
        if self.motion:
            values = np.asarray(cv2.filter2D(values, -1, _smear(self.motion, self.motion_angle)))
        if self.noise:
            values = np.asarray(cv2.add(values, self._noise(width, height, moment), dtype=cv2.CV_8U))
        pixels = np.asarray(np.clip(values, 0, 255), np.uint8)
        if self.gamma != 1.0:
            curve = (np.linspace(0, 1, 256) ** self.gamma * 255).astype(np.uint8)
            pixels = np.asarray(cv2.LUT(pixels, curve), np.uint8)
        return pixels

    def _colour_matrix(self) -> Floats:
        """Saturation, gains and contrast (about grey level 110) as one 3×4 matrix on BGR."""
        grey = np.tile(np.array([0.114, 0.587, 0.299]), (3, 1))
        matrix = (grey + (np.eye(3) - grey) * self.saturation) * np.array(self.gains)[:, None] * self.contrast
        return np.hstack([matrix, np.full((3, 1), 110 * (1 - self.contrast))]).astype(np.float32)

    def _noise(self, width: int, height: int, moment: int) -> npt.NDArray[np.int16]:
        """One field of noise serves every picture, shifted by another amount each time."""
        field = _noise_field(width, height, self.noise, self.seed)
        left, top = (int(v) for v in np.random.default_rng([self.seed, moment]).integers(0, NOISE_SHIFT, 2))
        return np.asarray(field[top : top + height, left : left + width])


NOISE_SHIFT = 64


@lru_cache(maxsize=4)
def _noise_field(width: int, height: int, strength: float, seed: int) -> npt.NDArray[np.int16]:
    shape = (height + NOISE_SHIFT, width + NOISE_SHIFT, 3)
    values = np.random.default_rng([seed, 5]).standard_normal(shape, np.float32)
    return np.asarray(np.rint(values * np.float32(strength)), np.int16)


@lru_cache(maxsize=4)
def _vignette(width: int, height: int, strength: float) -> Floats:
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    mask = 1 - strength * (x**2 + y**2) / 2
    return np.repeat(mask[..., None], 3, axis=2).astype(np.float32)


def _times(values: npt.NDArray[Any], mask: Floats) -> npt.NDArray[Any]:
    kind = cv2.CV_8U if values.dtype == np.uint8 else cv2.CV_32F
    return np.asarray(cv2.multiply(values, mask, dtype=kind))


def _smear(length: float, angle: float) -> Floats:
    size = int(np.ceil(length)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = (size - 1) / 2
    dx, dy = np.cos(angle) * middle, np.sin(angle) * middle
    start, end = (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy))
    cv2.line(kernel, start, end, 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _behind_glass(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Adds the soft mirror image of a bright room: lamps as streaks, broad light and dark areas."""
    height, width = values.shape[:2]
    room = np.asarray(
        cv2.resize(rng.uniform(0, 120, (4, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    )
    for _ in range(int(rng.integers(1, 4))):
        lamp = np.zeros((height, width), np.float32)
        middle = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        half = (int(rng.uniform(0.02, 0.3) * width), int(rng.uniform(0.005, 0.03) * height) + 1)
        cv2.ellipse(lamp, middle, half, float(rng.uniform(-40, 40)), 0, 360, 255.0, -1)
        room = room + np.asarray(cv2.GaussianBlur(lamp, (0, 0), float(rng.uniform(1, 6))))
    tint = np.array([1.0, float(rng.uniform(0.9, 1.0)), float(rng.uniform(0.8, 1.0))], np.float32)
    return np.asarray(
        values * (1 - 0.35 * strength) + (strength * 0.7 * np.clip(room, 0, 255))[..., None] * tint, np.float32
    )


def _mirrored_aisle(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Adds the shelf opposite as a glass door mirrors it: much like this one, turned round, further away and soft."""
    height, width = values.shape[:2]
    grow = float(rng.uniform(0.5, 0.9))
    shift = rng.uniform(-0.3, 0.3, 2) * [width, height] + [width / 2, height / 2]
    # Left and right change places, and the picture shrinks about its middle.
    matrix = np.array([[-grow, 0, shift[0] + grow * width / 2], [0, grow, shift[1] - grow * height / 2]])
    mirrored = cv2.warpAffine(values, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), max(0.8, width / 640 * float(rng.uniform(1, 5))))
    return np.asarray(values * (1 - 0.25 * strength) + 0.45 * strength * mirrored, np.float32)


def _frosted(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A pane that is misted over in patches: there the picture is soft and pale."""
    height, width = values.shape[:2]
    coarse = rng.uniform(-0.4, 1, (4, 5)).astype(np.float32)
    patch = np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)[..., None] * strength
    soft = cv2.GaussianBlur(values, (0, 0), max(1.0, width / 640 * float(rng.uniform(3, 7))))
    pale = soft * 0.65 + float(rng.uniform(55, 85))
    return np.asarray(values * (1 - patch) + pale * patch, np.float32)


def _defocused(values: Floats, depth: Floats, strength: float, focus: float) -> Floats:
    """Thin-lens blur by the circle of confusion (Potmesil and Chakravarty 1981), its diameter c = A·|1/z − 1/f| pixels.

    Every pixel lies between two of a few evenly blurred pictures.
    """
    metres = np.nan_to_num(depth, nan=FARTHEST).clip(0.05, FARTHEST)
    wanted = strength * np.abs(1 / metres - 1 / focus).astype(np.float32)
    # A hard edge of the map would show as one; the blur of what is near spreads over it.
    wanted = np.asarray(cv2.GaussianBlur(wanted, (0, 0), 1.5), np.float32)
    level = np.interp(wanted, DISCS, np.arange(len(DISCS))).astype(np.float32)
    result = np.zeros_like(values)
    for index, diameter in enumerate(DISCS):
        share = np.clip(1 - np.abs(level - index), 0, 1)
        if share.any():
            result += share[..., None] * (values if diameter <= 1 else cv2.filter2D(values, -1, _disc(diameter)))
    return result


FARTHEST = 6.0
# Diameters in pixels of the evenly blurred pictures.
DISCS = (1.0, 2.0, 3.5, 6.0, 10.0, 16.0)


@lru_cache(maxsize=8)
def _disc(diameter: float) -> Floats:
    """A disc with soft edges whose weights add up to one."""
    reach = int(np.ceil(diameter / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weights = np.clip(diameter / 2 + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(weights / weights.sum(), np.float32)


def _bands(height: int, strength: float, period: float, seed: int) -> Floats:
    """A factor for each row, H×1×1."""
    start = float(np.random.default_rng([seed, 96]).uniform(0, 2 * np.pi))
    wave = np.sin(np.arange(height) / height / period * 2 * np.pi + start)
    return (1 - strength * (0.5 + 0.5 * wave)).astype(np.float32)[:, None, None]
