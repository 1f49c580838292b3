"""Batches for metric learning: so many products, so many views of each, with look-alikes among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.crop_sources import PACKSHOT, Crop, CropSource, load_crops
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.data.source_files import refuse_shared_crops
from shelfhelp_training.data.views import plain_view, random_view

Item = tuple[int, int]


class ProductBatches(Sampler[list[Item]]):
    """Batches of exactly P products with exactly K crops each, as pairs (index of the crop, seed of its view).

    Products are drawn source by source, with the sources' weights; a drawn product brings up to ``relatives`` others of
    its family with it. The K crops of a product come from as many photographs as there are, every other time with its
    packshot among them; where there are fewer than K crops, some come twice (their views differ).

    Args:
        crops: all crops.
        sources: number of the source of each crop.
        weights: share of each source.
        products: P.
        per_product: K.
        batches: batches an epoch.
        relatives: how many products of one family may follow the first.
        seed: of the draw; the epoch is added with `set_epoch`.
    """

    def __init__(
        self,
        crops: Sequence[Crop],
        sources: Sequence[int],
        weights: Sequence[float],
        products: int,
        per_product: int,
        batches: int,
        relatives: int = 2,
        seed: int = 0,
    ) -> None:
        self.photos: dict[str, dict[str, list[int]]] = {}
        self.families: dict[str, list[str]] = {}
        self.by_source: list[list[str]] = [[] for _ in weights]
        self.family: dict[str, str] = {}
        for index, (crop, source) in enumerate(zip(crops, sources, strict=True)):
            if crop.product not in self.photos:
                self.by_source[source].append(crop.product)
                self.families.setdefault(crop.family, []).append(crop.product)
                self.family[crop.product] = crop.family
            self.photos.setdefault(crop.product, {}).setdefault(crop.photo, []).append(index)
        self.weights = np.array([float(w) if self.by_source[i] else 0.0 for i, w in enumerate(weights)])
        drawn = sum(len(of) for of, weight in zip(self.by_source, self.weights, strict=True) if weight > 0)
        if drawn < products:
            raise ShelfHelpError(f"there are only {drawn} products, too few for batches of {products}")
        self.weights /= self.weights.sum()
        self.products, self.per_product, self.batches = products, per_product, batches
        self.relatives, self.seed, self.epoch = relatives, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Epochs differ, and an epoch is always the same."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Item]]:
        for batch in range(self.batches):
            rng = np.random.default_rng([self.seed, self.epoch, batch])
            chosen = self._products(rng)
            yield [(index, int(rng.integers(2**31))) for product in chosen for index in self._crops(product, rng)]

    def _products(self, rng: np.random.Generator) -> list[str]:
        chosen: dict[str, None] = {}
        while len(chosen) < self.products:
            of_source = self.by_source[int(rng.choice(len(self.by_source), p=self.weights))]
            first = of_source[int(rng.integers(len(of_source)))]
            family = [p for p in self.families[self.family[first]] if p != first]
            follow = rng.permutation(len(family))[: int(rng.integers(self.relatives + 1))]
            for product in [first, *(family[i] for i in follow)][: self.products - len(chosen)]:
                chosen[product] = None
        return list(chosen)

    def _crops(self, product: str, rng: np.random.Generator) -> list[int]:
        photos = self.photos[product]
        names = [list(photos)[i] for i in rng.permutation(len(photos))]
        if PACKSHOT in photos and rng.random() < 0.5:
            names = [PACKSHOT, *(name for name in names if name != PACKSHOT)]
        return [int(rng.choice(photos[names[k % len(names)]])) for k in range(self.per_product)]


class Views(Dataset[tuple[Tensor, int]]):
    """Views of crops: 3×height×width uint8 RGB and the number of the product. Items are (index, seed of the view)."""

    def __init__(self, crops: Sequence[Crop], labels: Sequence[int], height: int, width: int) -> None:
        self.crops, self.labels, self.height, self.width = crops, labels, height, width

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, item: Item) -> tuple[Tensor, int]:
        index, seed = item
        rng = np.random.default_rng(seed)
        neighbour = self.crops[int(rng.integers(len(self.crops)))].image
        view = random_view(self.crops[index], neighbour, self.height, self.width, rng)
        return as_tensor(view), self.labels[index]


class PlainViews(Dataset[tuple[Tensor, int]]):
    """Crops as the runtime sees them: 3×height×width uint8 RGB and the number of the crop."""

    def __init__(self, crops: Sequence[Crop], height: int, width: int) -> None:
        self.crops, self.height, self.width = crops, height, width

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return as_tensor(plain_view(self.crops[index], self.height, self.width)), index


def as_tensor(image: np.ndarray) -> Tensor:
    """H×W×3 BGR uint8 to 3×H×W RGB uint8."""
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))


class CropData(pl.LightningDataModule):
    """Batches of P×K views from ``train`` sources; plain crops of ``validate`` sources.

    Args:
        train, validate: sources of crops.
        root: data folder; None takes ``SHELFHELP_DATA``.
        height, width: pixels of a view.
        products, per_product: P and K.
        relatives: how many products of its family may follow a drawn product.
        batches_per_epoch: length of an epoch.
        workers: processes that make views.
        seed: of the batches and views.
    """

    def __init__(
        self,
        train: list[CropSource],
        validate: list[CropSource],
        root: Path | None = None,
        height: int = 192,
        width: int = 128,
        products: int = 16,
        per_product: int = 4,
        relatives: int = 2,
        batches_per_epoch: int = 100,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("height", "width")
        self.train_sources, self.validate_sources = train, validate
        self.root = root if root is not None else data_folder()
        self.height, self.width = height, width
        self.products, self.per_product, self.relatives = products, per_product, relatives
        self.batches_per_epoch, self.workers, self.seed = batches_per_epoch, workers, seed
        self.description = {"train": [source.summary for source in train], "validate": [s.summary for s in validate]}
        self.crops: list[Crop] = []
        self.held_out: list[Crop] = []
        self.sources: list[int] = []

    def setup(self, stage: str) -> None:
        if stage == "fit" and not self.crops:
            refuse_shared_crops(self.train_sources, self.validate_sources, self.root)
            for number, source in enumerate(tqdm(self.train_sources, desc="reading crops", unit="source")):
                found = load_crops(source, self.root)
                self.crops += found
                self.sources += [number] * len(found)
        if not self.held_out:
            self.held_out = [crop for source in self.validate_sources for crop in load_crops(source, self.root)]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Called anew every epoch (``reload_dataloaders_every_n_epochs``), so that the batches follow its number."""
        names = {product: number for number, product in enumerate(dict.fromkeys(c.product for c in self.crops))}
        weights = [source.weight for source in self.train_sources]
        batches = ProductBatches(
            self.crops, self.sources, weights, self.products, self.per_product, self.batches_per_epoch, self.relatives,
            self.seed,
        )  # fmt: skip
        batches.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        views = Views(self.crops, [names[crop.product] for crop in self.crops], self.height, self.width)
        return DataLoader(views, batch_sampler=batches, num_workers=self.workers)

    def plain_loader(self, limit: int = 2000) -> DataLoader[tuple[Tensor, int]]:
        """At most ``limit`` of the training crops, evenly spaced, as the runtime would see them."""
        rows = np.unique(np.linspace(0, len(self.crops) - 1, limit).round().astype(int))
        return DataLoader(PlainViews([self.crops[row] for row in rows], self.height, self.width), 32)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(PlainViews(self.held_out, self.height, self.width), 32)
