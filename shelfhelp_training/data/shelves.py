"""The detector's training data: crops drawn from weighted sources, and whole held-out pictures for validation."""

from __future__ import annotations

import os
from argparse import ArgumentError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import Letterbox
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.augment import mosaic, random_crop, random_light
from shelfhelp_training.data.boxes import BoxedPicture, Sample, load_coco, load_split, load_yolo, read
from shelfhelp_training.data.drawn_shelves import draw_shelves
from shelfhelp_training.data.leaks import refuse_leaks
from shelfhelp_training.data.published import BOXED

Target = dict[str, Tensor]
# Bytes of decoded pictures that are kept in memory; larger collections are decoded as they are drawn.
KEPT_BYTES = 3_000_000_000


@dataclass(frozen=True)
class Source:
    """One collection of pictures to draw crops from.

    Attributes:
        path: a file or folder; relative paths start at the data folder, and $NAMES are taken from the environment.
        kind: ``coco`` (a JSON file), ``yolo`` (a folder), or the folder of a published collection: ``sku110k``,
            ``d2s``. Empty: by whether the path is a file or a folder. ``drawn``: ``count`` shelves of coloured
            rectangles, ``longest`` pixels square, drawn into the folder ``path`` (relative to the working folder).
        part: of a published collection or split; empty: ``train`` to draw from, ``test`` to validate on.
        weight: share of the crops, relative to the other sources.
        split: published split (``data/splits``) of which only that part is taken.
        longest: longer side in pixels to which larger pictures are shrunk when they are read.
        scale: range of the random factor on those pixels.
        mosaic: put four pictures together first (for small ones).
        first, last: take only pictures first ≤ number < last, in the order of the file; −1 means to the end.
        count, seed: how many shelves are drawn, and from what seed (``drawn``).
    """

    path: str
    kind: Literal["", "coco", "yolo", "sku110k", "d2s", "drawn"] = ""
    part: str = ""
    weight: float = 1.0
    split: str | None = None
    longest: int = 1280
    scale: tuple[float, float] = (0.35, 1.2)
    mosaic: bool = False
    first: int = 0
    last: int = -1
    count: int = 0
    seed: int = 0


def data_folder() -> Path:
    """The folder of photographs: SHELFHELP_DATA, else ``../shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("SHELFHELP_DATA", default))


def _chosen(source: Source) -> str:
    """Which pictures of a source are drawn, in words."""
    part = f"{source.split}: {source.part or 'train'}" if source.split else source.part or "all"
    if source.first or source.last >= 0:
        part += f", from {source.first} to {source.last if source.last >= 0 else 'the end'}"
    return part


def load_source(source: Source, root: Path, part: str = "train") -> list[BoxedPicture]:
    """The pictures of a source, without decoding them."""
    path = root / os.path.expandvars(source.path)
    if source.kind == "drawn":
        return load_coco(draw_shelves(Path(source.path), source.count, source.longest, source.seed))
    if not path.exists():
        raise ShelfHelpError(
            f"{path} does not exist; SHELFHELP_DATA names the folder of photographs, SHELFHELP_RENDERS that of renders"
        )
    part = source.part or part
    kind = source.kind or ("yolo" if path.is_dir() else "coco")
    stems = load_split(source.split, part) if source.split else None
    if kind in BOXED:
        pictures = BOXED[kind](path, part)
    else:
        pictures = load_yolo(path, stems) if kind == "yolo" else load_coco(path, stems)
    pictures = pictures[source.first : len(pictures) if source.last < 0 else source.last]
    if not pictures:
        raise ShelfHelpError(f"{path} has no pictures in the part {part}")
    return pictures


class ShelfCrops(Dataset[tuple[Tensor, Target]]):
    """Random augmented crops: 3×size×size float32 RGB in 0..1 and the detector's target.

    Item ``i`` of epoch ``epoch`` is always the same, whichever worker makes it. Pictures are decoded once and kept, as
    long as there is room (``KEPT_BYTES``).
    """

    def __init__(self, sources: list[Source], root: Path, size: int, length: int, seed: int) -> None:
        self.sources, self.size, self.length, self.seed, self.epoch = sources, size, length, seed, 0
        self.pictures = [load_source(s, root) for s in sources]
        self.kept: dict[tuple[int, int], Sample] = {}
        room = KEPT_BYTES
        for number, (source, pictures) in enumerate(zip(sources, self.pictures, strict=True)):
            for index, picture in enumerate(tqdm(pictures, desc=f"reading {source.path}", unit="picture")):
                if room <= 0:
                    break
                sample = self.kept[number, index] = read(picture, source.longest)
                room -= sample.image.nbytes
        self.shares = np.array([s.weight for s in sources]) / sum(s.weight for s in sources)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        number = int(rng.choice(len(self.sources), p=self.shares))
        source, count = self.sources[number], len(self.pictures[number])
        if source.mosaic:
            whole = mosaic([self._sample(number, int(i)) for i in rng.integers(count, size=4)])
        else:
            whole = self._sample(number, int(rng.integers(count)))
        crop = random_crop(whole, self.size, source.scale, rng)
        return to_tensor(random_light(crop.image, rng)), to_target(crop)

    def _sample(self, number: int, index: int) -> Sample:
        """Picture ``index`` of source ``number``."""
        kept = self.kept.get((number, index))
        return read(self.pictures[number][index], self.sources[number].longest) if kept is None else kept


class WholePictures(Dataset[tuple[Tensor, Target]]):
    """Held-out pictures letterboxed into ``size``×``size``."""

    def __init__(self, pictures: list[BoxedPicture], size: int) -> None:
        self.pictures, self.size = pictures, size

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        sample = read(self.pictures[index], 4 * self.size)
        height, width = sample.image.shape[:2]
        letterbox = Letterbox(width, height, self.size, self.size)
        boxed = Sample(
            letterbox.apply(sample.image), letterbox.to_target(sample.boxes), letterbox.to_target(sample.ignore)
        )  # fmt: skip
        return to_tensor(boxed.image), to_target(boxed)


def to_tensor(image: ImageArray) -> Tensor:
    """H×W×3 BGR uint8 to 3×H×W RGB float32 in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))).float() / 255


