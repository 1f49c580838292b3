"""Random views of whole batches, on the device where the network is.

What SimCLR does to a picture is linear but for two clamps, and is done as such: cropping, resizing, mirroring and
blurring are one matrix from the left and one from the right, changes of brightness, contrast, saturation and hue and
the loss of colour are one 3×3 matrix. That takes a few matrix products a batch where libraries go through the picture
step by step. All of a picture's randomness is one row of uniform numbers drawn on the CPU: the same seed gives the
same views on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_ros.errors import ShelfHelpError

Preset = Literal["none", "supervised", "simclr", "byol_first", "byol_second", "weak", "strong", "metric"]
Range = tuple[float, float]

# The colour space in which brightness is apart from colour (NTSC 1953): rows Y, I, Q from red, green, blue.
YIQ = torch.tensor(
    [[0.2989, 0.5870, 0.1140], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float64
)
# Each grey has no colour: the rows of I and Q sum to nought.
YIQ[1:] -= YIQ[1:].mean(dim=1, keepdim=True)
YIQ[0] /= YIQ[0].sum()
# What shows beyond the picture's edge: the letterbox's grey.
PAD = 114 / 255
# Uniform numbers a picture's view is made of.
NUMBERS = 24


@dataclass(frozen=True)
class Recipe:
    """What may happen to a picture. Probabilities are shares of the pictures.

    Attributes:
        scale, ratio: share of the area that is cropped, and its width over its height; then resized to the output.
        shift: move by up to this share of the side.
        flip: probability of mirroring.
        turn, shear: degrees, up to.
        jitter: strengths of brightness, contrast, saturation (factors 1 ± strength) and hue (± share of the circle).
        jitter_chance: probability of the four.
        grey: probability of losing all colour.
        blur, sigma: probability of Gaussian blur, and its deviation in pixels of a picture 224 wide.
        solarise: probability of inverting what is brighter than half.
        posterise: probability of keeping four to seven bits a channel.
        erase, erased: probability of covering a rectangle with noiseless grey, and its share of the area.
    """

    scale: Range = (1.0, 1.0)
    ratio: Range = (1.0, 1.0)
    shift: float = 0.0
    flip: float = 0.0
    turn: float = 0.0
    shear: float = 0.0
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_chance: float = 1.0
    grey: float = 0.0
    blur: float = 0.0
    sigma: Range = (0.1, 2.0)
    solarise: float = 0.0
    posterise: float = 0.0
    erase: float = 0.0
    erased: Range = (0.02, 0.2)


_RATIO = (3 / 4, 4 / 3)
RECIPES: dict[str, Recipe] = {
    "none": Recipe(),
    "supervised": Recipe(scale=(0.25, 1.0), ratio=_RATIO, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.05)),
    # Chen et al., ICML 2020, appendix A, at strength 1.
    "simclr": Recipe(
        (0.08, 1.0), _RATIO, flip=0.5, jitter=(0.8, 0.8, 0.8, 0.2), jitter_chance=0.8, grey=0.2, blur=0.5
    ),
    # Grill et al., NeurIPS 2020, table 6: the two views differ in blur and solarisation.
    "byol_first": Recipe(
        (0.08, 1.0), _RATIO, flip=0.5, jitter=(0.4, 0.4, 0.2, 0.1), jitter_chance=0.8, grey=0.2, blur=1.0
    ),
    "byol_second": Recipe(
        (0.08, 1.0), _RATIO, flip=0.5, jitter=(0.4, 0.4, 0.2, 0.1), jitter_chance=0.8, grey=0.2, blur=0.1, solarise=0.2
    ),
    # Sohn et al., NeurIPS 2020, section 2.3; the strong one has what RandAugment does to most pictures, and cutout.
    "weak": Recipe(flip=0.5, shift=0.125),
    "strong": Recipe(
        (0.5, 1.0), _RATIO, shift=0.15, flip=0.5, turn=25, shear=15, jitter=(0.6, 0.6, 0.6, 0.1), blur=0.3,
        solarise=0.15, posterise=0.15, erase=0.9, erased=(0.05, 0.25),
    ),
    # Lettering and colour tell packs apart: nothing is mirrored and hues stay close to true.
    "metric": Recipe(
        (0.6, 1.0), (0.8, 1.25), turn=6, shear=4, jitter=(0.35, 0.35, 0.3, 0.02), blur=0.3, erase=0.4
    ),
}  # fmt: skip


class BatchAugmentation(nn.Module):
    """N×3×H×W uint8 RGB to N×3×S×S float: random views, normalised for a network.

    Args:
        preset: which changes (`RECIPES`).
        size: S.
        mean, std: of the network's pixels (0..1), a channel each.
        strength: factor on the strengths of colour changes, SimCLR's s.
        flip: probability of mirroring instead of the preset's.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        preset: Preset,
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        strength: float = 1.0,
        flip: float | None = None,
    ) -> None:
        super().__init__()
        if preset not in get_args(Preset):
            raise ShelfHelpError(f"there is no augmentation {preset}; choose from {', '.join(get_args(Preset))}")
        recipe = RECIPES[preset]
        brightness, contrast, saturation, hue = (strength * value for value in recipe.jitter)
        self.recipe = replace(recipe, jitter=(brightness, contrast, saturation, min(hue, 0.5)))
        if flip is not None:
            self.recipe = replace(self.recipe, flip=flip)
        self.preset, self.size = preset, size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            pixels = images.to(torch.float32).div_(255).contiguous()
            if self.preset == "none":
                return (_resized(pixels, self.size) - self.mean) / self.std
            chance = torch.rand(len(images), NUMBERS).to(images.device, non_blocking=True)
            return (self._changed(pixels, chance) - self.mean) / self.std

    def _changed(self, pixels: Tensor, chance: Tensor) -> Tensor:
        recipe = self.recipe
        sharpness = _blur(chance[:, 0], chance[:, 1], recipe, self.size) if recipe.blur else None
        view = (_turned if recipe.turn or recipe.shear else _cropped)(
            pixels, chance[:, 2:9], recipe, self.size, sharpness
        )
        view = _recoloured(view, chance[:, 9:15], recipe)
        if recipe.solarise:
            inverted = (_column(chance[:, 15]) < recipe.solarise) & (view >= 0.5)
            view = torch.where(inverted, 1 - view, view)
        if recipe.posterise:
            levels = 2.0 ** (4 + (_column(chance[:, 17]) * 4).floor())
            coarse = (view * (levels - 1)).round() / (levels - 1)
            view = torch.where(_column(chance[:, 16]) < recipe.posterise, coarse, view)
        if recipe.erase:
            view = _erased(view, chance[:, 18:], recipe)
        return view


