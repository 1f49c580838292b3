"""The way of the camera along and up the shelf while the product is searched for, and what of the shelf was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Way = Literal["left", "right", "up", "down"]
Cell = tuple[int, int]

_STEPS: dict[Cell, Way] = {(-1, 0): "left", (1, 0): "right", (0, 1): "up", (0, -1): "down"}


@dataclass(frozen=True)
class Turn:
    """One turn to ask for: its way, and whether the view that it leads to was ``seen`` before, on the way here."""

    way: Way
    seen: bool


class Tour:
    """Goes from view to view in a spiral: to the left, up, along above, down, and back along below, then farther out.

    A view is a turn's width of the shelf. None is gone over twice, but for one that lies on the way and is only passed.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._turns = _turns(columns, rows)
        self._made = 0
        self._seen = 0

    @property
    def next(self) -> Turn | None:
        """The turn to ask for now; None when there is no view left."""
        return self._turns[self._made] if self._made < len(self._turns) else None

    @property
    def looked(self) -> bool:
        """Whether the view that the camera has now was seen."""
        return self._seen > self._made or (self._made > 0 and self._turns[self._made - 1].seen)

    @property
    def complete(self) -> bool:
        """Whether the whole shelf was seen."""
        return self.next is None and self.looked

    def look(self) -> None:
        """The view that the camera has now was looked over."""
        self._seen = self._made + 1

    def turn(self) -> None:
        """The next turn was asked for."""
        self._made += 1

    def undo(self) -> None:
        """The last turn was never heard."""
        self._made = max(0, self._made - 1)

    def restart(self) -> None:
        """Go over the shelf once more, from the same view on as before."""
        self._made = self._seen = 0


@lru_cache(maxsize=8)
def _turns(columns: int, rows: int) -> tuple[Turn, ...]:
    at: Cell = (0, 0)
    seen, turns = {at}, []
    for cell in _order(columns, rows):
        while at != cell:
            across = (cell[0] > at[0]) - (cell[0] < at[0])
            step = (across, 0) if across else (0, 1 if cell[1] > at[1] else -1)
            at = (at[0] + step[0], at[1] + step[1])
            turns.append(Turn(_STEPS[step], at in seen))
            seen.add(at)
    return tuple(turns)


def _order(columns: int, rows: int) -> list[Cell]:
    """Every view but the first, in the order in which it is to be seen; (0, 0) is the one at the start."""
    left, right = -((columns - 1) // 2), columns // 2
    low, high = -(rows // 2), (rows - 1) // 2
    return [(x, y) for x, y in _spiral(max(columns, rows)) if left <= x <= right and low <= y <= high]


def _spiral(size: int) -> list[Cell]:
    """The cells of a square about (0, 0), without it, one beside the other."""
    cells, at, length = [], (0, 0), 1
    for side, step in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1)) * size):
        for _ in range(length):
            at = (at[0] + step[0], at[1] + step[1])
            cells.append(at)
        length += side % 2
    return cells
