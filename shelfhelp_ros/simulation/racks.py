"""A shelf reduced to the fronts of its packs, and the situations in which people look for one of them.

Metres, in the optical frame of a camera that stands before the shelf and looks straight at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

#: Number of the wanted product, and of the near-duplicate beside it.
WANTED, TWIN = 0, 1
_FINGER = 0.009
_SHELF_DEPTH = 0.25
_AWAY = 99.0
#: Half of the picture, as tangents across and down.
HALF_VIEW = np.array([0.60, 0.445])
#: Room between the rows of packs.
_HEADROOM = 0.05


@dataclass(frozen=True)
class Rack:
    """Fronts of packs: ``middles`` (N, 2) across and down, ``halves`` (N, 2) of their size, ``fronts`` (N,) depth,
    ``products`` (N,) numbers.
    """

    middles: Vector
    halves: Vector
    fronts: Vector
    products: npt.NDArray[np.int64]

    def point(self, pack: int) -> Vector:
        """Middle of the front of one pack (3,)."""
        return np.asarray(self._points[pack])

    def points(self, product: int) -> Vector:
        """Middles of the fronts of a product's packs (M, 3)."""
        return np.asarray(self._points[self.products == product])

    @cached_property
    def _points(self) -> Vector:
        return np.column_stack([self.middles, self.fronts])

    @cached_property
    def _nearest(self) -> float:
        return float(self.fronts.min())

    def moved(self, shift: Vector) -> Rack:
        """The wanted product, and whatever stands where it goes, change places across the shelf by ``shift`` (2,)."""
        middles = self.middles.copy()
        middles[self.products == WANTED] += shift
        return replace(self, middles=middles)

    def without(self, pack: int | None) -> Rack:
        """The same with one pack taken away; the others keep their indices."""
        if pack is None:
            return self
        middles = self.middles.copy()
        middles[pack] = _AWAY
        return replace(self, middles=middles)

    def slide(self, point: Vector, shift: Vector) -> tuple[Vector, int | None]:
        """Move a fingertip (3,) by a short ``shift``, axis by axis, as far as nothing is in its way: towards the person
        nothing ever is.

        Returns where it ends, and the index of the pack that it touches.
        """
        goal = point + shift
        if goal[2] < self._nearest - 0.02:
            return goal, None
        reached, touched = point.copy(), None
        for axis in (0, 1, 2):
            tried = reached.copy()
            tried[axis] = goal[axis]
            hit = self._inside(tried)
            if hit is None or (axis == 2 and shift[2] < 0):
                reached = tried
            else:
                touched = hit
                if axis == 2 and self._inside(reached) is None:
                    reached[2] = min(tried[2], self.fronts[hit] - _FINGER)
        reached[2] = min(reached[2], float(self.fronts.max()) + _SHELF_DEPTH)
        return reached, touched

    def _inside(self, point: Vector) -> int | None:
        within = (np.abs(self.middles - point[:2]) < self.halves + _FINGER / 2).all(axis=1)
        hits = np.flatnonzero(within & (point[2] > self.fronts - _FINGER + 1e-9))
        if not len(hits):
            return None
        return int(hits[np.argmin(np.abs(self.middles[hits] - point[:2]).max(axis=1))])


@dataclass(frozen=True)
class Situation:
    """How a shelf is stocked and where the person begins. Ranges are uniform; lengths metres, angles degrees.

    ``across`` and ``down`` are where the wanted product stands from the camera's axis. ``hand_ahead`` is how far the
    hand is from the camera as a share of the distance to the shelf (more than 1: among the packs), ``hand_across`` and
    ``hand_down`` where it is in the picture, as shares of half of it. ``look_away`` turns the camera off the product at
    first, ``weight`` of the arm: a raised arm moves slower and drifts more.
    """

    name: str
    width: tuple[float, float] = (0.09, 0.2)
    height: tuple[float, float] = (0.12, 0.28)
    gap: tuple[float, float] = (0.004, 0.015)
    distance: tuple[float, float] = (0.6, 0.9)
    across: tuple[float, float] = (-0.25, 0.25)
    down: tuple[float, float] = (-0.2, 0.2)
    hand_across: tuple[float, float] = (-0.6, 0.6)
    hand_down: tuple[float, float] = (0.1, 0.85)
    hand_ahead: tuple[float, float] = (0.4, 0.65)
    facings: int = 1
    perception: str = "plain"
    look_away: tuple[float, float] = (0.0, 0.0)
    weight: float = 1.0
    moves: bool = False
    before_product: bool = False


