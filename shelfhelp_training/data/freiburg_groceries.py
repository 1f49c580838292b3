"""Freiburg Groceries (Jund et al. 2016): pictures of 25 kinds of groceries, with five published splits.

On disk: ``images/BEANS/BEANS0000.png …`` from the archive, and ``splits/train0.txt … test4.txt`` from the repository,
whose lines are ``BEANS/BEANS0008.png 15``. The labels are kinds, not products, so each picture counts as a product of
its own and the kind is its family.
"""

from __future__ import annotations

from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.labelled import LabelledCrop, broken_line, list_lines, usable

FORM = "KIND/KIND0000.png 0"


def freiburg_crops(folder: Path, part: str) -> list[LabelledCrop]:
    """The pictures of ``train0`` … ``train4``, ``test0`` … ``test4``; a part without a number is that of split 0."""
    part = part if part[-1:].isdigit() else f"{part}0"
    path = folder / "splits" / f"{part}.txt"
    images = folder / "images"
    if not images.is_dir():
        raise ShelfHelpError(f"{folder} holds no folder images; unpack freiburg_groceries_dataset.tar.gz there")
    crops = []
    for number, line in list_lines(path):
        name, _, label = line.rpartition(" ")
        kind, slash, _ = name.partition("/")
        if not slash or not label.isdigit():
            raise broken_line(path, number, line, FORM)
        crops.append(LabelledCrop(images / name, Path(name).stem, kind, Path(name).stem))
    return usable(crops, path)
