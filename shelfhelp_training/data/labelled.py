"""What the readers of published collections give for training an encoder: where a product's picture is, undecoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_training.data.pictures import Skipped, picture_fault


@dataclass(frozen=True, eq=False)
class LabelledCrop:
    """One picture of one product: ``path`` of the file and the product's ``box`` (4,) xyxy in it, None for all of it.

    Attributes:
        product: name of the product as the collection gives it.
        family: what near-duplicates share: the collection's coarser label.
        photo: the photograph; crops of one are no evidence for another.
    """

    path: Path
    product: str
    family: str
    photo: str
    box: BoxArray | None = None


def list_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a list that are not empty. Raises ShelfHelpError when there is no such list, or none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ShelfHelpError(f"{path} cannot be read; give the folder that the collection was unpacked to") from error
    if not any(line.strip() for line in lines):
        raise ShelfHelpError(f"{path} is empty; unpack the collection again")
    return ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def broken_line(path: Path, number: int, line: str, form: str) -> ShelfHelpError:
    """The error for a line that is not of the published form."""
    return ShelfHelpError(f"{path}, line {number}: {line!r} is not of the form {form!r}")


def usable(crops: Iterable[LabelledCrop], source: Path) -> list[LabelledCrop]:
    """The crops whose files are whole; the others are counted and left out. Raises ShelfHelpError when none is left."""
    skipped = Skipped()
    faults: dict[Path, str | None] = {}
    kept = []
    for crop in crops:
        if crop.path not in faults:
            faults[crop.path] = picture_fault(crop.path)
        fault = faults[crop.path]
        if fault is None:
            kept.append(crop)
        else:
            skipped[f"{fault} picture" if fault != "no picture" else "no picture at all"] += 1
    if not kept:
        raise ShelfHelpError(f"none of the pictures that {source} lists can be read; unpack the collection beside it")
    skipped.warn(source)
    return kept
