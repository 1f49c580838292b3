"""The published collections by the name that a configuration gives them (``kind``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shelfhelp_training.data.boxes import BoxedPicture
from shelfhelp_training.data.d2s import d2s_crops, load_d2s
from shelfhelp_training.data.freiburg_groceries import freiburg_crops
from shelfhelp_training.data.grocery_store import grocery_store_crops
from shelfhelp_training.data.labelled import LabelledCrop
from shelfhelp_training.data.products10k import products10k_crops
from shelfhelp_training.data.sku110k import load_sku110k
from shelfhelp_training.data.stanford_products import stanford_crops

# Each takes the collection's folder and the name of a part.
BOXED: dict[str, Callable[[Path, str], list[BoxedPicture]]] = {"sku110k": load_sku110k, "d2s": load_d2s}
LABELLED: dict[str, Callable[[Path, str], list[LabelledCrop]]] = {
    "freiburg_groceries": freiburg_crops,
    "grocery_store": grocery_store_crops,
    "stanford_products": stanford_crops,
    "products10k": products10k_crops,
    "d2s": d2s_crops,
}


def chosen_crops(
    kind: str, folder: Path, part: str, only: Sequence[str] = (), without: Sequence[str] = (), limit: int = 0
) -> list[LabelledCrop]:
    """The crops of a part, chosen before any is decoded: these collections do not fit into memory as a whole.

    Args:
        kind, folder, part: which collection, where, and which of its parts.
        only, without: products to take alone, and to leave out.
        limit: at most so many crops a product, evenly spaced in their order (0: all).
    """
    products: dict[str, list[LabelledCrop]] = {}
    for crop in LABELLED[kind](folder, part):
        if crop.product not in without and (not only or crop.product in only):
            products.setdefault(crop.product, []).append(crop)
    kept = []
    for crops in products.values():
        rows = np.unique(np.linspace(0, len(crops) - 1, min(limit or len(crops), len(crops))).round().astype(int))
        kept += [crops[row] for row in rows]
    return kept
