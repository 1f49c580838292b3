"""Boxes, letterboxing, the pinhole camera, and the way from a box and a depth image to metres."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

BoxArray = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]


def area(boxes: BoxArray) -> npt.NDArray[np.float32]:
    """Areas of N×4 boxes in pixels²; inverted boxes have none."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def iou(first: BoxArray, second: BoxArray) -> npt.NDArray[np.float32]:
    """Intersection over union of every pair: N×4 and M×4 boxes give N×M values in 0..1."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    intersection = sides[..., 0] * sides[..., 1]
    union = area(first)[:, None] + area(second)[None, :] - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9), np.float32)


def overlap_of_smaller(first: BoxArray, second: BoxArray) -> npt.NDArray[np.float32]:
    """Intersection over the smaller area of every pair: N×4 and M×4 boxes give N×M values in 0..1."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    smaller = np.minimum(area(first)[:, None], area(second)[None, :])
    return np.asarray(sides[..., 0] * sides[..., 1] / np.maximum(smaller, 1e-9), np.float32)


def grown(box: BoxArray, share: float) -> BoxArray:
    """A box (4,) with ``share`` of its width and height more on each side."""
    aside = share * np.tile(box[2:] - box[:2], 2) * np.array([-1, -1, 1, 1], np.float32)
    return np.asarray(box + aside, np.float32)


def clip(boxes: BoxArray, width: int, height: int) -> BoxArray:
    """Boxes cut to the image 0..width, 0..height (pixels)."""
    limits = np.array([width, height, width, height], np.float32)
    return np.asarray(np.clip(boxes, 0, limits), np.float32)