def _column(values: Tensor) -> Tensor:
    """N values to N×1×1×1."""
    return values.view(-1, 1, 1, 1)


def _between(uniform: Tensor, limits: Range) -> Tensor:
    return limits[0] + uniform * (limits[1] - limits[0])


def _resized(pixels: Tensor, size: int) -> Tensor:
    if pixels.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def _window(chance: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left, top, width and height of the crop as shares of the picture's sides (N each); 5 numbers a picture."""
    area = _between(chance[:, 0], recipe.scale)
    ratio = _between(chance[:, 1], (math.log(recipe.ratio[0]), math.log(recipe.ratio[1]))).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    shift = (chance[:, 2:4] * 2 - 1) * recipe.shift
    left, top = chance[:, 2] * (1 - width), chance[:, 3] * (1 - height)
    return left + shift[:, 0], top + shift[:, 1], width, height


def _cropped(pixels: Tensor, chance: Tensor, recipe: Recipe, size: int, blur: Tensor | None) -> Tensor:
    """The crop, resized with antialiasing, perhaps mirrored and blurred: rows @ picture @ columns."""
    left, top, width, height = _window(chance, recipe)
    rows = _resampling(top, height, pixels.shape[2], size)
    columns = _resampling(left, width, pixels.shape[3], size)
    mirrored = (chance[:, 4] < recipe.flip).view(-1, 1, 1)
    columns = torch.where(mirrored, columns.flip(1), columns)
    if blur is not None:
        rows, columns = blur @ rows, blur @ columns
    number, _, tall, wide = pixels.shape
    across = torch.bmm((pixels - PAD).view(number, 3 * tall, wide), columns.transpose(1, 2)).view(number, 3, tall, size)
    return torch.matmul(rows.unsqueeze(1), across) + PAD


def _resampling(start: Tensor, extent: Tensor, length: int, size: int) -> Tensor:
    """N×size×length: each output pixel as a mean of input pixels, by the triangle filter Pillow calls bilinear.

    ``start`` and ``extent`` (N each) are shares of ``length``; beyond the picture there is nothing.
    """
    step = (extent * length / size).view(-1, 1, 1)
    places = torch.arange(size, device=start.device).view(1, -1, 1) + 0.5
    centre = (start * length).view(-1, 1, 1) + places * step - 0.5
    pixels = torch.arange(length, device=start.device).view(1, 1, -1)
    weights = (1 - (centre - pixels).abs() / step.clamp(min=1)).clamp_(min=0)
    inside = (centre > -0.5 - 1e-3) & (centre < length - 0.5 + 1e-3)
    return weights / weights.sum(dim=2, keepdim=True).clamp(min=1e-6) * inside


def _turned(pixels: Tensor, chance: Tensor, recipe: Recipe, size: int, blur: Tensor | None) -> Tensor:
    """The crop, turned and sheared; 7 numbers a picture."""
    left, top, width, height = _window(chance, recipe)
    angle = (chance[:, 5] * 2 - 1) * math.radians(recipe.turn)
    lean = torch.tan((chance[:, 6] * 2 - 1) * math.radians(recipe.shear))
    sign = torch.where(chance[:, 4] < recipe.flip, -1.0, 1.0)
    cosine, sine = angle.cos(), angle.sin()
    matrix = torch.stack(
        [
            torch.stack([sign * width * cosine, width * (lean * cosine - sine), 2 * left + width - 1], dim=1),
            torch.stack([sign * height * sine, height * (lean * sine + cosine), 2 * top + height - 1], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(matrix, [len(pixels), 3, size, size], align_corners=False)
    source = _resized(pixels, size) if min(pixels.shape[-2:]) > size else pixels
    view = F.grid_sample(source - PAD, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if blur is not None:
        view = torch.matmul(torch.matmul(blur.unsqueeze(1), view), blur.transpose(1, 2).unsqueeze(1))
    return view + PAD


def _blur(choice: Tensor, uniform: Tensor, recipe: Recipe, size: int) -> Tensor:
    """N×size×size: Gaussian blur along one axis, the identity where there is none."""
    sigma = _between(uniform, recipe.sigma) * size / 224
    sigma = torch.where(choice < recipe.blur, sigma, 1e-3).view(-1, 1, 1)
    places = torch.arange(size, device=choice.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((places.view(1, -1, 1) - places.view(1, 1, -1)) / sigma) ** 2)
    return weights / weights.sum(dim=2, keepdim=True)


def _recoloured(view: Tensor, chance: Tensor, recipe: Recipe) -> Tensor:
    """Other brightness, contrast, saturation and hue, or none; the order makes no difference. 6 numbers a picture."""
    if not any(recipe.jitter) and not recipe.grey:
        return view
    active = chance[:, 4] < recipe.jitter_chance
    brightness, contrast, saturation = (
        torch.where(active, (1 + (chance[:, k] * 2 - 1) * recipe.jitter[k]).clamp(min=0), 1.0) for k in range(3)
    )
    angle = torch.where(active, (chance[:, 3] * 2 - 1) * recipe.jitter[3] * 2 * math.pi, 0.0)
    saturation = torch.where(chance[:, 5] < recipe.grey, 0.0, saturation)
    return apply_colours(view, brightness, contrast, saturation, angle)


def apply_colours(view: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, angle: Tensor) -> Tensor:
    """N×3×H×W in 0..1 with N factors each, and hues turned by ``angle`` radians in the plane of colours (I, Q).

    Factors mean what they mean to torchvision, but nothing is cut to 0..1 between the steps, only at the end.
    """
    space = YIQ.to(view.device, view.dtype)
    cosine, sine = saturation * angle.cos(), saturation * angle.sin()
    colour = torch.zeros(len(view), 3, 3, device=view.device, dtype=view.dtype)
    colour[:, 0, 0] = 1
    colour[:, 1, 1], colour[:, 1, 2], colour[:, 2, 1], colour[:, 2, 2] = cosine, -sine, sine, cosine
    matrix = torch.linalg.inv(space) @ colour @ space
    grey = torch.einsum("c,nc->n", space[0], view.mean(dim=(2, 3)))
    factor = (brightness * contrast).view(-1, 1, 1)
    constant = (brightness * (1 - contrast) * grey).view(-1, 1, 1)
    changed = torch.baddbmm(constant, matrix * factor, view.flatten(2))
    return changed.clamp_(0, 1).view_as(view)


def _erased(view: Tensor, chance: Tensor, recipe: Recipe) -> Tensor:
    """A rectangle covered in one grey (Zhong et al., Random erasing, AAAI 2020); 6 numbers a picture."""
    size = view.shape[-1]
    area = _between(chance[:, 1], recipe.erased)
    ratio = _between(chance[:, 2], (math.log(0.3), math.log(1 / 0.3))).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    left, top = chance[:, 3] * (1 - width), chance[:, 4] * (1 - height)
    places = (torch.arange(size, device=view.device) + 0.5) / size
    across = (places >= left.view(-1, 1)) & (places < (left + width).view(-1, 1))
    down = (places >= top.view(-1, 1)) & (places < (top + height).view(-1, 1))
    covered = down.view(-1, 1, size, 1) & across.view(-1, 1, 1, size) & (_column(chance[:, 0]) < recipe.erase)
    return torch.where(covered, _column(chance[:, 5]), view)
