"""Pictures that stand on both sides of a split: a training that has seen what it is tested on proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.fingerprints import Fingerprints, fingerprints, near_duplicates

SHOWN = 5


@dataclass(frozen=True)
class Leak:
    """Two near-duplicates on different sides: what each side is called, the files, and how many of 64 bits differ."""

    first_part: str
    first: Path
    second_part: str
    second: Path
    distance: int

    def __str__(self) -> str:
        return f"{self.first} ({self.first_part}) and {self.second} ({self.second_part})"


def find_leaks(
    first: Fingerprints, second: Fingerprints, first_part: str = "train", second_part: str = "test"
) -> list[Leak]:
    """The pictures of ``first`` that are, or nearly are, pictures of ``second``; the nearest pairs first.

    Found are copies of other size, compression or light, turned or cut by about two per cent (``fingerprints``); not
    those that are mirrored, or that show the same scene from elsewhere.
    """
    leaks = [
        Leak(first_part, first.paths[pair.first], second_part, second.paths[pair.second], pair.distance)
        for pair in near_duplicates(first, second)
    ]
    return sorted(leaks, key=lambda leak: (leak.distance, str(leak.first), str(leak.second)))


def refuse_leaks(train: Sequence[Path], held_out: Sequence[Path]) -> None:
    """ShelfHelpError that names the first pairs when training pictures are among the held-out ones."""
    leaks = find_leaks(fingerprints(train), fingerprints(held_out), "train", "validate")
    if leaks:
        raise ShelfHelpError(leak_summary(leaks) + "; split them by photo, product or burst (docs/data.md)")


def leak_summary(leaks: Sequence[Leak]) -> str:
    """How many pairs there are, and the first of them, in one line."""
    shown = ", ".join(str(leak) for leak in leaks[:SHOWN])
    rest = f", and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
    return f"{len(leaks)} pairs of near-duplicate pictures straddle the split: {shown}{rest}"