@dataclass(frozen=True)
class Letterbox:
    """The map from a source image into a network's input: one scale, then centred padding.

    The same scale holds on both axes, so a box keeps its shape. All sizes are pixels. ``zoom`` below 1 makes the
    picture that much smaller than would fit, with padding all round.
    """

    source_width: int
    source_height: int
    target_width: int
    target_height: int
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if min(self.source_width, self.source_height, self.target_width, self.target_height) < 1:
            raise ValueError(f"letterbox sizes must be at least one pixel: {self}")
        if not 0 < self.zoom <= 1:
            raise ValueError(f"the zoom of a letterbox lies between 0 and 1: {self}")

    @property
    def scale(self) -> float:
        return self.zoom * min(self.target_width / self.source_width, self.target_height / self.source_height)

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height of the picture inside the padding, at least one pixel each."""
        return (
            max(1, round(self.source_width * self.scale)),
            max(1, round(self.source_height * self.scale)),
        )

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels left of and above the picture."""
        width, height = self.resized
        return (self.target_width - width) // 2, (self.target_height - height) // 2

    def _affine(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Per-axis factor and offset; the factor is that of the rounded size, so that edges map onto edges."""
        width, height = self.resized
        factor = np.array([width / self.source_width, height / self.source_height])
        return np.tile(factor, 2), np.tile(np.array(self.padding, float), 2)

    def apply(self, image: npt.NDArray[np.uint8], pad_value: int = 114) -> npt.NDArray[np.uint8]:
        """The H×W×C image, scaled and padded to the target size."""
        width, height = self.resized
        interpolation = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        canvas = np.full((self.target_height, self.target_width, *image.shape[2:]), pad_value, np.uint8)
        left, top = self.padding
        canvas[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=interpolation
        )
        return canvas

    def to_target(self, boxes: BoxArray) -> BoxArray:
        """Boxes of the source image in pixels of the padded one."""
        factor, offset = self._affine()
        return np.asarray(boxes * factor + offset, np.float32)

    def to_source(self, boxes: BoxArray) -> BoxArray:
        """Boxes of the padded image in pixels of the source image, cut to it."""
        factor, offset = self._affine()
        return clip(np.asarray((boxes - offset) / factor, np.float32), self.source_width, self.source_height)


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera: focal lengths and principal point in pixels. Lens distortion is left to image_proc."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        sized = self.width > 0 and self.height > 0
        if not (sized and self.fx > 0 and self.fy > 0 and np.isfinite([self.fx, self.fy, self.cx, self.cy]).all()):
            raise ValueError(f"camera_info is not calibrated: {self}")

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_degrees: float) -> CameraModel:
        """The camera of an image when only its horizontal field of view is known."""
        focal = width / (2 * np.tan(np.radians(horizontal_degrees) / 2))
        return cls(width, height, float(focal), float(focal), width / 2, height / 2)

    def scaled(self, width: int, height: int) -> CameraModel:
        """The same lens seen through an image of another size."""
        x, y = width / self.width, height / self.height
        return CameraModel(width, height, self.fx * x, self.fy * y, self.cx * x, self.cy * y)

    def bearing(self, u: float, v: float) -> Vector:
        """Unit vector (3,) from the camera through pixel (u, v)."""
        ray = np.array([(u - self.cx) / self.fx, (v - self.cy) / self.fy, 1.0])
        return np.asarray(ray / np.linalg.norm(ray))

    def deproject(self, u: float, v: float, depth: float) -> Vector:
        """Point (3,) in metres seen at pixel (u, v) with z = ``depth`` metres."""
        return np.array([(u - self.cx) * depth / self.fx, (v - self.cy) * depth / self.fy, depth])

    def project(self, point: Vector) -> tuple[float, float]:
        """Pixel (u, v) at which a point (3,) in front of the camera appears."""
        if point[2] <= 0:
            raise ValueError("the point lies behind the camera")
        return (
            float(point[0] / point[2] * self.fx + self.cx),
            float(point[1] / point[2] * self.fy + self.cy),
        )


# Depths are looked at on a grid of about this many pixels a side: a median needs no more.
_GRID = 32


def box_depth(
    box: npt.NDArray[np.float32], depth: npt.NDArray[np.float32], minimum_share: float = 0.1
) -> tuple[float, float] | None:
    """Depth of the thing in a box and its spread, both metres, from the middle half of the box.

    ``depth`` is H×W metres, aligned to the image of the box; NaN, infinite and non-positive values count as unknown.
    Returns None when less than ``minimum_share`` of the pixels are known. The spread is the scaled median absolute
    deviation, so a neighbour at another depth that reaches into the box does not move the answer.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    inset_x, inset_y = (x2 - x1) / 4, (y2 - y1) / 4
    patch = _sampled(depth, x1 + inset_x, y1 + inset_y, np.ceil(x2 - inset_x), np.ceil(y2 - inset_y))
    known = patch[np.isfinite(patch) & (patch > 0)]
    if patch.size == 0 or known.size < max(1, minimum_share * patch.size):
        return None
    middle = _median(known)
    return middle, 1.4826 * _median(np.abs(known - middle))


def front_depth(box: npt.NDArray[np.float32], depth: npt.NDArray[np.float32], share: float = 0.12) -> float | None:
    """The depth in metres than which ``share`` of a box (pixels of the H×W depth image) is nearer.

    Where something reaches into the box from the front, this is its depth. None without a known depth in the box.
    """
    patch = _sampled(depth, *(float(v) for v in box))
    known = patch[np.isfinite(patch) & (patch > 0)]
    if not known.size:
        return None
    rank = int(share * (known.size - 1))
    return float(np.partition(known, rank)[rank])


def _median(values: npt.NDArray[np.float32]) -> float:
    """numpy's median of N values, N at least 1, in half the time: this is called for every product in every frame."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, high)
    upper = float(ordered[high])
    return upper if low == high else (float(ordered[:high].max()) + upper) / 2


def _sampled(
    depth: npt.NDArray[np.float32], left: float, top: float, right: float, bottom: float
) -> npt.NDArray[np.float32]:
    """Depths of a window (pixels, cut to the H×W image), every so many pixels where it is large."""
    height, width = depth.shape[:2]
    rows = slice(int(max(0, top)), int(max(0, min(height, bottom))))
    columns = slice(int(max(0, left)), int(max(0, min(width, right))))
    patch = depth[rows, columns]
    down, across = (max(1, side // _GRID) for side in patch.shape[:2])
    return np.asarray(patch[::down, ::across], np.float32)


def position_at(
    box: npt.NDArray[np.float32], distance: float, camera: CameraModel, spread: float = 0.0
) -> tuple[Vector, npt.NDArray[np.float64]]:
    """Position (3,) in metres of a thing in a box at z = ``distance`` metres, and its 3×3 covariance in metres².

    The covariance has the depth's ``spread`` along the ray (at least 1 % of the distance, a stereo camera's floor) and
    a tenth of the box across it.
    """
    u, v = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    ray = camera.bearing(u, v)
    along = max(spread, 0.01 * distance)
    across_x = 0.1 * float(box[2] - box[0]) * distance / camera.fx
    across_y = 0.1 * float(box[3] - box[1]) * distance / camera.fy
    covariance = along**2 * np.outer(ray, ray) + np.diag([across_x**2, across_y**2, 0.0])
    return camera.deproject(u, v, distance), covariance


def size_at(box: npt.NDArray[np.float32], distance: float, camera: CameraModel) -> tuple[float, float]:
    """Width and height in metres of a flat thing that fills a box at z = ``distance`` metres and faces the camera."""
    return float(box[2] - box[0]) * distance / camera.fx, float(box[3] - box[1]) * distance / camera.fy
