"""How many pictures a second a training takes in: our whole pipeline, its network alone, and a library's example."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.image_data import ImageData
from shelfhelp_training.methods.backbones import create_backbone
from shelfhelp_training.methods.simclr import SimCLRTraining

Step = Callable[[], None]
OURS, ALONE, PEER = "whole pipeline", "network alone", "lightly's example"
# Batches that the photographs are enough for, before they come again.
BATCHES = 4


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        backbone, size, batch: network, side of its pictures in pixels, pictures of a step (two views each).
        device: ``cpu`` or ``cuda``.
        steps, rounds: steps of a round, and rounds; each round takes every contender in turn.
        workers: processes that make batches ready: that read pixels for ours, decode and change for the example. Only
            without any does processor time, which is that of one process, tell the whole.
        compile: torch.compile for both of ours.
    """

    backbone: str = "resnet18"
    size: int = 64
    batch: int = 64
    device: str = "cpu"
    steps: int = 4
    rounds: int = 5
    workers: int = 0
    compile: bool = False


@dataclass(frozen=True)
class Speed:
    """Pictures a second of one contender, medians over the rounds: by the clock and by processor time."""

    name: str
    by_clock: float
    by_processor: float


def measure(setting: Setting, folder: Path) -> list[Speed]:
    """Speeds of SimCLR training: whole pipeline, network alone on random pictures, and the example, if it is installed.

    ``folder`` takes the decoded pictures and, for the example, the same photographs as JPEG files.
    """
    contenders = {OURS: our_steps(setting, folder / "cache"), ALONE: network_steps(setting)}
    if lightly_is_there():
        contenders[PEER] = lightly_steps(setting, folder / "photos")
    for step in contenders.values():
        step()
        step()
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in tqdm(range(setting.rounds), desc="measuring", unit="round"):
        for name, step in contenders.items():
            seconds[name].append(_timed(step, setting))
    pictures = setting.batch * setting.steps
    return [Speed(name, *(pictures / np.median(found, axis=0)).tolist()) for name, found in seconds.items()]


def our_steps(setting: Setting, cache: Path) -> Step:
    """Steps of the training as ``shelfhelp-train simclr`` takes them: from decoded pictures on disk to new weights."""
    module, optimiser = _module(setting)
    data = ImageData(
        [_source(setting)], size=setting.size, batch_size=setting.batch, cache=cache, workers=setting.workers
    )
    data.setup("fit")
    batches = _endless(cast(DataLoader[Any], data.train_dataloader()))

    def step() -> None:
        batch = {name: value.to(setting.device, non_blocking=True) for name, value in next(batches).items()}
        with _precision(setting):
            loss = module.training_step(batch, 0)["loss"]
        _learn(loss, optimiser)

    return step


def network_steps(setting: Setting) -> Step:
    """The same steps on random views that lie ready on the device."""
    module, optimiser = _module(setting)
    views = torch.randn(2, setting.batch, 3, setting.size, setting.size, device=setting.device)
    first, second = (view.to(memory_format=module.layout) for view in views)
    module.views = lambda images: (first, second)  # type: ignore[method-assign]
    batch = {"images": first, "labels": torch.zeros(setting.batch, dtype=torch.long, device=setting.device)}

    def step() -> None:
        with _precision(setting):
            loss = module.training_step(batch, 0)["loss"]
        _learn(loss, optimiser)

    return step


def lightly_is_there() -> bool:
    return importlib.util.find_spec("lightly") is not None


def lightly_steps(setting: Setting, folder: Path) -> Step:
    """lightly's plain SimCLR example with the same backbone: its transforms on PIL pictures, loader, head and loss."""
    from torchvision.datasets import ImageFolder

    losses: Any = importlib.import_module("lightly.loss")
    heads: Any = importlib.import_module("lightly.models.modules")
    transforms: Any = importlib.import_module("lightly.transforms")
    _write_photos(setting, folder)
    transform = transforms.SimCLRTransform(input_size=setting.size)
    batches = _endless(
        DataLoader(
            ImageFolder(str(folder), transform), setting.batch, shuffle=True, drop_last=True,
            num_workers=setting.workers, persistent_workers=setting.workers > 0,
        )
    )  # fmt: skip
    backbone = create_backbone(setting.backbone, image_size=setting.size)
    features = backbone.num_features
    network = nn.Sequential(backbone, heads.SimCLRProjectionHead(features, features, 128)).to(setting.device)
    criterion = losses.NTXentLoss()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.06)

    def step() -> None:
        (first, second), _ = next(batches)
        with _precision(setting):
            vectors = [network(view.to(setting.device, non_blocking=True)) for view in (first, second)]
            loss = criterion(*(of.float() for of in vectors))
        _learn(loss, optimiser)

    return step


def _module(setting: Setting) -> tuple[SimCLRTraining, torch.optim.Optimizer]:
    module = SimCLRTraining(setting.backbone, image_size=setting.size, compile=setting.compile).to(setting.device)
    module.log_loss = lambda loss, count: None  # type: ignore[method-assign]
    return module, torch.optim.SGD(module.parameters(), lr=0.06)


def _precision(setting: Setting) -> torch.autocast:
    """What a whole step, loss included, is computed in, by every contender: bfloat16 on a GPU, float32 elsewhere.

    The same as Lightning's ``bf16-mixed``.
    """
    return torch.autocast(setting.device, torch.bfloat16, enabled=setting.device == "cuda")


def _learn(loss: torch.Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _timed(step: Step, setting: Setting) -> tuple[float, float]:
    """Seconds by the clock, and of this process's processor time, that a round's steps take."""
    _wait(setting)
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(setting.steps):
        step()
    _wait(setting)
    return time.perf_counter() - clock, time.process_time() - processor


def _wait(setting: Setting) -> None:
    if setting.device == "cuda":
        torch.cuda.synchronize()


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def _source(setting: Setting) -> CropSource:
    return CropSource("drawn", "packs", count=setting.batch, seed=0, photos=BATCHES)


def _write_photos(setting: Setting, folder: Path) -> None:
    """The photographs of `_source` as JPEG files, in a folder a product."""
    for crop in load_crops(_source(setting), Path()):
        file = folder / crop.product.replace("/", "-") / f"{crop.photo}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            cv2.imwrite(str(file), crop.image)
