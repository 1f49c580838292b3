"""Pictures of single products with their names, read from the collections or drawn.

A product's name starts with its source (``cornershop/Corona``), so that no two sources share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.boxes import PICTURES, load_split
from shelfhelp_training.data.named import read_coco, read_yolo
from shelfhelp_training.data.published import LABELLED, chosen_crops

UNNAMED = "__UNKNOWN"
# The "photograph" of clean pictures of single products, such as a user enrols.
PACKSHOT = "packshot"
# What is kept round a product's box, as a share of its sides: shelf and neighbours for views that miss the box.
SURROUNDING = 0.15
LONGEST = 288
# Height and width of the photographs of drawn products, in pixels.
DRAWN_PHOTO = (160, 120)
# In photographs of one product as a whole, the share of each side that the product takes.
CENTRAL = 0.7


@dataclass(frozen=True)
class Crop:
    """One picture of one product.

    Attributes:
        image: H×W×3 uint8 BGR, the product and some of what surrounds it.
        box: (4,) float32 xyxy, the product in pixels of ``image``.
        product: name of the product, unique over all sources.
        family: products that are easily taken for each other share it.
        photo: the photograph it comes from; crops of one photograph are no evidence for another.
    """

    image: ImageArray
    box: BoxArray
    product: str
    family: str
    photo: str

    @property
    def tight(self) -> ImageArray:
        """The product alone, as the runtime cuts it from a picture."""
        x1, y1, x2, y2 = self.box
        return self.image[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))]


Kind = Literal[
    "coco", "folders", "yolo", "instances", "pictures", "drawn",
    "freiburg_groceries", "grocery_store", "stanford_products", "products10k", "d2s",
]  # fmt: skip


@dataclass(frozen=True)
class CropSource:
    """One collection of crops.

    Attributes:
        kind: ``coco``: named boxes of a COCO file; ``folders``: a folder for each product, photographs with it in the
            middle; ``pictures``: one cut-out picture a product, named like it; ``yolo``: boxes whose class is the
            product; ``instances``: boxes that are each taken for a product of their own; ``drawn``: invented packs;
            the rest: folders of published collections (docs/data.md).
        path: file or folder, relative to the working folder or else to the data folder; unused for ``drawn``.
        name: what the products' names start with.
        weight: share of the batches' products, relative to the other sources.
        split, part: published split of which only this part is read (``coco``, ``yolo``); ``part`` alone is that of
            a published collection.
        central: share of each side the product takes (``folders``); 1 for crops.
        limit: at most so many crops a product, spread over the photographs (0: all); of ``instances``: in all.
        without: products to leave out, by folder or class name.
        only: if given, these products alone.
        count, seed: number of products and the seed they are drawn from (``drawn``).
        photos: so many photographs of each drawn product, each with its own light, angle and neighbour, instead of its
            clean face; another ``part`` has other photographs of the same products (``drawn``).
        border: the pictures have a white border that is cut off (``pictures``).
        smallest: boxes whose longer side has fewer pixels are left out (``coco``).
        shelves: if given, the photographs are dealt out to so many imagined shelves, and each of these counts as one
            photograph; with 1, crops are compared only with those of another source of the same name.
    """

    kind: Kind
    name: str
    path: str = ""
    weight: float = 1.0
    split: str | None = None
    part: str = "train"
    central: float = 1.0
    limit: int = 0
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    count: int = 0
    seed: int = 0
    photos: int = 0
    border: bool = False
    smallest: int = 16
    shelves: int = 0

    @property
    def summary(self) -> str:
        """The source in words, for a model's card."""
        parts = [self.path or f"{self.count} {self.kind} products of seed {self.seed}"]
        parts += [f"split {self.split}: {self.part}"] if self.split else []
        parts += [f"only {', '.join(self.only)}"] if self.only else []
        parts += [f"without {', '.join(self.without)}"] if self.without else []
        return f"{self.name}: {'; '.join(parts)}"


