"""The shapes of a RetinaNet's anchors, how well they cover boxes, and shapes that cover them better.

The search follows Zlocha et al., "Improving RetinaNet for CT lesion detection with dense masks from weak RECIST labels"
(MICCAI 2019): differential evolution over scales and ratios, judged by overlaps with the boxes of the training data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from scipy.optimize import differential_evolution

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray

# Pixels between the anchors of P3 to P7; an anchor of scale 1 is four strides wide.
STRIDES = (8, 16, 32, 64, 128)
BASE = 4
# An anchor learns a box from this overlap on.
FOREGROUND = 0.5
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AnchorShapes:
    """Every position of a level with stride s has anchors of area (4·s·scale)² and of every ratio height / width.

    The defaults are RetinaNet's.
    """

    scales: tuple[float, ...] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        if not self.scales or not self.ratios or min(*self.scales, *self.ratios) <= 0:
            raise ValueError("anchors need scales and ratios above 0")

    @classmethod
    def spread(cls, scales: int, ratios: int) -> AnchorShapes:
        """So many scales within an octave and ratios from 1/2 to 2, evenly: RetinaNet's own for three of each."""
        return cls(
            tuple(2 ** (number / scales) for number in range(scales)),
            tuple(float(ratio) for ratio in np.geomspace(0.5, 2.0, ratios)) if ratios > 1 else (1.0,),
        )

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """For each level, the roots of its anchors' areas in pixels, rounded down as torchvision does."""
        return tuple(tuple(max(2, int(BASE * stride * scale)) for scale in self.scales) for stride in STRIDES)

    def cells(self, level: int) -> Doubles:
        """Widths and heights (K×2) of the anchors of a level, in pixels, rounded as torchvision rounds them."""
        sizes, roots = np.array(self.sizes[level], float), np.sqrt(np.array(self.ratios, float))
        shapes = np.stack([sizes[None] / roots[:, None], sizes[None] * roots[:, None]], axis=-1).reshape(-1, 2)
        rounded: Doubles = 2 * np.round(shapes / 2)
        return rounded

    def save(self, path: Path, comment: str) -> None:
        """Write the YAML that ``--model.anchors`` takes. Raises ShelfHelpError when the file cannot be written."""
        values = {name: [round(float(v), 4) for v in getattr(self, name)] for name in ("scales", "ratios")}
        lines = "".join(f"# {line}\n" for line in comment.splitlines())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(lines + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        except OSError as error:
            raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another path") from error


@dataclass(frozen=True)
class Coverage:
    """How well anchors cover boxes: ``recall``, the share of boxes that some anchor overlaps by IoU 0.5 or more, and
    ``overlap``, the mean IoU of a box with its best anchor."""

    recall: float
    overlap: float


def best_overlaps(boxes: BoxArray, shapes: AnchorShapes) -> Doubles:
    """The IoU of each box (N×4 xyxy pixels of the network's input) with its best anchor: N values.

    Of one shape the best anchor is the one whose centre is nearest in x and in y, so only those are looked at. Anchors
    beyond the picture's edge are not there; a box has its centre inside.
    """
    rows = boxes.astype(np.float64)
    sizes, centres = rows[:, 2:] - rows[:, :2], (rows[:, 2:] + rows[:, :2]) / 2
    best: Doubles = np.zeros(len(rows))
    for level, stride in enumerate(STRIDES):
        offset = np.abs(centres - np.round(centres / stride) * stride)[:, None]
        cells = shapes.cells(level)[None]
        # Along an axis, lengths a and b whose centres lie d apart share min(a, b, (a + b) / 2 - d).
        smaller = np.minimum(sizes[:, None], cells)
        shared = np.clip(np.minimum(smaller, (sizes[:, None] + cells) / 2 - offset), 0, None).prod(axis=-1)
        union = sizes.prod(axis=1)[:, None] + cells.prod(axis=-1) - shared
        best = np.maximum(best, (shared / union).max(axis=1))
    return best


def coverage(boxes: BoxArray, shapes: AnchorShapes) -> Coverage:
    """Over all boxes (N×4). Raises ShelfHelpError when there are none."""
    if not len(boxes):
        raise ShelfHelpError("the data hold no box to fit anchors to; check the sources of the configuration")
    best = best_overlaps(boxes, shapes)
    return Coverage(float((best >= FOREGROUND).mean()), float(best.mean()))


def fit_shapes(
    boxes: BoxArray,
    start: AnchorShapes | None = None,
    generations: int = 60,
    seed: int = 0,
    progress: Callable[[Coverage], None] = lambda _: None,
) -> AnchorShapes:
    """As many scales and ratios as ``start`` has that cover ``boxes`` (N×4) better, never worse.

    Recall comes first; the mean overlap decides between equals.

    Args:
        boxes: in pixels of the network's input.
        start: where the search begins; RetinaNet's own by default.
        generations: of the evolution.
        seed: of the evolution.
        progress: told the best coverage after every generation.
    """
    start = start or AnchorShapes()
    count = len(start.scales)
    coverage(boxes, start)  # refuses no boxes

    def shapes(logarithms: Doubles) -> AnchorShapes:
        values = np.exp(logarithms).round(4)
        return AnchorShapes(tuple(sorted(values[:count].tolist())), tuple(sorted(values[count:].tolist())))

    def cost(logarithms: Doubles) -> float:
        found = coverage(boxes, shapes(logarithms))
        return -(found.recall + 0.1 * found.overlap)

    first = np.log(np.array([*start.scales, *start.ratios]))
    bounds = [(np.log(0.25), np.log(2.6))] * count + [(np.log(0.2), np.log(5.0))] * len(start.ratios)
    low, high = np.array(bounds).T
    result = differential_evolution(
        cost,
        bounds,
        x0=np.clip(first, low, high),
        maxiter=generations,
        popsize=10,
        tol=1e-4,
        seed=seed,
        polish=False,
        callback=lambda best, convergence: progress(coverage(boxes, shapes(best))),
    )
    found = shapes(result.x)
    return found if cost(result.x) < cost(first) else start
