"""The classifier: real trainings on drawn packs, what it starts from, and how classes are balanced."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS
from shelfhelp_training.curves import read_curves
from shelfhelp_training.data.crop_sources import CropSource
from shelfhelp_training.data.image_data import ImageData
from shelfhelp_training.evaluation.retrieval import across_photos
from shelfhelp_training.methods.classifier import ClassifierTraining, class_weights
from shelfhelp_training.methods.embedder import load_trained
from shelfhelp_training.training import TrainingCLI

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training" / "small" / "classifier.yaml"
CLASSES = 12
# Accuracy on other photographs of the packs must rise by that much over guessing, which is 1/12.
MARGIN = 0.35


def run(step: str, *arguments: str, start: bool = True) -> TrainingCLI:
    quiet = ("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")
    return TrainingCLI(
        "classifier", METHODS["classifier"], [step, "--config", str(CONFIG), *quiet, *arguments], (), start
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run's folder of the small configuration, trained, tested and asked for predictions, as a newcomer would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("classifier"))
        for step in ("fit", "test", "predict"):
            run(step, "--name", "first")
        yield Path("runs/classifier/first").resolve()


def test_training_lowers_the_loss_and_names_other_photographs(trained: Path) -> None:
    """What is learnt has to hold for photographs that were not shown."""
    curves = read_curves(trained / "metrics.csv")
    losses = [value for _, value in curves["loss_epoch"]]
    assert losses[-1] < 0.7 * losses[0]
    assert curves["val_accuracy"][-1][1] > 1 / CLASSES + MARGIN


def test_a_test_writes_tables_and_a_picture(trained: Path) -> None:
    """Per class and in all, and they agree with the predictions of the same pictures."""
    with (trained / "test" / "per_class.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pictures"] for row in rows] == ["6"] * CLASSES
    recall = np.mean([float(row["recall"]) for row in rows])
    with (trained / "predictions.csv").open(newline="") as file:
        named = list(csv.DictReader(file))
    right = np.mean([row["product"] == row["called"] for row in named])
    assert right == pytest.approx(recall, abs=1e-3)
    assert right > 1 / CLASSES + MARGIN
    assert f"| accuracy | {right:.3f} |" in (trained / "test" / "report.md").read_text()
    assert (trained / "test" / "confusion.png").stat().st_size > 1000


def test_its_features_find_packs_again(trained: Path) -> None:
    """The embeddings are of length one and retrieve the packs far better than guessing."""
    found = np.load(trained / "embeddings.npz")
    np.testing.assert_allclose(np.linalg.norm(found["embeddings"], axis=1), 1, atol=1e-5)
    recall = across_photos(found["embeddings"], found["products"].tolist(), found["photos"].tolist()).recall
    assert recall > 1 / CLASSES + MARGIN


def test_any_method_may_start_from_it_and_a_linear_probe_leaves_it_alone(trained: Path) -> None:
    """With every layer frozen only the linear layer learns, and learns quickly from good features."""
    checkpoint = trained / "checkpoints" / "best.ckpt"
    cli = run(
        "fit", "--name", "probe", "--model.start_from", str(checkpoint), "--model.frozen_layers", "-1",
        "--trainer.max_epochs", "2", "--model.learning_rate", "0.02",
    )  # fmt: skip
    start = torch.load(checkpoint, weights_only=False)["state_dict"]
    for name, weight in cli.model.state_dict().items():
        if name.startswith("backbone."):
            torch.testing.assert_close(weight, start[name], rtol=0, atol=0, msg=name)
    assert float(cli.trainer.callback_metrics["val_accuracy"]) > 1 / CLASSES + MARGIN


def test_the_exported_network_sees_what_it_saw(trained: Path) -> None:
    """The encoder inside a classifier's checkpoint gives the embeddings that predict wrote."""
    encoder = load_trained([trained / "checkpoints" / "best.ckpt"])
    cli = run("predict", "--name", "first", start=False)
    cli.datamodule.setup("predict")
    batch = next(iter(cli.datamodule.predict_dataloader()))
    with torch.no_grad():
        vectors = encoder.network(cli.model.plain(batch["images"]))
    expected = np.load(trained / "embeddings.npz")["embeddings"][: len(vectors)]
    np.testing.assert_allclose(vectors.numpy(), expected, atol=1e-5)


def test_layers_learn_at_their_own_rates() -> None:
    """The nearer to the pixels, the slower, by one factor; the linear layer at the full rate."""
    module = ClassifierTraining("resnet10t", False, 32, layer_decay=0.5, learning_rate=1e-2, weight_decay=0.1)
    module._prepare(["a", "b"], [1, 1])
    module.trainer = pl.Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    module.trainer.fit_loop.setup_data = lambda: None  # type: ignore[method-assign]
    module.trainer.fit_loop.max_batches = 10
    groups = module.configure_optimizers()["optimizer"].param_groups
    rates = sorted({group["initial_lr"] for group in groups}, reverse=True)
    assert rates[0] == 1e-2
    assert rates[1:] == pytest.approx([rate / 2 for rate in rates[:-1]])
    assert len(rates) == len(module.backbone.layers()) + 1
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=9), st.floats(0, 1))
def test_rare_classes_weigh_more(counts: list[int], balance: float) -> None:
    """By n^-balance, and the mean over all pictures stays one, so that the learning rate means what it meant."""
    weights = class_weights(counts, balance).double()
    numbers = torch.tensor(counts, dtype=torch.float64)
    assert float((weights * numbers).sum() / numbers.sum()) == pytest.approx(1, rel=1e-4)
    ratios = weights * numbers**balance
    torch.testing.assert_close(ratios, ratios[:1].expand(len(counts)), rtol=1e-4, atol=0)


def test_balanced_weights_reach_the_loss() -> None:
    """Two classes with three pictures and one: weighted by hand."""
    module = ClassifierTraining("resnet10t", False, 32, loss_balance=1.0)
    module._prepare(["a", "b"], [3, 1])
    assert module.class_weights is not None
    torch.testing.assert_close(module.class_weights, torch.tensor([2 / 3, 2.0]))


def packs(part: str, **others: object) -> CropSource:
    return CropSource("drawn", "packs", count=4, seed=3, photos=2, part=part, **others)  # type: ignore[arg-type]


def data(**parts: list[CropSource]) -> ImageData:
    return ImageData(size=36, batch_size=4, cache=None, refuse_shared=False, **parts)  # type: ignore[arg-type]


def test_pictures_of_unknown_classes_are_refused(tmp_path: Path) -> None:
    """A class that was never shown cannot be right: the split is wrong, or labels are products of their own."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, **quiet)  # type: ignore[arg-type]
    module = ClassifierTraining("resnet10t", False, 32)
    two = packs("train", only=("s3-00000", "s3-00001"))
    with pytest.raises(ShelfHelpError, match="no training picture shows"):
        trainer.validate(module, datamodule=data(train=[two], validate=[packs("validate")]), verbose=False)
    with pytest.raises(ShelfHelpError, match="knows 2 classes and the data name 4"):
        trainer.validate(module, datamodule=data(train=[packs("train")], validate=[packs("validate")]), verbose=False)
