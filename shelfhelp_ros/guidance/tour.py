"""The way of the camera along and up the shelf while the product is searched for, and what of the shelf was seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Way = Literal["left", "right", "up", "down"]
Cell = tuple[int, int]

_STEPS: dict[Way, Cell] = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}
_WAYS = {step: way for way, step in _STEPS.items()}

#: So many views are swept over in one slow turn.
_SWEEP = 2


@dataclass(frozen=True)
class Turn:
    """One turn to ask for: its way, whether the view that it leads to was ``seen`` before, on the way here, and how
    many ``views`` on that is."""

    way: Way
    seen: bool
    views: int = 1


class Tour:
    """Goes from view to view in a spiral: down, to the left, up, along above, and down again, then farther out.

    A view is a turn's width of the shelf. None is gone over twice, but for one that lies on the way and is only passed.
    A picture is wider than high, and more of a shelf is below a camera that is worn than above it: so down comes first.
    Views in one line are swept over in one turn; when the shelf is gone over once more, they are looked at one by one.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._ways = _ways(columns, rows)
        self._turns = _swept(_turns(self._ways))
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

    def turn(self) -> int:
        """The next turn was asked for; returns how many views on it leads."""
        self._made += 1
        return self._turns[self._made - 1].views

    def undo(self) -> None:
        """The last turn was never heard."""
        self._made = max(0, self._made - 1)

    def back(self) -> None:
        """All of it was seen: go over it once more, back along the way."""
        steps = (_STEPS[way] for way in reversed(self._ways))
        self._ways = tuple(_WAYS[-across, -up] for across, up in steps)
        self._turns = _turns(self._ways)
        self._made = self._seen = 0


@lru_cache(maxsize=8)
def _ways(columns: int, rows: int) -> tuple[Way, ...]:
    """The way through every view, one turn's width after the other."""
    at: Cell = (0, 0)
    ways: list[Way] = []
    for cell in _order(columns, rows):
        while at != cell:
            across = (cell[0] > at[0]) - (cell[0] < at[0])
            step = (across, 0) if across else (0, 1 if cell[1] > at[1] else -1)
            at = (at[0] + step[0], at[1] + step[1])
            ways.append(_WAYS[step])
    return tuple(ways)


@lru_cache(maxsize=16)
def _turns(ways: tuple[Way, ...]) -> tuple[Turn, ...]:
    """A turn for each view on the way, and whether it was passed before."""
    at: Cell = (0, 0)
    seen, turns = {at}, []
    for way in ways:
        at = (at[0] + _STEPS[way][0], at[1] + _STEPS[way][1])
        turns.append(Turn(way, at in seen))
        seen.add(at)
    return tuple(turns)


@lru_cache(maxsize=8)
def _swept(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The same way with turns of one way after each other made as one."""
    swept: list[Turn] = []
    for turn in turns:
        last = swept[-1] if swept else None
        if last is not None and last.way == turn.way and last.views < _SWEEP:
            swept[-1] = Turn(turn.way, turn.seen, last.views + 1)
        else:
            swept.append(turn)
    return tuple(swept)


def _order(columns: int, rows: int) -> list[Cell]:
    """Every view but the first, in the order in which it is to be seen; (0, 0) is the one at the start."""
    left, right = -((columns - 1) // 2), columns // 2
    low, high = -(rows // 2), (rows - 1) // 2
    return [(x, y) for x, y in _spiral(max(columns, rows)) if left <= x <= right and low <= y <= high]


def _spiral(size: int) -> list[Cell]:
    """The cells of a square about (0, 0), without it, one beside the other."""
    cells, at, length = [], (0, 0), 1
    for side, step in enumerate(((0, -1), (-1, 0), (0, 1), (1, 0)) * size):
        for _ in range(length):
            at = (at[0] + step[0], at[1] + step[1])
            cells.append(at)
        length += side % 2
    return cells
