"""Classification from logits, a checkpoint and an ONNX: figures against scikit-learn, and what the command writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")
pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, top_k_accuracy_score

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.cli import evaluate_main, export_main
from shelfhelp_training.evaluation.named_pictures import NamedPictures, figures, numbers_of, page_rows, read_logits
from shelfhelp_training.methods.class_network import open_namer
from shelfhelp_training.methods.classifier import ClassifierTraining

CLASSES = tuple(f"class {number}" for number in range(8))


def answers(seed: int, count: int = 60) -> NamedPictures:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 8, count)
    logits = rng.normal(size=(count, 8)).astype(np.float32)
    logits[np.arange(count), truth] += 1.0
    return NamedPictures(logits, truth, CLASSES)


@given(st.integers(0, 100_000))
@settings(max_examples=20, deadline=None)
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    """On random logits; intervals hold their figures."""
    named = answers(seed)
    found, called = figures(named), named.called
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(named.truth, called))
    for average in ("macro", "weighted"):
        labels = np.unique(named.truth)
        expected = f1_score(named.truth, called, labels=labels, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(expected)
        expected = precision_score(named.truth, called, labels=labels, average=average, zero_division=0)
        assert found[f"precision_{average}"] == pytest.approx(expected)
    expected = top_k_accuracy_score(named.truth, named.logits, k=5, labels=range(8))
    assert found["accuracy_top5"] == pytest.approx(expected)
    for name in ("accuracy", "balanced_accuracy"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def run(main: object, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["shelfhelp", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()  # type: ignore[operator]
    return int(stop.value.code or 0)


def test_a_file_of_logits_gives_tables_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels by name; what is printed is what is written."""
    named = answers(0)
    np.savez(tmp_path / "a.npz", logits=named.logits, labels=[CLASSES[n] for n in named.truth], classes=CLASSES)
    out = tmp_path / "out"
    arguments = ["classification", "--logits", str(tmp_path / "a.npz"), "--output", str(out)]
    assert run(evaluate_main, arguments, monkeypatch) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["accuracy"] == pytest.approx((named.called == named.truth).mean(), abs=1e-4)
    assert {"test_set": "a.npz", **json.loads((out / "classification.json").read_text())["figures"]} == printed
    assert {"report.md", "per_class.csv", "confusion.png", "gallery.html"} <= {p.name for p in out.iterdir()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClassifierTraining]:
    """A classifier of four drawn packs whose last layer was set by the packs' own features, and a folder of them."""
    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    training = ClassifierTraining("resnet10t", pretrained=False, image_size=64).eval()
    products = make_products(0, 4, near_duplicates=0.0)
    faces = [cv2.resize(draw_face(product, 128), (64, 64)) for product in products]
    training._prepare([f"drawn/{product.id}" for product in products], [1] * 4)
    training.eval()
    pixels = torch.from_numpy(np.stack(faces)[..., ::-1].transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        features = training.backbone(training.plain(pixels))
        middle = features.mean(dim=0)
        directions = 20 * torch.nn.functional.normalize(features - middle)
        training.head[1].weight.copy_(directions)
        training.head[1].bias.copy_(-directions @ middle)
    for product, face in zip(products, faces, strict=True):
        (folder / "photos" / product.id).mkdir(parents=True)
        cv2.imwrite(str(folder / "photos" / product.id / "1.png"), face)
    saved: dict[str, object] = {"state_dict": training.state_dict(), "hyper_parameters": dict(training.hparams)}
    training.on_save_checkpoint(saved)
    torch.save(saved, folder / "classifier.ckpt")
    return folder, training


def test_checkpoint_and_export_say_what_the_training_says(
    checkpoint: tuple[Path, ClassifierTraining], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same logits from all three, and the same figures of a folder of photos."""
    folder, training = checkpoint
    model = folder / "classifier.onnx"
    arguments = ["classifier", "--checkpoint", str(folder / "classifier.ckpt"), "--output", str(model)]
    assert run(export_main, arguments, monkeypatch) == 0
    pictures = [cv2.imread(str(path)) for path in sorted((folder / "photos").glob("*/*.png"))]
    pixels = torch.from_numpy(np.stack(pictures)[..., ::-1].transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        expected = training.logits(pixels).numpy()
    rows = []
    for path in (folder / "classifier.ckpt", model):
        np.testing.assert_allclose(open_namer(path).logits(pictures), expected, atol=1e-2)
        capsys.readouterr()
        arguments = ["classification", "--classifier", str(path), "--images", str(folder / "photos")]
        assert run(evaluate_main, [*arguments, "--output", str(folder / "out")], monkeypatch) == 0
        rows.append(json.loads(capsys.readouterr().out))
    assert rows[0] == rows[1]
    assert rows[0]["accuracy"] == 1.0
    assert (folder / "out" / "gallery.html").read_text().count("right: ") >= 4


def test_the_surest_mistakes_come_first(tmp_path: Path) -> None:
    """And what the class really is stands below them."""
    logits = np.array([[9, 0, 0], [2, 0, 0], [0, 3, 0]], np.float32)
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    named = NamedPictures(logits, np.array([1, 1, 1]), ("a", "b", "c"), paths)
    ((first, second, third),) = page_rows(named, 5, 5)
    assert [shown.right for shown in (first, second, third)] == [False, False, True]
    assert first.caption == "a, 1.00; is b"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": [0]}, "logits"),
        ({"logits": np.eye(3), "labels": [0, 1]}, "3 labels|labels"),
        ({"logits": np.eye(3), "labels": [0, 1, 3]}, "beyond"),
        ({"logits": np.eye(3), "labels": ["a", "b", "d"], "classes": ["a", "b", "c"]}, "d is none"),
        ({"logits": np.eye(3), "labels": [0, 1, 2], "classes": ["a", "b"]}, "2 classes"),
    ],
)
def test_a_wrong_file_is_one_clear_line(arrays: dict[str, object], said: str, tmp_path: Path) -> None:
    """What does not fit is named."""
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(ShelfHelpError, match=said):
        read_logits(tmp_path / "wrong.npz")


def test_classes_are_known_with_and_without_their_source() -> None:
    """Folders are named like products, not like a training's sources."""
    assert numbers_of(["milk", "drawn/tea"], ["drawn/tea", "drawn/milk"]).tolist() == [1, 0]


def test_an_encoder_is_no_classifier(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear line, and so is a command without anything to measure."""
    model = Path(__file__).parents[2] / "shelfhelp_ros" / "models" / "encoder.onnx"
    assert run(evaluate_main, ["classification", "--classifier", str(model), "--images", "."], monkeypatch) == 1
    assert "no classifier" in capsys.readouterr().err
    assert run(evaluate_main, ["classification"], monkeypatch) == 1
    assert "--logits" in capsys.readouterr().err
