"""The detector: losses with ignored regions, the exported form, and a real training from pictures to ONNX."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="torchvision comes with the extra 'training'")
pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_training.cli import evaluate_main, export_main
from shelfhelp_training.data.drawn_shelves import draw_shelves
from shelfhelp_training.data.shelves import ShelfCrops, ShelfData, Source, to_tensor
from shelfhelp_training.methods.backbone import LitePyramid
from shelfhelp_training.methods.detector import DetectorTraining, ExportedDetector, ProductDetector
from shelfhelp_training.methods.detector_export import load_detector
from shelfhelp_training.record import TrainingRecord

STEPS = 40


@pytest.fixture(scope="module")
def network() -> ProductDetector:
    torch.manual_seed(0)
    detector = ProductDetector(channels=32, head_convs=1, pretrained=False, frozen_stages=0)
    # A fresh head gives the same score everywhere, and boxes without extent.
    torch.nn.init.normal_(detector.head.classification_head.cls_logits.weight, std=0.3)
    torch.nn.init.uniform_(detector.head.regression_head.bbox_reg.bias, 1, 3)
    return detector


def target(boxes: list[list[float]], ignore: list[list[float]]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "ignore": torch.tensor(ignore).reshape(-1, 4),
    }


def test_nothing_is_learnt_from_ignored_regions(network: ProductDetector) -> None:
    """Where products may stand unlabelled, no score is pushed down; elsewhere it is."""
    network.train()
    images = [torch.rand(3, 128, 128)]
    ignored = network(images, [target([], [[0, 0, 128, 128]])])
    background = network(images, [target([], [])])
    assert float(ignored["classification"].detach()) == 0
    assert float(background["classification"].detach()) > 0


def test_labelled_products_inside_an_ignored_region_are_learnt(network: ProductDetector) -> None:
    """Ignoring the neighbourhood must not ignore the product itself."""
    network.train()
    losses = network([torch.rand(3, 128, 128)], [target([[8, 8, 40, 56]], [[0, 0, 128, 128]])])
    assert all(float(loss.detach()) > 0 for loss in losses.values())


@pytest.mark.parametrize(("height", "width"), [(128, 192), (320, 64)])
def test_exported_boxes_are_those_of_torchvision(network: ProductDetector, height: int, width: int) -> None:
    """Our decoding without anchors gives the boxes and scores of FCOS's own post-processing."""
    network.eval()
    network.score_thresh, network.nms_thresh = 0.0, 1.1
    network.detections_per_img = network.topk_candidates = 10_000
    # Otherwise torchvision enlarges pictures before it looks at them.
    network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
    image = torch.rand(3, height, width)
    with torch.no_grad():
        (theirs,) = network([image])
        normalised, _ = network.transform([image])
        boxes, scores = ExportedDetector(network, top=40)(normalised.tensors)
    assert boxes.shape == (1, 40, 4)
    assert scores.shape == (1, 40)
    assert (scores.diff() <= 0).all()
    # Theirs are cut to the image.
    limits = torch.tensor([width, height, width, height])
    ours = boxes[0].clamp(min=torch.zeros(4), max=limits)
    torch.testing.assert_close(scores[0], theirs["scores"][:40], atol=1e-5, rtol=0)
    # Positions with as good as equal scores may change places.
    near = (scores[0][:, None] - theirs["scores"][None, :]).abs() < 1e-5
    distance = (ours[:, None] - theirs["boxes"][None]).abs().amax(dim=2).masked_fill(~near, torch.inf)
    assert float(distance.amin(dim=1).max()) < 0.01


