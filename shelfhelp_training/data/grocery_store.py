"""Grocery Store (Klasson et al. 2019): in-store photographs of 81 products and an iconic picture of each.

On disk, as in the repository's folder ``dataset``: ``train.txt``, ``val.txt``, ``test.txt`` with lines
``train/Fruit/Apple/Golden-Delicious/Golden-Delicious_001.jpg, 0, 0`` (file, fine label, coarse label), ``classes.csv``
with a name for each label and the path of each iconic picture. The product is in the middle of its photograph.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.labelled import LabelledCrop, broken_line, list_lines, usable

FORM = "part/…/Name_001.jpg, fine label, coarse label"
PARTS = ("train", "val", "test", "iconic")
PACKSHOT = "packshot"


@dataclass(frozen=True)
class GroceryClass:
    """A product: its name, that of its coarse class, and its iconic picture."""

    name: str
    coarse: str
    iconic: Path


def grocery_store_crops(folder: Path, part: str) -> list[LabelledCrop]:
    """The photographs of one part, or the ``iconic`` pictures; family is the coarse class."""
    if part not in PARTS:
        raise ShelfHelpError(f"the Grocery Store collection has no part {part}; known: {', '.join(PARTS)}")
    classes = grocery_classes(folder)
    if part == "iconic":
        return usable(
            (LabelledCrop(c.iconic, c.name, c.coarse, PACKSHOT) for c in classes.values()), folder / "classes.csv"
        )
    path = folder / f"{part}.txt"
    crops = []
    for number, line in list_lines(path):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 3 or not fields[1].isdigit() or int(fields[1]) not in classes:
            raise broken_line(path, number, line, FORM)
        product = classes[int(fields[1])]
        crops.append(LabelledCrop(folder / fields[0], product.name, product.coarse, Path(fields[0]).stem))
    return usable(crops, path)


def grocery_classes(folder: Path) -> dict[int, GroceryClass]:
    """The products by their fine label. Raises ShelfHelpError when ``classes.csv`` is missing or of another form."""
    path = folder / "classes.csv"
    lines = dict(list_lines(path))
    classes = {}
    for row in csv.DictReader(lines.values()):
        try:
            # The paths in the file start with a slash.
            iconic = folder / row["Iconic Image Path (str)"].lstrip("/")
            label = int(row["Class ID (int)"])
            classes[label] = GroceryClass(row["Class Name (str)"], row["Coarse Class Name (str)"], iconic)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ShelfHelpError(f"{path} is not the collection's list of classes: {error!r}") from error
    if not classes:
        raise ShelfHelpError(f"{path} names no class")
    return classes
