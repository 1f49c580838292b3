"""Where things stand on a shelf: rows of packs with facings, gaps, stacks and price labels. No rendering here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.products import Product

BOARD = 0.025
RAIL_HEIGHT = 0.04


@dataclass(frozen=True)
class Layout:
    """How a shelf is stocked. Lengths are metres.

    ``facings`` is the range of equal packs side by side, ``gap`` the chance of an empty stretch after each product,
    ``behind`` the chance that a second pack stands behind, ``mixed`` the chance that a row takes products of any
    category, ``sorted_fronts`` how far packs stand back from the edge at most.
    """

    width: float = 1.2
    rows: int = 3
    depth: float = 0.35
    facings: tuple[int, int] = (1, 3)
    gap: float = 0.12
    behind: float = 0.25
    mixed: float = 0.4
    set_back: float = 0.03
    spacing: tuple[float, float] = (0.002, 0.012)
    turned: float = 4.0


LAYOUTS = {
    "small": Layout(width=0.8, rows=2, facings=(1, 2)),
    "normal": Layout(),
    "dense": Layout(width=1.6, rows=4, facings=(1, 4), gap=0.03, behind=0.5, spacing=(0.0, 0.006)),
    "sparse": Layout(width=1.0, rows=3, facings=(1, 1), gap=0.5, behind=0.1, spacing=(0.01, 0.05), turned=10.0),
    "untidy": Layout(width=1.2, rows=3, gap=0.25, set_back=0.1, turned=14.0, spacing=(0.0, 0.03)),
}


@dataclass(frozen=True)
class Pack:
    """One pack: ``foot`` is the middle of its bottom (3,), metres in the world, ``yaw`` its turn about z in radians."""

    product: Product
    foot: npt.NDArray[np.float64]
    yaw: float

    @property
    def front(self) -> npt.NDArray[np.float64]:
        """Middle of the side that faces the shopper (3,), metres in the world: what is seen and touched.

        A can or bottle shows its round side wherever its label points.
        """
        yaw = 0.0 if self.product.shape in ("can", "bottle") else self.yaw
        offset = np.array([np.sin(yaw), -np.cos(yaw), 0.0]) * self.product.depth / 2
        return np.asarray(self.foot + offset + np.array([0, 0, self.product.height / 2]))


@dataclass(frozen=True)
class Label:
    """A price label on the rail: ``middle`` is the middle of its lower edge (3,) in the world."""

    product: Product
    middle: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stock:
    """A stocked shelf. ``boards`` are the heights of the boards' upper faces, lowest first; ``top`` is the upper end.

    The world: x to the right along the shelf with 0 in its middle, y into the shelf with 0 at its front edge, z up with
    0 at the lowest board.
    """

    layout: Layout
    packs: tuple[Pack, ...]
    labels: tuple[Label, ...]
    boards: tuple[float, ...]
    top: float


def stock_shelf(products: list[Product], layout: Layout, seed: int) -> Stock:
    """Fill a shelf with products; the same arguments give the same shelf.

    Rows take one category each where there are enough products of it. Products keep their order in the list, so that
    near-duplicates, which follow each other, stand side by side. Raises ShelfHelpError without products.
    """
    if not products:
        raise ShelfHelpError("a shelf needs at least one product")
    rng = np.random.default_rng([seed, 0x51])
    packs: list[Pack] = []
    labels: list[Label] = []
    boards = []
    height = 0.0
    for pool in _pools(rng, products, layout):
        boards.append(height)
        tallest = max(product.height for product in pool)
        clearance = tallest + float(rng.uniform(0.03, 0.12))
        _fill_row(rng, pool, layout, height, clearance, packs, labels)
        height += clearance + BOARD
    return Stock(layout, tuple(packs), tuple(labels), tuple(boards), height)


def _pools(rng: np.random.Generator, products: list[Product], layout: Layout) -> list[list[Product]]:
    """The products of each row: every product is offered once before any is offered again."""
    by_category: dict[str, list[Product]] = {}
    for product in products:
        by_category.setdefault(product.category, []).append(product)
    categories = list(by_category)
    order = [categories[i] for i in rng.permutation(len(categories))]
    ordered = [product for category in order for product in by_category[category]]
    pools = []
    start = 0
    share = max(1, round(len(products) / layout.rows))
    for row in range(layout.rows):
        if rng.random() < layout.mixed:
            chosen = [ordered[(start + k) % len(ordered)] for k in range(share)]
        else:
            chosen = by_category[order[row % len(order)]]
        start += share
        pools.append(chosen)
    return pools


def _fill_row(
    rng: np.random.Generator, pool: list[Product], layout: Layout, height: float, clearance: float, packs: list[Pack],
    labels: list[Label],
) -> None:  # fmt: skip
    edge = layout.width / 2 - 0.015
    x = -edge + float(rng.uniform(0, 0.03))
    index = int(rng.integers(len(pool)))
    while True:
        product = pool[index % len(pool)]
        index += 1
        room = _room(product, layout)
        count = int(rng.integers(layout.facings[0], layout.facings[1] + 1))
        if x + room > edge:
            return
        start = x
        set_back = float(rng.uniform(0, layout.set_back))
        for _ in range(count):
            if x + room > edge:
                break
            _place_column(rng, product, layout, x + room / 2, set_back, height, clearance, packs)
            x += room + float(rng.uniform(*layout.spacing))
        labels.append(
            Label(product, np.array([(start + x) / 2 + rng.uniform(-0.02, 0.02), -0.007, height - RAIL_HEIGHT]))
        )
        if rng.random() < layout.gap:
            x += float(rng.uniform(0.04, 0.2))


def _room(product: Product, layout: Layout) -> float:
    """Width that a pack needs with the largest turn it may get."""
    if product.shape in ("can", "bottle"):
        return product.width
    turn = np.radians(layout.turned)
    return float(product.width * np.cos(turn) + product.depth * np.sin(turn))


def _place_column(
    rng: np.random.Generator, product: Product, layout: Layout, x: float, set_back: float, height: float,
    clearance: float, packs: list[Pack],
) -> None:  # fmt: skip
    """One facing: a pack, perhaps a stack of them, perhaps another behind."""
    half = _half_depth(product, layout)
    levels = 1
    if product.shape in ("box", "can") and rng.random() < 0.5:
        levels = int(np.clip((clearance - 0.01) // product.height, 1, 3))
    for level in range(levels):
        y = 0.006 + half + set_back + abs(float(rng.normal(0, 0.004)))
        foot = np.array([x, y, height + level * product.height])
        packs.append(Pack(product, foot, _turn(rng, product, layout)))
    y_behind = 0.012 + 3 * half + set_back + layout.set_back
    if rng.random() < layout.behind and y_behind + half < layout.depth:
        packs.append(Pack(product, np.array([x, y_behind, height]), _turn(rng, product, layout)))


def _half_depth(product: Product, layout: Layout) -> float:
    if product.shape in ("can", "bottle"):
        return product.depth / 2
    turn = np.radians(layout.turned)
    return float(product.depth * np.cos(turn) + product.width * np.sin(turn)) / 2


def _turn(rng: np.random.Generator, product: Product, layout: Layout) -> float:
    if product.shape in ("can", "bottle") and rng.random() < 0.25:
        return float(rng.uniform(-np.pi, np.pi))
    widest = np.radians(layout.turned)
    spread = widest / 2 if product.shape in ("box", "pouch") else np.radians(18)
    turn = float(rng.normal(0, spread))
    return float(np.clip(turn, -widest, widest)) if product.shape in ("box", "pouch") else turn