def test_few_candidates_are_filled_up_with_zero_scores(network: ProductDetector) -> None:
    """A small picture has fewer positions than boxes are promised."""
    with torch.no_grad():
        _, scores = ExportedDetector(network.eval(), top=600)(torch.rand(2, 3, 128, 128))
    positions = sum((128 // stride) ** 2 for stride in LitePyramid.STRIDES)
    assert scores.shape == (2, 600)
    assert (scores[:, :positions] > 0).all()
    assert (scores[:, positions:] == 0).all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """A folder with a checkpoint after a few seconds of real training on drawn shelves, and the loss of every step."""
    folder = tmp_path_factory.mktemp("detector")
    draw_shelves(folder / "train", 8, seed=0)
    draw_shelves(folder / "test", 4, seed=1)
    pl.seed_everything(0)
    data = ShelfData(
        train=[Source("train/annotations.json", longest=128, scale=(0.9, 1.1))],
        validate=[Source("test/annotations.json")],
        root=folder,
        crop=128,
        picture=128,
        batch=4,
        crops_per_epoch=4 * STEPS,
        workers=0,
    )
    training = DetectorTraining(
        channels=32,
        head_convs=1,
        frozen_stages=0,
        pretrained=False,
        learning_rate=2e-3,
        backbone_factor=1.0,
        warmup_steps=5,
    )
    losses = _Losses()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[TrainingRecord(), losses],
    )
    trainer.fit(training, data)
    trainer.save_checkpoint(folder / "detector.ckpt")
    return folder, losses.values


class _Losses(pl.Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: dict[str, torch.Tensor], *_: object
    ) -> None:
        self.values.append(float(outputs["loss"]))


def test_training_lowers_the_loss(trained: tuple[Path, list[float]]) -> None:
    """Data, targets, losses and optimiser work together."""
    _, losses = trained
    assert len(losses) == STEPS
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_checkpoint_becomes_a_model_that_agrees_with_pytorch(
    trained: tuple[Path, list[float]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The export, run by the robot's code, finds what the trained network finds, also in a picture of another size; its
    evaluation writes into the card what it prints."""
    folder, _ = trained
    model = folder / "models" / "detector.onnx"
    arguments = ["detector", "--checkpoint", str(folder / "detector.ckpt"), "--output", str(model)]
    arguments += ["--score-threshold", "0.05"]
    assert run(export_main, arguments, monkeypatch) == 0
    card = load_card(model)
    assert card.training["steps"] == STEPS
    assert card.training["command"]
    assert card.training["data"][0]["path"] == "train/annotations.json"

    big = draw_shelves(folder / "big", 1, side=640, seed=2)
    image = load_image(big.parent / "000.png")
    found = Detector.load(model.parent, threads=1).detect(image)
    training = load_detector(folder / "detector.ckpt")
    expected = training.detect(to_tensor(image))
    assert len(expected) > 0
    assert len(found) == pytest.approx(len(expected), abs=2)
    np.testing.assert_allclose(found.scores[:5], expected.scores[:5], atol=0.01)

    arguments = ["detection", "--models", str(model.parent), "--annotations", str(big), "--name", "drawn", "--record"]
    arguments += ["--pictures", str(folder / "drawn")]
    capsys.readouterr()
    assert run(evaluate_main, arguments, monkeypatch) == 0
    figures = json.loads(capsys.readouterr().out)
    assert load_image(folder / "drawn" / "000.jpg").shape == image.shape
    assert (folder / "drawn" / "precision_recall.png").stat().st_size > 1000
    recorded = {figure["metric"]: figure["value"] for figure in load_card(model).figures}
    assert recorded == {key: figures[key] for key in recorded}
    assert "shelfhelp-evaluate detection" in load_card(model).figures[0]["command"]


def run(main: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [f"shelfhelp-{'export' if main is export_main else 'evaluate'}", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()  # type: ignore[operator]
    return int(stop.value.code or 0)


def test_a_wrong_checkpoint_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for a file that is no checkpoint."""
    wrong = tmp_path / "wrong.ckpt"
    wrong.write_text("no checkpoint")
    arguments = ["detector", "--checkpoint", str(wrong), "--output", str(tmp_path / "detector.onnx")]
    assert run(export_main, arguments, monkeypatch) == 1
    said = capsys.readouterr().err
    assert "wrong.ckpt" in said
    assert "Traceback" not in said


def test_starting_from_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    """A second stage without its first says what is missing."""
    with pytest.raises(ShelfHelpError, match=r"first\.ckpt"):
        DetectorTraining(pretrained=False, start_from=str(tmp_path / "first.ckpt"))


def test_an_item_of_an_epoch_is_the_same_in_every_worker(tmp_path: Path) -> None:
    """Crops depend on seed, epoch and number only."""
    draw_shelves(tmp_path, 3)
    first, second = (
        ShelfCrops([Source("annotations.json", longest=128)], tmp_path, size=64, length=8, seed=1) for _ in range(2)
    )
    torch.testing.assert_close(first[5][0], second[5][0])
    second.epoch = 1
    assert not torch.equal(first[5][0], second[5][0])