def load_crops(source: CropSource, root: Path) -> list[Crop]:
    """All crops of a source. Raises ShelfHelpError when its files are missing or hold no product."""
    crops = list(stream_crops(source, root))
    if not crops:
        raise ShelfHelpError(f"{find_source(source, root)} holds no crops of the kind {source.kind}")
    return crops


def stream_crops(source: CropSource, root: Path, skip: int = 0) -> Iterator[Crop]:
    """The crops of a source from number ``skip`` on, one after the other; those of published collections are decoded
    as they come. Raises ShelfHelpError when its files are missing.
    """
    path = find_source(source, root)
    if source.kind in LABELLED:
        crops: Iterable[Crop] = _read_published(source, path, skip)
    else:
        crops = (crop for crop in _READERS[source.kind](source, path) if _wanted(source, crop))
        if source.limit and source.kind != "instances":
            crops = _limited(list(crops), source.limit)
        crops = islice(crops, skip, None)
    for row, crop in enumerate(crops, skip):
        yield replace(crop, photo=f"shelf {row % source.shelves}") if source.shelves else crop


def find_source(source: CropSource, root: Path) -> Path:
    """Where a source's files are. Raises ShelfHelpError when they are missing."""
    path = Path(source.path) if Path(source.path).exists() else root / source.path
    if source.kind != "drawn" and not path.exists():
        raise ShelfHelpError(
            f"{path} does not exist; set SHELFHELP_DATA to the folder of photographs, or make it first"
        )
    return path


def cut(image: ImageArray, box: BoxArray, product: str, family: str, photo: str) -> Crop:
    """The box (4,) of a picture with its surrounding, shrunk to at most ``LONGEST`` pixels."""
    height, width = image.shape[:2]
    margin = np.tile((box[2:] - box[:2]) * SURROUNDING, 2) * np.array([-1, -1, 1, 1])
    x1, y1, x2, y2 = np.clip(np.round(box + margin), 0, [width, height, width, height]).astype(int)
    part = image[y1:y2, x1:x2]
    scale = min(1.0, LONGEST / max(part.shape[:2]))
    if scale < 1:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    factor = np.array([part.shape[1] / (x2 - x1), part.shape[0] / (y2 - y1)] * 2)
    limits = np.array([part.shape[1], part.shape[0]] * 2)
    inner = np.clip((box - [x1, y1, x1, y1]) * factor, 0, limits)
    return Crop(np.ascontiguousarray(part), np.asarray(inner, np.float32), product, family, photo)


def whole(image: ImageArray, product: str, family: str, photo: str, central: float = 1.0) -> Crop:
    """A picture that shows one product, which takes the ``central`` share of each side."""
    height, width = image.shape[:2]
    rest = (1 - central) / 2
    box = np.array([width * rest, height * rest, width * (1 - rest), height * (1 - rest)], np.float32)
    return cut(image, box, product, family, photo)


def _read_coco(source: CropSource, path: Path) -> Iterator[Crop]:
    stems = load_split(source.split, source.part) if source.split else None
    for picture in read_coco(path, stems):
        for box, name, family in zip(picture.boxes, picture.names, picture.families, strict=True):
            if name != UNNAMED and (box[2:] - box[:2]).max() >= source.smallest:
                family = f"{source.name}/{family or _brand(name)}"
                yield cut(picture.image, box, f"{source.name}/{name}", family, picture.stem)


def _read_folders(source: CropSource, path: Path) -> Iterator[Crop]:
    for folder in sorted(p for p in path.iterdir() if p.is_dir()):
        for file in _pictures(folder):
            family = f"{source.name}/{_brand(folder.name)}"
            yield whole(load_image(file), f"{source.name}/{folder.name}", family, file.stem, source.central)


def _read_pictures(source: CropSource, path: Path) -> Iterator[Crop]:
    for file in _pictures(path):
        image = load_image(file)
        image = without_border(image) if source.border else image
        yield whole(image, f"{source.name}/{file.stem}", f"{source.name}/{_brand(file.stem)}", PACKSHOT)


