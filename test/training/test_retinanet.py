"""RetinaNet: torchvision's own network with one class, ignored regions, and a real training from pictures to ONNX."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="torchvision comes with the extra 'training'")
pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from torchvision.models.detection import retinanet_resnet50_fpn_v2

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_training.cli import export_main, train_main
from shelfhelp_training.data.boxes import BoxedPicture, load_coco
from shelfhelp_training.data.drawn_shelves import draw_shelves
from shelfhelp_training.data.shelves import ShelfData, Source, to_tensor
from shelfhelp_training.evaluation.detection import detection_figures
from shelfhelp_training.methods.anchor_shapes import STRIDES, AnchorShapes
from shelfhelp_training.methods.box_training import BoxTraining
from shelfhelp_training.methods.detector_export import load_detector
from shelfhelp_training.methods.retinanet import ExportedRetinaNet, ProductRetinaNet, RetinaNetTraining, StrideAnchors

SMALL = Path(__file__).parents[2] / "config" / "training" / "small" / "retinanet.yaml"
SHAPES = AnchorShapes((0.7, 0.9), (1.0, 1.6))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network() -> ProductRetinaNet:
    torch.manual_seed(0)
    detector = ProductRetinaNet("resnet18", 32, SHAPES, weights="none")
    torch.nn.init.normal_(detector.head.classification_head.cls_logits.weight, std=0.3)
    torch.nn.init.normal_(detector.head.regression_head.bbox_reg.weight, std=0.1)
    return detector


def target(boxes: list[list[float]], ignore: list[list[float]]) -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "ignore": torch.tensor(ignore).reshape(-1, 4),
    }


def test_the_default_is_torchvisions_resnet50_fpn_v2() -> None:
    """Tensor for tensor, and anchor for anchor: COCO weights and published settings hold for it."""
    with torch.device("meta"):
        theirs = retinanet_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=1)
        ours = ProductRetinaNet(weights="none")
    assert {n: w.shape for n, w in ours.state_dict().items()} == {n: w.shape for n, w in theirs.state_dict().items()}
    assert ours.anchor_generator.sizes == theirs.anchor_generator.sizes
    assert ours.anchor_generator.aspect_ratios == theirs.anchor_generator.aspect_ratios
    assert ours.head.regression_head._loss_type == "giou"


def test_the_losses_are_torchvisions_where_nothing_is_ignored(network: ProductRetinaNet) -> None:
    """Our matching differs in the ignored regions only."""
    network.train()
    image = torch.rand(3, 128, 128)
    boxes = target([[8, 8, 30, 44], [60, 50, 84, 90]], [])
    ours = network([image], [boxes])
    normalised, _ = network.transform([image])
    levels = list(network.backbone(normalised.tensors).values())
    theirs = super(ProductRetinaNet, network).compute_loss(
        [boxes], network.head(levels), network.anchor_generator(normalised, levels)
    )
    for name, loss in theirs.items():
        torch.testing.assert_close(ours[name], loss, rtol=1e-4, atol=1e-6)


def test_nothing_is_learnt_from_ignored_regions(network: ProductRetinaNet) -> None:
    """Where products may stand unlabelled, no score is pushed down; elsewhere it is; a labelled one there is learnt."""
    network.train()
    images = [torch.rand(3, 128, 128)]
    everywhere = [[0.0, 0, 136, 136]]
    assert float(network(images, [target([], everywhere)])["classification"].detach()) == 0
    assert float(network(images, [target([], [])])["classification"].detach()) > 0
    learnt = network(images, [target([[8.0, 8, 30, 44]], everywhere)])
    assert all(float(loss.detach()) > 0 for loss in learnt.values())


@pytest.mark.parametrize(("height", "width"), [(96, 160), (32, 416)])
def test_anchors_stand_one_stride_apart(height: int, width: int) -> None:
    """Also where a level was rounded up, so that a network means the same in pictures of every size."""
    shapes = AnchorShapes((1.0,), (1.0,))
    levels = [torch.zeros(1, 1, -(-height // stride), -(-width // stride)) for stride in STRIDES]
    anchors = StrideAnchors(shapes).over(levels)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    start = 0
    for level, stride in zip(levels, STRIDES, strict=True):
        rows, columns = level.shape[-2:]
        of_level = centres[start : start + rows * columns].reshape(rows, columns, 2)
        assert of_level[-1, -1].tolist() == [(columns - 1) * stride, (rows - 1) * stride]
        start += rows * columns
    assert start == len(anchors)


def test_exported_boxes_are_those_of_torchvision(network: ProductRetinaNet) -> None:
    """Our decoding gives the boxes and scores of RetinaNet's own post-processing."""
    network.eval()
    network.score_thresh, network.nms_thresh = 0.0, 1.1
    network.detections_per_img = network.topk_candidates = 10_000
    network.transform.min_size, network.transform.max_size = (128,), 192
    image = torch.rand(3, 128, 192)
    with torch.no_grad():
        (theirs,) = network([image])
        normalised, _ = network.transform([image])
        boxes, scores = ExportedRetinaNet(network, top=40)(normalised.tensors)
    torch.testing.assert_close(scores[0], theirs["scores"][:40], atol=1e-5, rtol=0)
    limits = torch.tensor([192, 128, 192, 128])
    ours = boxes[0].clamp(min=torch.zeros(4), max=limits)
    near = (scores[0][:, None] - theirs["scores"][None, :]).abs() < 1e-5
    distance = (ours[:, None] - theirs["boxes"][None]).abs().amax(dim=2).masked_fill(~near, torch.inf)
    assert float(distance.amin(dim=1).max()) < 0.01


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the small configuration, started as a user starts it."""
    folder = tmp_path_factory.mktemp("retinanet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["shelfhelp-train", "retinanet", "fit", "--config", str(SMALL), "--name", "first"])
        with pytest.raises(SystemExit) as stop:
            train_main()
    assert not stop.value.code
    return folder / "runs" / "retinanet" / "first"


def test_training_finds_products_that_an_untrained_network_does_not(trained: Path) -> None:
    """The loss falls, and AP50 on held-out shelves rises from next to nothing by at least .3."""
    with next(trained.rglob("metrics.csv")).open(newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]
    assert len(losses) >= 10
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    before, after = new_training(), load_detector(checkpoint_of(trained))
    shelves = load_coco(draw_shelves(trained / "held_out", 4, seed=2))
    found = [_ap50(training, shelves) for training in (before, after)]
    assert found[0] < 0.1
    assert found[1] > found[0] + 0.3


def checkpoint_of(run: Path) -> Path:
    return run / "checkpoints" / "best.ckpt"


def new_training() -> RetinaNetTraining:
    pl.seed_everything(0)
    return RetinaNetTraining("resnet18", 32, SHAPES, "none", learning_rate=2e-3, weight_decay=0.01, warmup_steps=5)


def _ap50(training: BoxTraining, shelves: list[BoxedPicture]) -> float:
    found = [training.eval().detect(to_tensor(load_image(shelf.path))) for shelf in shelves]
    return detection_figures([shelf.boxes for shelf in shelves], found).ap50


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Taken up again after its first epoch, every weight is that of the uninterrupted training."""
    draw_shelves(tmp_path / "train", 4, seed=0)
    draw_shelves(tmp_path / "test", 1, seed=1)
    whole, resumed = new_training(), new_training()
    _fit(whole, tmp_path)
    _fit(resumed, tmp_path, tmp_path / "epoch=0.ckpt")
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, rtol=1e-4, atol=1e-6, msg=name)


