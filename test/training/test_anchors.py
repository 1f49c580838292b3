"""Anchors: overlaps against torchvision's on every position, a search that never loses, and the tools' files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torchvision", reason="torchvision comes with the extra 'training'")
pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import torch
from torchvision.ops import box_iou

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_training.commands.train_anchors import command as anchors_command
from shelfhelp_training.commands.train_view import command as view_command
from shelfhelp_training.data.contact_sheet import IGNORED, PRODUCT, draw_target
from shelfhelp_training.methods.anchor_shapes import STRIDES, AnchorShapes, best_overlaps, coverage, fit_shapes
from shelfhelp_training.methods.retinanet import RetinaNetTraining, StrideAnchors

SIDE = 256


def boxes_of(rng: np.random.Generator, count: int, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Boxes of sizes between low and high (width, height), somewhere in a picture of SIDE pixels."""
    sizes = rng.uniform(low, high, (count, 2))
    corners = rng.uniform(0, SIDE - sizes)
    return np.concatenate([corners, corners + sizes], axis=1).astype(np.float32)


@given(st.integers(0, 10_000), st.sampled_from([AnchorShapes(), AnchorShapes((0.6, 1.3), (0.8, 1.7, 3.1))]))
@settings(max_examples=12, deadline=None)
def test_the_best_overlap_is_that_of_all_anchors(seed: int, shapes: AnchorShapes) -> None:
    """Looking at the nearest centre alone gives what torchvision's IoU with every anchor gives."""
    boxes = boxes_of(np.random.default_rng(seed), 20, (6, 6), (90, 90))
    # One picture larger on every side, so that the nearest centre is always there.
    levels = [torch.zeros(1, 1, SIDE // s + 2, SIDE // s + 2) for s in STRIDES]
    every = box_iou(torch.from_numpy(boxes), StrideAnchors(shapes).over(levels)).amax(dim=1)
    np.testing.assert_allclose(best_overlaps(boxes, shapes), every.numpy(), atol=1e-5)


def test_fitted_anchors_cover_slim_packs_better() -> None:
    """Boxes half as wide as RetinaNet expects: recall rises much, and on boxes the search did not see as well."""
    rng = np.random.default_rng(0)
    seen, unseen = (boxes_of(rng, 120, (9, 40), (14, 70)) for _ in range(2))
    fitted = fit_shapes(seen, generations=10)
    own = AnchorShapes()
    assert coverage(unseen, own).recall < 0.5
    assert coverage(seen, fitted).recall > 0.95
    assert coverage(unseen, fitted).recall > coverage(unseen, own).recall + 0.4
    assert fit_shapes(seen[:20], generations=2) == fit_shapes(seen[:20], generations=2)


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_the_search_never_loses(seed: int) -> None:
    """Whatever the boxes, recall is at least that of RetinaNet's own anchors."""
    boxes = boxes_of(np.random.default_rng(seed), 40, (20, 20), (120, 120))
    assert coverage(boxes, fit_shapes(boxes, generations=1, seed=seed)).recall >= coverage(boxes, AnchorShapes()).recall


def test_three_by_three_are_retinanets_own() -> None:
    """The start of the search is what the search is compared with."""
    spread = AnchorShapes.spread(3, 3)
    assert spread.scales == pytest.approx(AnchorShapes().scales)
    assert spread.ratios == pytest.approx(AnchorShapes().ratios)


def test_no_boxes_and_no_shapes_are_refused() -> None:
    """One line each, before anything is searched."""
    with pytest.raises(ShelfHelpError, match="no box"):
        fit_shapes(np.zeros((0, 4), np.float32))
    with pytest.raises(ValueError, match="above 0"):
        AnchorShapes((0.0,))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration as of a training, with drawn shelves alone."""
    source = {"kind": "drawn", "count": 3, "longest": 128}
    data = {
        "crop": 128,
        "picture": 128,
        "workers": 0,
        "crops_per_epoch": 20,
        "train": [{"path": str(tmp_path / "train"), "scale": [0.9, 1.1], **source}],
        "validate": [{"path": str(tmp_path / "test"), "seed": 1, **source}],
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"data": data}))
    return path


def test_the_tool_writes_what_a_training_takes(config: Path, tmp_path: Path) -> None:
    """Figures of both on both parts, and a file that ``--model.anchors`` reads."""
    from jsonargparse import ArgumentParser

    output = tmp_path / "anchors.yaml"
    arguments = ["--config", str(config), "--output", str(output), "--crops", "20", "--generations", "5"]
    result = CliRunner().invoke(anchors_command, [*arguments, "--scales", "2", "--ratios", "2"], catch_exceptions=False)
    own, fitted = (json.loads(line) for line in result.stdout.splitlines())
    assert fitted["recall"] >= own["recall"]
    assert {"held-out recall", "held-out overlap", "boxes"} <= set(fitted)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RetinaNetTraining, "model", sub_configs=True)
    read = parser.instantiate_classes(
        parser.parse_args(
            ["--model.anchors", str(output), "--model.backbone", "resnet18", "--model.weights", "none",
             "--model.channels", "32"]
        )
    ).model.hparams["anchors"]  # fmt: skip
    assert read == AnchorShapes(tuple(fitted["scales"]), tuple(fitted["ratios"]))


def test_the_viewer_draws_what_the_network_sees(config: Path, tmp_path: Path) -> None:
    """A sheet of crops and one of held-out pictures, each as large as its pictures need."""
    arguments = ["retinanet", "--config", str(config), "--output", str(tmp_path / "view"), "--count", "5"]
    result = CliRunner().invoke(view_command, [*arguments, "--columns", "3"], catch_exceptions=False)
    assert [Path(line).name for line in result.stdout.splitlines()] == ["train.png", "held_out.png"]
    assert load_image(tmp_path / "view" / "train.png").shape == (2 * 132 - 4, 3 * 132 - 4, 3)
    assert load_image(tmp_path / "view" / "held_out.png").shape == (128, 3 * 132 - 4, 3)


def test_boxes_and_regions_are_drawn_in_their_colours() -> None:
    """A product's frame is green; an ignored region is hatched in orange, and the rest of the picture stays."""
    target = {"boxes": torch.tensor([[40.0, 40, 60, 90]]), "ignore": torch.tensor([[70.0, 40, 110, 90]])}
    drawn = draw_target(torch.zeros(3, 128, 128), target)
    assert tuple(drawn[60, 40]) == PRODUCT
    inside = drawn[45:85, 75:105].reshape(-1, 3)
    hatched = (inside == IGNORED).all(axis=1).mean()
    assert 0.05 < hatched < 0.3
    assert not drawn[100:, :30].any()


def test_a_configuration_without_shelves_is_one_clear_line(tmp_path: Path) -> None:
    """A crop configuration is none of a detector."""
    path = tmp_path / "metric.yaml"
    path.write_text("data: {products: 4}")
    with pytest.raises(ShelfHelpError, match=r"metric\.yaml"):
        CliRunner().invoke(
            view_command, ["detector", "--config", str(path), "--output", str(tmp_path)], catch_exceptions=False
        )
