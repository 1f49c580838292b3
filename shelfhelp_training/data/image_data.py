"""Batches of labelled and unlabelled pictures for every method that learns from whole pictures.

Pictures are decoded once (`pixel_store`) and read as bytes; what changes from epoch to epoch is done to whole batches
on the device (`batch_augment`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.crop_sources import CropSource
from shelfhelp_training.data.pixel_store import Fit, Row, load_store
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.data.source_files import refuse_shared_crops

Batch = dict[str, Tensor]
CACHE = Path("runs/cache")


@dataclass(frozen=True, eq=False)
class Part:
    """The pictures of one role, of all its sources: ``pixels`` an N_i×S×S×3 array a source, a row and a label each."""

    pixels: tuple[npt.NDArray[np.uint8], ...]
    rows: tuple[Row, ...]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class PictureBatches(Dataset[Batch]):
    """Whole batches by their rows: ``images`` B×3×S×S uint8 RGB (channels last), ``labels`` B and ``index`` B int64."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.starts = np.cumsum([0, *(len(pixels) for pixels in part.pixels)])

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows, np.int64)
        side = self.part.pixels[0].shape[1]
        images = np.empty((len(index), side, side, 3), np.uint8)
        source = np.searchsorted(self.starts, index, side="right") - 1
        for place, (row, number) in enumerate(zip(index, source, strict=True)):
            images[place] = self.part.pixels[number][row - self.starts[number]]
        return {
            "images": torch.from_numpy(images).permute(0, 3, 1, 2),
            "labels": torch.from_numpy(self.part.labels[index]),
            "index": torch.from_numpy(index),
        }