def _fit(training: RetinaNetTraining, folder: Path, resume: Path | None = None) -> None:
    """Two epochs of two steps, with a checkpoint after each."""
    data = ShelfData(
        train=[Source("train/annotations.json", longest=128, scale=(0.9, 1.1))],
        validate=[Source("test/annotations.json")],
        root=folder,
        crop=64,
        picture=64,
        batch=2,
        crops_per_epoch=4,
        workers=0,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=4,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[ModelCheckpoint(folder, "{epoch}", save_top_k=-1, enable_version_counter=False)],
    )
    trainer.fit(training, data, ckpt_path=resume, weights_only=False)


def test_a_checkpoint_becomes_a_model_that_the_robot_runs(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export, run by the robot's code, finds what the trained network finds, with its own anchors."""
    model = trained / "models" / "detector.onnx"
    arguments = ["detector", "--checkpoint", str(checkpoint_of(trained)), "--output", str(model)]
    arguments += ["--score-threshold", "0.05", "--nms-iou", "0.5"]
    monkeypatch.setattr(sys, "argv", ["shelfhelp-export", *arguments])
    with pytest.raises(SystemExit) as stop:
        export_main()
    assert not stop.value.code
    card = load_card(model)
    assert card.name == "retinanet-resnet18"
    assert "retinanet fit" in card.training["command"]
    training = load_detector(checkpoint_of(trained))
    assert isinstance(training, RetinaNetTraining)
    assert training.hparams["anchors"] == SHAPES
    image = load_image(draw_shelves(trained / "big", 1, side=640, seed=2).parent / "000.png")
    found = Detector.load(model.parent, threads=1).detect(image)
    expected = training.detect(to_tensor(image))
    assert len(expected) > 10
    np.testing.assert_allclose(found.scores[:5], expected.scores[:5], atol=0.01)


def test_an_unknown_backbone_is_one_clear_line() -> None:
    """What is known is named."""
    with pytest.raises(ShelfHelpError, match="resnet18"):
        ProductRetinaNet("vgg16", weights="none")


@pytest.mark.parametrize("name", ["retinanet", "retinanet_d2s", "retinanet_sku110k", "small/retinanet"])
def test_the_configurations_are_read(name: str) -> None:
    """Every key of the published settings is one that module and data take."""
    from jsonargparse import ArgumentParser

    path = Path(__file__).parents[2] / "config" / "training" / f"{name}.yaml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RetinaNetTraining, "model", sub_configs=True)
    parser.add_class_arguments(ShelfData, "data", sub_configs=True)
    parser.parse_object({key: raw[key] for key in ("model", "data")})