SITUATIONS = (
    Situation("mixed row"),
    Situation("narrow packs", width=(0.065, 0.085), height=(0.1, 0.2), gap=(0.002, 0.008)),
    Situation("near-duplicate beside it", perception="twin"),
    Situation("several facings", facings=3, width=(0.08, 0.14)),
    Situation("shelf too high", down=(-0.48, -0.38), distance=(0.7, 0.9), weight=1.4),
    Situation("bottom shelf", down=(0.3, 0.42)),
    Situation("far to the side", across=(0.28, 0.4), distance=(0.7, 0.9), hand_across=(-0.9, -0.4)),
    Situation("hand among the packs", hand_ahead=(1.0, 1.05), hand_across=(-0.5, 0.5), hand_down=(-0.5, 0.5)),
    Situation("out of view at first", look_away=(35.0, 0.0)),
    Situation("hand before the product", before_product=True),
    Situation("far from the shelf", distance=(0.9, 1.05), hand_ahead=(0.3, 0.5)),
    Situation("product moved", moves=True),
    Situation("not on this shelf", perception="absent"),
)


@dataclass(frozen=True)
class Scene:
    """One drawn situation. ``turn`` (2,) is where the camera looks at first: radians to the right and down; ``moves``:
    when and by how much (2,) the wanted product changes its place.
    """

    situation: Situation
    rack: Rack
    hand: Vector
    distance: float
    turn: Vector
    moves: tuple[float, Vector] | None

    @cached_property
    def present(self) -> bool:
        return bool((self.rack.products == WANTED).any())


def draw_scene(situation: Situation, rng: np.random.Generator) -> Scene:
    """A shelf of the situation, around the wanted product; the same generator state gives the same scene."""
    distance = float(rng.uniform(*situation.distance))
    mirrored = -1.0 if rng.random() < 0.5 else 1.0
    middle = np.array([mirrored * rng.uniform(*situation.across), rng.uniform(*situation.down)])
    rack = _stocked(situation, middle, distance, rng)
    ahead = distance * float(rng.uniform(*situation.hand_ahead))
    in_view = np.array([mirrored * rng.uniform(*situation.hand_across), rng.uniform(*situation.hand_down)])
    hand = np.array([*in_view * HALF_VIEW * min(ahead, distance), ahead])
    if situation.before_product:
        hand[:2] = middle * hand[2] / distance + rng.normal(0, 0.02, 2)
    if situation.hand_ahead[1] > 1:
        hand = _outside(rack, hand)
    turn = np.radians(np.array(situation.look_away)) * np.array([-mirrored, -1.0])
    moves = None
    if situation.moves:
        way = np.array([rng.choice([-1, 1]) * rng.uniform(0.12, 0.2), 0.0])
        moves = (float(rng.uniform(3.0, 8.0)), way)
    return Scene(situation, rack, hand, distance, turn, moves)


def _stocked(situation: Situation, middle: Vector, distance: float, rng: np.random.Generator) -> Rack:
    """Three rows of packs with the wanted one in the middle; a moving product leaves room beside it."""
    middles, halves, products = [], [], []
    number = TWIN + 1
    tallest = float(rng.uniform(*situation.height))
    for row in (-1, 0, 1):
        widths = rng.uniform(*situation.width, size=9)
        heights = tallest * rng.uniform(0.75, 1.0, size=9)
        left = -(widths[:4].sum() + widths[4] / 2)
        for column, (width, height) in enumerate(zip(widths, heights, strict=True)):
            gap = float(rng.uniform(*situation.gap))
            foot = middle[1] + row * (tallest + _HEADROOM) + tallest / 2
            across = left + width / 2
            left += width + gap
            wanted = row == 0 and abs(column - 4) <= situation.facings // 2
            twin = row == 0 and column == 5 and situation.perception == "twin"
            if row == 0 and situation.moves and column in (2, 3, 5, 6):
                continue
            middles.append((middle[0] + across, foot - height / 2))
            halves.append((width / 2, height / 2))
            products.append(WANTED if wanted else TWIN if twin else number)
            number += 1
    numbers = np.array(products)
    if situation.perception == "absent":
        numbers[numbers == WANTED] = number
    fronts = distance + rng.uniform(0.0, 0.015, len(numbers))
    return Rack(np.array(middles), np.array(halves), fronts, numbers)


def _outside(rack: Rack, hand: Vector) -> Vector:
    """A hand among the packs, in the gap above the nearest of them."""
    nearest = int(np.argmin(np.abs(rack.middles - hand[:2]).sum(axis=1)))
    above = rack.middles[nearest, 1] - rack.halves[nearest, 1] - _HEADROOM / 2
    return np.array([hand[0], above, hand[2]])