class EpochBatches(DistributedSampler[Any]):
    """Lists of rows, a batch each; which, depends on the seed and the epoch alone. Lightning sets the epoch.

    Of several processes each takes every n-th batch, and all take equally many.

    Args:
        labels: of all rows.
        batch_size: rows of a batch.
        per_class: None: all rows once, shuffled, without a last incomplete batch. K: batches of batch_size/K classes
            with exactly K rows each, drawn anew for every batch; a class with fewer has some of them twice.
        weights: how often a row is drawn relative to others; with ``per_class``, how often its class is.
        batches: batches of an epoch and process; None: as many as the rows give.
        seed: of the draw.
        replicas, rank: number of processes and which this is; None asks torch.distributed.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        batch_size: int,
        per_class: int | None = None,
        weights: npt.NDArray[np.float64] | None = None,
        batches: int | None = None,
        seed: int = 0,
        replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        replicas = replicas if replicas is not None else torch.distributed.get_world_size() if running else 1
        rank = rank if rank is not None else torch.distributed.get_rank() if running else 0
        super().__init__(labels, replicas, rank, seed=seed)  # type: ignore[arg-type]
        self.labels, self.batch_size, self.per_class = labels, batch_size, per_class
        self.weights = weights
        self.batches = batches if batches is not None else len(labels) // (batch_size * replicas)
        if self.batches < 1:
            raise ShelfHelpError(
                f"{len(labels)} pictures are too few for batches of {batch_size} in {replicas} process(es); "
                "lower data.batch_size"
            )
        self.of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if per_class is not None:
            if batch_size % per_class or per_class < 1:
                raise ShelfHelpError(f"a batch of {batch_size} cannot hold {per_class} of each class; take a multiple")
            if batch_size // per_class > len(self.of_class):
                raise ShelfHelpError(
                    f"{len(self.of_class)} classes are too few for {batch_size // per_class} a batch; "
                    "lower data.batch_size or raise data.per_class"
                )

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        total = self.batches * self.num_replicas
        chosen = self._by_class(rng, total) if self.per_class is not None else self._shuffled(rng, total)
        for number, batch in enumerate(chosen):
            if number % self.num_replicas == self.rank:
                yield batch

    def _shuffled(self, rng: np.random.Generator, total: int) -> Iterator[list[int]]:
        needed = total * self.batch_size
        if self.weights is not None:
            order = rng.choice(len(self.labels), needed, p=self.weights / self.weights.sum())
        else:
            rounds = -(-needed // len(self.labels))
            order = np.concatenate([rng.permutation(len(self.labels)) for _ in range(rounds)])
        for number in range(total):
            yield order[number * self.batch_size : (number + 1) * self.batch_size].tolist()

    def _by_class(self, rng: np.random.Generator, total: int) -> Iterator[list[int]]:
        per_class = self.per_class or 1
        shares = None
        if self.weights is not None:
            sums = np.array([self.weights[rows].mean() for rows in self.of_class])
            shares = sums / sums.sum()
        for _ in range(total):
            classes = rng.choice(len(self.of_class), self.batch_size // per_class, replace=False, p=shares)
            batch: list[int] = []
            for number in classes:
                rows = self.of_class[number]
                batch += np.resize(rng.permutation(rows), per_class).tolist()
            yield batch


class InOrder(DistributedSampler[Any]):
    """Lists of the given rows, a batch each, every row once; of several processes each takes every n-th batch.

    ``replicas`` 1 gives all of them to every process; None asks torch.distributed.
    """

    def __init__(self, rows: Sequence[int], batch_size: int, replicas: int | None = None) -> None:
        running = torch.distributed.is_available() and torch.distributed.is_initialized() and replicas is None
        replicas = torch.distributed.get_world_size() if running else 1
        super().__init__(rows, replicas, torch.distributed.get_rank() if running else 0)  # type: ignore[arg-type]
        self.starts = range(0, len(rows), batch_size)[self.rank :: self.num_replicas]
        self.rows, self.batch_size = rows, batch_size

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(self.rows[start : start + self.batch_size]) for start in self.starts)


class ImageData(pl.LightningDataModule):
    """Pictures of ``train``, ``unlabelled``, ``validate`` and ``test`` sources, decoded once, in batches.

    A batch is ``images`` uint8 B×3×S×S RGB, ``labels`` int64 B and ``index`` int64 B, the row in ``parts``. With
    ``unlabelled`` sources, training batches are ``{"labelled": batch, "unlabelled": batch}`` and an epoch goes through
    the larger of the two once.

    Attributes:
        class_names: of the training pictures, in the order of their labels; other names of ``validate`` and ``test``
            have labels from ``num_classes`` on.
        num_classes: how many those are.
        parts: what each role holds, after `setup`; ``parts["validate"].rows[index]`` names a picture's photograph.

    Args:
        train, unlabelled, validate, test: sources, as for ``CropData``.
        size: side of the pictures in pixels. For random crops a little larger than what the network takes.
        batch_size: pictures of a batch, in each process.
        unlabelled_batch_size: of unlabelled pictures; None takes ``batch_size``.
        per_class: None shuffles; K makes batches of ``batch_size``/K classes with K pictures each.
        labels: what a label is: the ``product``, or the ``family`` (of published collections: the kind of grocery).
        balanced: draw every class equally often.
        batches_per_epoch: None goes through the pictures once.
        fit: ``letterbox`` pads to a square as the runtime does, ``stretch`` fills it.
        cache: folder of decoded pictures; None keeps them in memory.
        workers: processes that gather batches; they are read without decoding, so none is mostly best.
        seed: of the batches.
        root: data folder; None takes ``SHELFHELP_DATA``.
        refuse_shared: refuse to start when ``train`` and ``validate`` show the same pictures or drawn products.
    """

    def __init__(
        self,
        train: list[CropSource],
        unlabelled: list[CropSource] | None = None,
        validate: list[CropSource] | None = None,
        test: list[CropSource] | None = None,
        size: int = 224,
        batch_size: int = 64,
        unlabelled_batch_size: int | None = None,
        per_class: int | None = None,
        labels: Literal["product", "family"] = "product",
        balanced: bool = False,
        batches_per_epoch: int | None = None,
        fit: Fit = "letterbox",
        cache: Path | None = CACHE,
        workers: int = 0,
        seed: int = 0,
        root: Path | None = None,
        refuse_shared: bool = True,
    ) -> None:
        super().__init__()
        self.save_hyperparameters("size", "fit", "labels")
        self.sources = {
            "train": train, "unlabelled": unlabelled or [], "validate": validate or [], "test": test or [],
        }  # fmt: skip
        self.size, self.batch_size, self.per_class = size, batch_size, per_class
        self.unlabelled_batch_size = unlabelled_batch_size or batch_size
        self.labels, self.balanced, self.batches_per_epoch = labels, balanced, batches_per_epoch
        self.fit, self.cache, self.workers, self.seed = fit, cache, workers, seed
        self.root = root if root is not None else data_folder()
        self.refuse_shared = refuse_shared
        self.description = {role: [source.summary for source in found] for role, found in self.sources.items() if found}
        self.parts: dict[str, Part] = {}
        self.class_names: list[str] = []

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def prepare_data(self) -> None:
        """Decode into the cache, in one process only."""
        if self.cache is not None:
            for sources in self.sources.values():
                for source in sources:
                    load_store(source, self.root, self.size, self.fit, self.cache)

    def setup(self, stage: str) -> None:
        """Read all parts: the labels of each are those of the training pictures, whatever the stage."""
        if self.parts:
            return
        if self.refuse_shared and stage == "fit":
            refuse_shared_crops(self.sources["train"], self.sources["validate"], self.root)
        numbers: dict[str, int] = {}
        for role in ("train", "validate", "test", "unlabelled"):
            stores = [load_store(s, self.root, self.size, self.fit, self.cache) for s in self.sources[role]]
            rows = tuple(row for store in stores for row in store.rows)
            names = [row.product if self.labels == "product" else row.family for row in rows]
            if role == "train":
                numbers = {name: number for number, name in enumerate(sorted(set(names)))}
                self.class_names = list(numbers)
            known = [numbers.setdefault(name, len(numbers)) for name in names]
            self.parts[role] = Part(tuple(store.pixels for store in stores), rows, np.array(known, np.int64))

    def train_dataloader(self) -> DataLoader[Batch] | CombinedLoader:
        labelled = self._training_loader("train", self.batch_size, self.per_class, self.balanced)
        if not self.sources["unlabelled"]:
            return labelled
        unlabelled = self._training_loader("unlabelled", self.unlabelled_batch_size, None, False)
        return CombinedLoader({"labelled": labelled, "unlabelled": unlabelled}, "max_size_cycle")

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self.plain_loader("validate") if self.sources["validate"] else []

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        return self.plain_loader("test") if self.sources["test"] else []

    @property
    def predicted(self) -> str:
        """The role whose pictures ``predict`` goes through: test, or validate where there is none to test."""
        return "test" if self.sources["test"] else "validate"

    def predict_dataloader(self) -> DataLoader[Batch]:
        return self.plain_loader(self.predicted)

    def plain_loader(self, role: str, limit: int | None = None) -> DataLoader[Batch]:
        """The pictures of a role in their order, every one once; at most ``limit`` of them, evenly spaced."""
        count = len(self.parts[role])
        rows = np.unique(np.linspace(0, count - 1, min(count, limit or count)).round().astype(int))
        replicated = limit is not None
        return self._loader(role, InOrder(rows.tolist(), self.batch_size, 1 if replicated else None))

    def _training_loader(self, role: str, batch_size: int, per_class: int | None, balanced: bool) -> DataLoader[Batch]:
        part = self.parts[role]
        weights = self._weights(role)
        if balanced and per_class is None:
            counts = np.bincount(part.labels)
            weights = 1 / counts[part.labels]
        sampler = EpochBatches(part.labels, batch_size, per_class, weights, self.batches_per_epoch, self.seed)
        return self._loader(role, sampler)

    def _weights(self, role: str) -> npt.NDArray[np.float64] | None:
        """How often each row is drawn, by the weights of the sources; None when all are alike."""
        weights = [source.weight for source in self.sources[role]]
        if len(set(weights)) == 1:
            return None
        lengths = [len(pixels) for pixels in self.parts[role].pixels]
        return np.repeat([w / n for w, n in zip(weights, lengths, strict=True)], lengths).astype(np.float64)

    def _loader(self, role: str, sampler: DistributedSampler[Any]) -> DataLoader[Batch]:
        return DataLoader(
            PictureBatches(self.parts[role]),
            sampler=sampler,
            batch_size=None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