def to_target(sample: Sample) -> Target:
    """Boxes and ignored regions as the detector's losses take them."""
    return {
        "boxes": torch.from_numpy(sample.boxes.copy()),
        "labels": torch.zeros(len(sample.boxes), dtype=torch.int64),
        "ignore": torch.from_numpy(sample.ignore.copy()),
    }


def collate(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    """Images and targets as lists, as torchvision's detectors take them."""
    return [image for image, _ in batch], [target for _, target in batch]


class ShelfData(pl.LightningDataModule):
    """Crops from ``train`` sources; whole pictures of the ``validate`` sources' split part ``test``.

    Args:
        train: sources of crops.
        validate: sources of whole pictures.
        root: data folder; None takes ``SHELFHELP_DATA``.
        crop: side of a training crop in pixels, a multiple of 32.
        picture: side into which whole pictures are letterboxed.
        batch: crops per step.
        crops_per_epoch: length of an epoch.
        workers: processes that prepare crops.
        seed: of the crops.
    """

    def __init__(
        self,
        train: list[Source],
        validate: list[Source],
        root: Path | None = None,
        crop: int = 448,
        picture: int = 640,
        batch: int = 8,
        crops_per_epoch: int = 1024,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.train_sources, self.validate_sources = train, validate
        self.root = root if root is not None else data_folder()
        self.crop, self.picture, self.batch = crop, picture, batch
        self.crops_per_epoch, self.workers, self.seed = crops_per_epoch, workers, seed
        self.crops: ShelfCrops | None = None
        self.held_out: WholePictures | None = None

    @property
    def description(self) -> list[dict[str, Any]]:
        """The training sources as a model card lists them."""
        return [{"path": s.path, "share": s.weight, "pictures": _chosen(s)} for s in self.train_sources]

    def setup(self, stage: str) -> None:
        """Read what the stage needs. ShelfHelpError before a fit when a held-out picture is among those to train on."""
        if self.held_out is None:
            pictures = [p for source in self.validate_sources for p in load_source(source, self.root, "test")]
            self.held_out = WholePictures(pictures, self.picture)
        if stage == "fit" and self.crops is None:
            train = [p.path for source in self.train_sources for p in load_source(source, self.root)]
            refuse_leaks(train, [p.path for p in self.held_out.pictures])
            self.crops = ShelfCrops(self.train_sources, self.root, self.crop, self.crops_per_epoch, self.seed)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Target]]:
        """Called anew every epoch (``reload_dataloaders_every_n_epochs``), so that the workers see its number."""
        assert self.crops is not None
        self.crops.epoch = self.trainer.current_epoch if self.trainer else 0
        return DataLoader(
            self.crops, self.batch, collate_fn=collate, num_workers=self.workers, drop_last=True, prefetch_factor=None
            if self.workers == 0 else 4,
        )  # fmt: skip

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Target]]:
        assert self.held_out is not None
        return DataLoader(self.held_out, 1, collate_fn=collate)

    test_dataloader = val_dataloader


def read_shelf_data(config: Path) -> ShelfData:
    """The data module that a training's configuration describes under ``data``; its model is not made.

    Raises ShelfHelpError when the file describes none.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ShelfData, "data")
    try:
        raw = yaml.safe_load(config.read_text(encoding="utf-8"))
        chosen = parser.parse_object({"data": raw["data"]})
        data: ShelfData = parser.instantiate_classes(chosen).data
    except (OSError, yaml.YAMLError, KeyError, TypeError, ArgumentError) as error:
        raise ShelfHelpError(f"{config} does not say under `data` which shelves to train on: {error}") from error
    return data