def _read_yolo(source: CropSource, path: Path) -> Iterator[Crop]:
    stems = load_split(source.split, source.part) if source.split else None
    for picture in read_yolo(path, stems):
        for box, name in zip(picture.boxes, picture.names, strict=True):
            if (box[2:] - box[:2]).min() >= 24:
                # Frames of one burst are named by consecutive numbers.
                burst = f"{source.name}/{picture.stem[:-2]}"
                yield cut(picture.image, box, f"{source.name}/{name}", source.name, burst)


def _read_instances(source: CropSource, path: Path) -> Iterator[Crop]:
    pictures = read_yolo(path)
    given = 0
    for index in np.random.default_rng(source.seed).permutation(len(pictures)):
        picture = pictures[index]
        for number, box in enumerate(picture.boxes):
            if source.limit and given >= source.limit:
                return
            if (box[2:] - box[:2]).min() >= 48:
                name = f"{source.name}/{picture.stem}-{number}"
                family = f"{source.name}/{picture.names[number]}"
                given += 1
                yield cut(picture.image, box, name, family, name)


def _read_drawn(source: CropSource, path: Path) -> Iterator[Crop]:
    from shelfhelp_ros.simulation.packs import draw_face, make_products
    from shelfhelp_training.data.views import random_view

    products = make_products(source.seed, source.count)
    faces = [draw_face(product, LONGEST) for product in products]
    for number, (product, face) in enumerate(zip(products, faces, strict=True)):
        clean = whole(face, f"{source.name}/{product.id}", f"{source.name}/{product.family}", PACKSHOT)
        if not source.photos:
            yield clean
        # The first photographs are older than parts are.
        part = b"" if source.part == "train" else source.part.encode()
        for photo in range(source.photos):
            rng = np.random.default_rng([source.seed, number, photo, *part])
            neighbour = faces[int(rng.integers(len(faces)))]
            view = random_view(clean, neighbour, *DRAWN_PHOTO, rng)
            yield whole(view, clean.product, clean.family, f"{product.id}-{part.decode()}{photo}")


def _read_published(source: CropSource, path: Path, skip: int = 0) -> Iterator[Crop]:
    for item in chosen_crops(source.kind, path, source.part, source.only, source.without, source.limit)[skip:]:
        image = load_image(item.path)
        image = without_border(image) if source.border else image
        names = f"{source.name}/{item.product}", f"{source.name}/{item.family}"
        if item.box is None:
            yield whole(image, *names, item.photo, source.central)
        else:
            yield cut(image, item.box, *names, item.photo)


_READERS: dict[str, Callable[[CropSource, Path], Iterator[Crop]]] = {
    "coco": _read_coco,
    "folders": _read_folders,
    "pictures": _read_pictures,
    "yolo": _read_yolo,
    "instances": _read_instances,
    "drawn": _read_drawn,
}


def without_border(image: ImageArray, white: int = 245) -> ImageArray:
    """The picture without the rows and columns at its edges that are all white."""
    inked = image.min(axis=2) < white
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        return image
    return np.ascontiguousarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _wanted(source: CropSource, crop: Crop) -> bool:
    short = crop.product.removeprefix(f"{source.name}/")
    return short not in source.without and (not source.only or short in source.only)


def _limited(crops: list[Crop], limit: int) -> list[Crop]:
    """At most ``limit`` crops of each product, evenly spaced in their order."""
    rows: dict[str, list[int]] = {}
    for row, crop in enumerate(crops):
        rows.setdefault(crop.product, []).append(row)
    kept = [of[i] for of in rows.values() for i in np.unique(np.linspace(0, len(of) - 1, limit).round().astype(int))]
    return [crops[row] for row in sorted(kept)]


def _brand(name: str) -> str:
    """The first word of ``CamelCase``, ``dashed-words`` or ``words_1``: near-duplicates mostly share their brand."""
    found: Any = re.match(r"[A-Z]{2,}|[A-Z]?[a-z0-9]+", name)
    return str(found.group(0)) if found else name


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
