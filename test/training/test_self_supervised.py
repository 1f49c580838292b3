"""SimCLR and BYOL train for real, by their small configurations: loss, recall on unseen packs, resuming, export."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import numpy as np
import pytorch_lightning as pl
import torch
import yaml

from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.image_data import ImageData
from shelfhelp_training.epoch_seeds import EpochSeeds
from shelfhelp_training.methods.byol import BYOLTraining
from shelfhelp_training.methods.encoder_export import export_encoder
from shelfhelp_training.methods.self_supervised import SelfSupervised
from shelfhelp_training.methods.simclr import SimCLRTraining

torch.set_num_threads(1)
SMALL = Path(__file__).parents[2] / "config" / "training" / "small"
METHODS: dict[str, type[SelfSupervised]] = {"simclr": SimCLRTraining, "byol": BYOLTraining}
# Recall@1 on packs never shown that a training of seconds adds to that of the network it began with.
MARGIN = {"simclr": 0.15, "byol": 0.06}


def read(method: str, cache: Path) -> tuple[SelfSupervised, ImageData, dict[str, Any]]:
    """The module, data and trainer's settings of a small configuration."""
    config = yaml.safe_load((SMALL / f"{method}.yaml").read_text(encoding="utf-8"))
    pl.seed_everything(config["seed_everything"])
    settings = config["data"]
    for role in ("train", "validate"):
        settings[role] = [CropSource(**source) for source in settings[role]]
    return METHODS[method](**config["model"]), ImageData(**settings, cache=cache), config["trainer"]


class History(pl.Callback):
    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def make_trainer(settings: dict[str, Any], folder: Path, history: History) -> pl.Trainer:
    kept = pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_last=True, save_top_k=-1)
    return pl.Trainer(
        **settings, default_root_dir=folder, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[EpochSeeds(), kept, history], num_sanity_val_steps=0,
    )  # fmt: skip


@dataclass(frozen=True)
class Trained:
    method: str
    folder: Path
    cache: Path
    before: float
    epochs: list[dict[str, float]]


@pytest.fixture(scope="module", params=list(METHODS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training from its small configuration, the recall before it, and its figures of each epoch."""
    folder, cache = tmp_path_factory.mktemp(request.param), tmp_path_factory.getbasetemp() / "packs"
    module, data, settings = read(request.param, cache)
    history = History()
    trainer = make_trainer(settings, folder, history)
    before = trainer.validate(module, datamodule=data, verbose=False)[0]["val_recall"]
    trainer.fit(module, datamodule=data)
    return Trained(request.param, folder, cache, before, history.epochs)


def test_the_loss_falls_and_unseen_packs_are_told_apart_better(trained: Trained) -> None:
    """What is learnt without labels on some packs holds for others, and is no collapse."""
    first, last = trained.epochs[0], trained.epochs[-1]
    assert last["loss_epoch"] < 0.8 * first["loss_epoch"]
    assert last["val_recall"] > trained.before + MARGIN[trained.method], (trained.before, last)
    assert last["collapsed"] == 0
    assert last["linear_accuracy"] > first["linear_accuracy"]


def test_a_resumed_training_ends_at_the_same_weights(trained: Trained, tmp_path: Path) -> None:
    """Stopped before the last epoch and resumed, it is the same training: weights, target, schedule and probe."""
    module, data, settings = read(trained.method, trained.cache)
    last = settings["max_epochs"] - 1
    trainer = make_trainer(settings, tmp_path, History())
    trainer.fit(module, datamodule=data, ckpt_path=trained.folder / f"epoch={last - 1}.ckpt", weights_only=False)
    once, resumed = (torch.load(folder / "last.ckpt", weights_only=False) for folder in (trained.folder, tmp_path))
    for name, weight in once["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], weight, atol=1e-5, rtol=1e-4, msg=name)
    assert once["lr_schedulers"] == resumed["lr_schedulers"]
    probes = [checkpoint["callbacks"]["LinearProbe"]["layer"] for checkpoint in (once, resumed)]
    torch.testing.assert_close(probes[0], probes[1], atol=1e-5, rtol=1e-4)


def test_the_exported_backbone_gives_the_same_vectors(trained: Trained, tmp_path: Path) -> None:
    """The robot's encoder says of a pack what the training's network said."""
    if trained.method != "simclr":
        pytest.skip("both have the same backbone; one export is enough")
    pytest.importorskip("onnx", reason="onnx comes with the extra 'training'")
    export_encoder([trained.folder / "last.ckpt"], tmp_path / "encoder.onnx")
    module, data, _ = read(trained.method, trained.cache)
    module.load_state_dict(torch.load(trained.folder / "last.ckpt", weights_only=False)["state_dict"])
    crops = load_crops(data.sources["validate"][0], Path())[:6]
    found = Encoder.load(tmp_path, "cpu").embed([crop.tight for crop in crops])
    side = module.backbone.input_size
    plain = ImageData([data.sources["validate"][0]], size=side, batch_size=6, cache=None)
    plain.setup("validate")
    with torch.no_grad():
        expected = module.eval().embed(next(iter(plain.plain_loader("train")))["images"])
    np.testing.assert_allclose(np.sum(found * expected.numpy(), axis=1), 1, atol=1e-3)


def test_byols_target_follows_and_is_never_trained(trained: Trained) -> None:
    """It moves, lags behind the network it follows, and no optimiser has its weights."""
    if trained.method != "byol":
        pytest.skip("SimCLR has no target")
    module, _, _ = read("byol", trained.cache)
    assert isinstance(module, BYOLTraining)
    start = [p.clone() for p in module.target.parameters()]
    module.load_state_dict(torch.load(trained.folder / "last.ckpt", weights_only=False)["state_dict"])
    online = [*module.backbone.parameters(), *module.projector.parameters()]
    for before, target, network in zip(start, module.target.parameters(), online, strict=True):
        assert not target.requires_grad
        if before.ndim > 1:
            assert not torch.equal(before, target)
            assert not torch.equal(target, network)
    expected = [0.75 * t.clone() + 0.25 * n for t, n in zip(module.target.parameters(), online, strict=True)]
    module.follow(0.75)
    for target, value in zip(module.target.parameters(), expected, strict=True):
        torch.testing.assert_close(target, value)


def test_a_second_training_starts_from_the_first(trained: Trained, tmp_path: Path) -> None:
    """The backbone is taken over; heads are made anew."""
    checkpoint = shutil.copy(trained.folder / "last.ckpt", tmp_path / "first.ckpt")
    settings = yaml.safe_load((SMALL / f"{trained.method}.yaml").read_text(encoding="utf-8"))["model"]
    module = METHODS[trained.method](**{**settings, "start_from": str(checkpoint)})
    known = torch.load(checkpoint, weights_only=False)["state_dict"]
    for name, weight in module.backbone.state_dict().items():
        torch.testing.assert_close(weight, known[f"backbone.{name}"])
