"""Stanford Online Products (Song et al. 2016): pictures of 22,634 things sold online, in 12 super-classes.

On disk, as the archive unpacks: ``Ebay_train.txt`` and ``Ebay_test.txt``, whose first line is ``image_id class_id
super_class_id path`` and whose others are like ``1 1 1 bicycle_final/111085122871_0.JPG``, beside the folders of
pictures. No product is in both lists.

For choosing settings without a look at the test products, the 11,318 training products are split once more: ``fit``
has 9,000 of them and ``validation`` the other 2,318, spread evenly over the list and so over the super-classes.
"""

from __future__ import annotations

from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.labelled import LabelledCrop, broken_line, list_lines, usable

HEADER = "image_id class_id super_class_id path"
PARTS = ("train", "test", "fit", "validation")
# Of so many training products this many are for validation.
VALIDATION = (2318, 11318)


def stanford_crops(folder: Path, part: str) -> list[LabelledCrop]:
    """The pictures of one part; product is the class's number, family the super-class's folder."""
    if part not in PARTS:
        raise ShelfHelpError(f"Stanford Online Products has no part {part}; known: {', '.join(PARTS)}")
    path = folder / f"Ebay_{'test' if part == 'test' else 'train'}.txt"
    lines = list_lines(path)
    first, header = next(lines)
    if header.split() != HEADER.split():
        raise broken_line(path, first, header, HEADER)
    crops = []
    for number, line in lines:
        fields = line.split(maxsplit=3)
        if len(fields) != 4 or not all(field.isdigit() for field in fields[:3]) or "/" not in fields[3]:
            raise broken_line(path, number, line, HEADER)
        file = Path(fields[3])
        crops.append(LabelledCrop(folder / file, fields[1], file.parts[0].removesuffix("_final"), file.stem))
    return usable(of_part(crops, part), path)


def of_part(crops: list[LabelledCrop], part: str) -> list[LabelledCrop]:
    """The crops of the products that belong to ``fit`` or ``validation``; of the other parts all."""
    if part in ("train", "test"):
        return crops
    products = list(dict.fromkeys(crop.product for crop in crops))
    some, every = VALIDATION
    held_out = {product for k, product in enumerate(products) if (k + 1) * some // every > k * some // every}
    return [crop for crop in crops if (crop.product in held_out) == (part == "validation")]
