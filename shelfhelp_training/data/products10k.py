"""Products-10K (Bai et al. 2020): shop and customer pictures of 10,000 products, in about 360 groups.

On disk: ``train.csv`` and ``test.csv`` (or ``test_kaggletest.csv``) with the columns ``name,class,group`` and perhaps
more, and the pictures in the folders ``train`` and ``test``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.labelled import LabelledCrop, broken_line, list_lines, usable

LISTS = {"train": ("train.csv",), "test": ("test.csv", "test_kaggletest.csv")}
COLUMNS = ("name", "class", "group")


def products10k_crops(folder: Path, part: str) -> list[LabelledCrop]:
    """The pictures of one part; product and family are the numbers of class and group."""
    if part not in LISTS:
        raise ShelfHelpError(f"Products-10K has no part {part}; known: {', '.join(LISTS)}")
    path = next((folder / name for name in LISTS[part] if (folder / name).is_file()), folder / LISTS[part][0])
    lines = list_lines(path)
    first, text = next(lines)
    header = [column.strip() for column in text.split(",")]
    if not set(COLUMNS) <= set(header):
        raise broken_line(path, first, text, ",".join(COLUMNS))
    where = [header.index(column) for column in COLUMNS]
    crops = []
    for number, line in lines:
        fields = next(csv.reader([line]))
        if len(fields) != len(header) or not fields[where[1]].isdigit():
            raise broken_line(path, number, line, ",".join(header))
        name, product, group = (fields[index].strip() for index in where)
        crops.append(LabelledCrop(folder / part / name, product, group, Path(name).stem))
    return usable(crops, path)
