"""Trainings of vectors on any backbone, for real on drawn packs: one-shot recognition, image towers, distillation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import cache as cache_results
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import ModelCard, load_card
from shelfhelp_ros.inference.session import open_session
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.checkpoints import read_checkpoint
from shelfhelp_training.cli import evaluate_main, export_main
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.image_data import ImageData
from shelfhelp_training.epoch_seeds import EpochSeeds
from shelfhelp_training.evaluation.embedded import read_embeddings, retrieval
from shelfhelp_training.evaluation.retrieval import across_photos
from shelfhelp_training.methods.clip import PROBE_FILE, ClipTraining
from shelfhelp_training.methods.distill import Distillation, DistillationLoss
from shelfhelp_training.methods.embedder import load_trained
from shelfhelp_training.methods.embedding import EmbeddingTraining
from shelfhelp_training.methods.encoder_export import export_encoder
from shelfhelp_training.methods.one_shot import LOSSES, LossName, OneShotTraining
from shelfhelp_training.record import TrainingRecord
from shelfhelp_training.teacher import cache_name, class_means, teacher_vectors
from shelfhelp_training.training import names_classes

CONFIGS = Path(__file__).resolve().parents[2] / "config" / "training"
SIDE = 48
TOWER_SIDE = 64
SEEN = CropSource("drawn", "seen", count=24, seed=1, photos=4)
UNSEEN = CropSource("drawn", "unseen", count=24, seed=2, photos=3)
NETWORK: dict[str, Any] = {"backbone": "timm/test_resnet", "pretrained": False, "image_size": SIDE, "dimensions": 32}
# Recall@1 on packs it never showed that a training of seconds must add to what the untrained network has.
MARGIN = 0.06


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def make_data(cache: Path, batches: int | None = None) -> ImageData:
    """Batches of eight packs with three photographs each."""
    return ImageData(
        [SEEN], validate=[UNSEEN], size=SIDE, batch_size=24, per_class=3, batches_per_epoch=batches, cache=cache,
        root=cache,
    )  # fmt: skip


class Watch(pl.Callback):
    """Keeps the loss of every epoch, the triplets it was made of, and the figures after it."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.triplets: list[str] = []
        self.figures: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["loss_epoch"]))
        self.triplets.append(getattr(module.loss, "triplets", ""))
        self.figures = {name: float(value) for name, value in trainer.callback_metrics.items()}


def make_trainer(folder: Path, epochs: int, *callbacks: pl.Callback) -> pl.Trainer:
    checkpoints = ModelCheckpoint(folder, filename="{epoch}", save_last=True, save_top_k=-1)
    return pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[TrainingRecord(), EpochSeeds(), checkpoints, *callbacks], default_root_dir=folder,
        num_sanity_val_steps=0, gradient_clip_val=1.0,
    )  # fmt: skip


def recall(module: EmbeddingTraining, cache: Path) -> float:
    """Recall@1 on the packs that are in no training."""
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    return float(trainer.validate(module, make_data(cache), verbose=False)[0]["val_recall"])


def recall_of(encoder: Encoder, cache: Path) -> float:
    """The same of an encoder that is shown the crops as the robot shows them."""
    crops = load_crops(UNSEEN, cache)
    vectors = encoder.embed([crop.tight for crop in crops])
    return across_photos(vectors, [crop.product for crop in crops], [crop.photo for crop in crops]).recall


def one_shot(**options: Any) -> OneShotTraining:
    pl.seed_everything(0)
    return OneShotTraining(**{**NETWORK, "learning_rate": 3e-3, "warm_up": 4, "semihard_from": 5, **options})


@pytest.fixture(scope="module")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    """The folder of a short training with triplets, and what was seen of it."""
    folder, watch = tmp_path_factory.mktemp("one_shot"), Watch()
    make_trainer(folder, 6, watch).fit(one_shot(), datamodule=make_data(cache, 8))
    return folder, watch


@pytest.fixture(scope="module")
def exported() -> Callable[[Path], tuple[Path, ModelCard]]:
    """The export of a run, made once: the model's path and what the exporter said of it."""

    @cache_results
    def export(run: Path) -> tuple[Path, ModelCard]:
        output = run / "models" / "encoder.onnx"
        return output, export_encoder([run / "last.ckpt"], output)

    return export


def test_triplets_teach_packs_never_seen(trained: tuple[Path, Watch], cache: Path) -> None:
    """The loss falls, harder triplets follow, and recall on unseen packs beats the untrained network's."""
    _, watch = trained
    assert watch.losses[4] < 0.9 * watch.losses[0]
    assert watch.triplets == ["all"] * 5 + ["semihard"]
    before = recall(one_shot(), cache)
    assert watch.figures["val_recall"] > before + MARGIN


def test_a_resumed_training_ends_at_the_same_weights(trained: tuple[Path, Watch], cache: Path, tmp_path: Path) -> None:
    """An interruption after the fifth epoch changes nothing."""
    folder, _ = trained
    make_trainer(tmp_path, 6).fit(
        one_shot(), datamodule=make_data(cache, 8), ckpt_path=folder / "epoch=4.ckpt", weights_only=False
    )
    once = read_checkpoint(folder / "last.ckpt")["state_dict"]
    for name, weight in read_checkpoint(tmp_path / "last.ckpt")["state_dict"].items():
        torch.testing.assert_close(weight, once[name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_pulls_products_together(name: LossName) -> None:
    """Free vectors, moved along the gradient of any of the losses, come to lie with their products."""
    torch.manual_seed(0)
    labels = torch.arange(6).repeat_interleave(3)
    vectors = torch.randn(18, 8, requires_grad=True)
    loss = LOSSES[name](6, 8, 0.2)
    optimiser = torch.optim.Adam([vectors, *loss.parameters()], lr=0.2)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(vectors, labels)
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.7 * values[0]
    near = torch.cdist(*[torch.nn.functional.normalize(vectors.detach())] * 2).fill_diagonal_(9).argmin(dim=1)
    assert (labels[near] == labels).all()


def test_batches_are_so_many_products_with_so_many_pictures(cache: Path) -> None:
    """P is eight and K is three, in every batch."""
    data = make_data(cache)
    data.setup("fit")
    for batch in data.train_dataloader():
        _, counts = batch["labels"].unique(return_counts=True)
        assert counts.tolist() == [3] * 8


def test_predictions_are_a_file_of_embeddings(cache: Path, tmp_path: Path) -> None:
    """What *predict* writes is what the evaluation of retrieval reads."""
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
    module = one_shot()
    trainer.predict(module, datamodule=make_data(cache))
    found = read_embeddings(tmp_path / "embeddings.npz")
    assert found.vectors.shape == (UNSEEN.count * UNSEEN.photos, 32)
    assert float(retrieval(found, found).recall) == pytest.approx(recall(module, cache), abs=1e-6)


def test_first_blocks_stay_and_rates_fall_late(cache: Path, tmp_path: Path) -> None:
    """Frozen layers keep their weights; from the given epoch on the rate falls a thousandfold to the end."""
    module = one_shot(frozen_layers=2, decay_from=1, warm_up=0)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    make_trainer(tmp_path, 2).fit(module, datamodule=make_data(cache, 2))
    frozen = {id(p) for layer in module.backbone.layers()[:2] for p in layer.parameters()}
    moved = {id(p): not torch.equal(p, before[name]) for name, p in module.named_parameters()}
    assert frozen
    assert not any(moved[key] for key in frozen)
    assert any(moved[key] for key in moved.keys() - frozen)
    assert [module.rate_factor(step) for step in range(5)] == pytest.approx([1, 1, 1, 1000**-0.5, 1e-3])


@pytest.fixture(scope="module")
def tower(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Watch]:
    """A tiny OpenCLIP tower, probed and fine-tuned with averaged weights; its run's folder."""
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch comes with the extra 'training'")
    folder, watch = tmp_path_factory.mktemp("clip"), Watch()
    vision = {"image_size": TOWER_SIDE, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    config = folder / "RN-Tiny.json"
    config.write_text(json.dumps({"embed_dim": 48, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(config)
    trainer = make_trainer(folder, 6, watch, EMAWeightAveraging(decay=0.5, use_buffers=False))
    trainer.fit(tower_training(), datamodule=make_data(cache, 8))
    return folder, watch


def tower_training(**options: Any) -> ClipTraining:
    pl.seed_everything(0)
    return ClipTraining(
        **{
            **NETWORK, "backbone": "open_clip/RN-Tiny", "image_size": TOWER_SIDE, "gradient_checkpointing": True,
            "probe_rate": 1e-2, "learning_rate": 3e-3, "layer_decay": 0.9, "warm_up": 4, "scale": 16.0, "centres": 2,
            **options,
        }
    )  # fmt: skip


def test_a_tower_is_probed_and_then_fine_tuned(tower: tuple[Path, Watch], cache: Path) -> None:
    """The probe leaves the tower as it was; fine-tuning moves it, and recall on unseen packs beats the untrained."""
    folder, watch = tower
    start = tower_training()
    probe, last = (read_checkpoint(folder / name)["state_dict"] for name in (PROBE_FILE, "last.ckpt"))
    for name, weight in start.backbone.state_dict().items():
        torch.testing.assert_close(probe[f"backbone.{name}"], weight)
    weight = "backbone.body.layer3.0.conv2.weight"
    assert not torch.allclose(probe[weight], last[weight])
    assert not torch.allclose(probe["embedding.weight"], start.embedding.state_dict()["weight"])
    assert watch.losses[-1] < 0.9 * watch.losses[0]
    assert watch.figures["val_recall"] > recall(start, cache) + MARGIN


def test_margins_follow_the_pictures_of_the_data(cache: Path) -> None:
    """A class with four pictures has the margin 0.05 + 0.5 · 4^-¼."""
    data = make_data(cache)
    data.setup("fit")
    loss = tower_training(backbone="timm/test_resnet", gradient_checkpointing=False).make_loss(data)
    torch.testing.assert_close(loss.margins, torch.full((24,), 0.05 + 0.5 * 4**-0.25))


def run(main: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return int(exit_.value.code or 0)


def test_the_line_between_probe_and_fine_tuned_network_is_measured(
    tower: tuple[Path, Watch], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its ends the sweep measures the two networks themselves; curve and table are drawn; a point can be kept."""
    monkeypatch.setenv("SHELFHELP_DATA", str(cache))
    sets = tmp_path / "sets.yaml"
    queries = {"kind": "drawn", "name": "unseen", "count": UNSEEN.count, "seed": UNSEEN.seed, "photos": UNSEEN.photos}
    sets.write_text(yaml.safe_dump([{"name": "packs", "queries": [queries]}]))
    ends = tower[0] / PROBE_FILE, tower[0] / "last.ckpt"
    between = ["--start", ends[0], "--end", ends[1], "--output"]
    folder = tmp_path / "wise"
    assert run(evaluate_main, monkeypatch, "wise-ft", *between, folder, "--config", sets, "--steps", 2) == 0
    rows = json.loads((folder / "figures.json").read_text())
    assert [row["alpha"] for row in rows] == [0.0, 0.5, 1.0]
    for row, end in ((rows[0], ends[0]), (rows[-1], ends[1])):
        assert row["packs"] == pytest.approx(recall_of(load_trained([end]).encoder(), cache), abs=1e-6)
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "table.md").read_text().count("\n") == 5

    assert run(export_main, monkeypatch, "wise-ft", *between, tmp_path / "half.ckpt") == 0
    half, (start, end) = load_trained([tmp_path / "half.ckpt"]), (load_trained([path]) for path in ends)
    for name, weight in half.network.named_parameters():
        middle = (start.network.state_dict()[name] + end.network.state_dict()[name]) / 2
        torch.testing.assert_close(weight.detach(), middle)
    assert half.record["wise_ft"]["alpha"] == 0.5
    soup = ["--checkpoint", ends[0], "--checkpoint", ends[1], "--output", tmp_path / "soup.ckpt"]
    assert run(export_main, monkeypatch, "soup", *soup) == 0
    uniform = load_trained([tmp_path / "soup.ckpt"]).network.state_dict()
    for name, weight in half.network.state_dict().items():
        torch.testing.assert_close(uniform[name], weight)
    assert run(export_main, monkeypatch, "soup", *soup, "--greedy", sets) == 0
    best = recall_of(load_trained([tmp_path / "soup.ckpt"]).encoder(), cache)
    assert best >= max(row["packs"] for row in (rows[0], rows[-1])) - 1e-6


@pytest.mark.parametrize("which", ["one_shot", "tower"])
def test_the_export_agrees_with_pytorch(
    which: str,
    request: pytest.FixtureRequest,
    cache: Path,
    exported: Callable[[Path], tuple[Path, ModelCard]],
) -> None:
    """From the checkpoint of any method to an encoder the robot loads: the same vectors for the same crops."""
    folder = request.getfixturevalue("trained" if which == "one_shot" else which)[0]
    output, card = exported(folder)
    assert load_card(output) == card
    side = SIDE if which == "one_shot" else TOWER_SIDE
    assert (card.input.height, card.input.width, card.embedding.dimensions) == (side, side, 32)  # type: ignore[union-attr]
    assert card.training["steps"] == 48
    crops = [crop.tight for crop in load_crops(UNSEEN, cache)[:17]]
    expected = load_trained([folder / "last.ckpt"]).encoder().embed(crops)
    found = Encoder.load(output.parent, "cpu", 1).embed(crops)
    np.testing.assert_allclose((found * expected).sum(axis=1), 1, atol=1e-4)


def test_a_student_comes_near_its_teacher(
    trained: tuple[Path, Watch], cache: Path, exported: Callable[[Path], tuple[Path, ModelCard]], tmp_path: Path
) -> None:
    """The exported network teaches another: the loss falls, unseen packs are known better than before, ONNX agrees."""
    teacher, _ = exported(trained[0])
    pl.seed_everything(1)
    options = {**NETWORK, "dimensions": 24, "teacher": str(teacher), "cache": cache, "logits": 0.2}
    student = Distillation(**options, learning_rate=3e-3, warm_up=4)
    before = recall(student, cache)
    watch = Watch()
    make_trainer(tmp_path, 6, watch).fit(student, datamodule=make_data(cache, 8))
    assert watch.losses[-1] < 0.8 * watch.losses[0]
    assert watch.figures["val_recall"] > before + MARGIN
    output = tmp_path / "student" / "encoder.onnx"
    assert export_encoder([tmp_path / "last.ckpt"], output).name == "timm-test_resnet-products"
    crops = [crop.tight for crop in load_crops(UNSEEN, cache)[:5]]
    expected = load_trained([tmp_path / "last.ckpt"]).encoder().embed(crops)
    found = Encoder(load_card(output), open_session(output, "cpu", 1)).embed(crops)
    np.testing.assert_allclose((found * expected).sum(axis=1), 1, atol=1e-4)


def test_a_teacher_is_asked_once(trained: tuple[Path, Watch], cache: Path, tmp_path: Path) -> None:
    """An interrupted embedding goes on where it stopped; other data and other networks have files of their own."""
    data = make_data(cache)
    data.setup("fit")
    teacher = trained[0] / "last.ckpt"
    once = np.array(teacher_vectors(teacher, data, tmp_path))
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), 1, atol=1e-5)
    path = tmp_path / f"{cache_name(teacher, data)}.vectors"
    torn = np.concatenate([np.full((70, 32), 7, np.float32).ravel(), np.ones(5, np.float32)])
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(torn.tobytes())
    resumed = np.array(teacher_vectors(teacher, data, tmp_path))
    assert (resumed[:70] == 7).all()
    np.testing.assert_allclose(resumed[70:], once[70:], atol=1e-5)
    assert cache_name(trained[0] / "epoch=0.ckpt", data) != cache_name(teacher, data)
    np.save(tmp_path / "vectors.npy", 3 * once)
    np.testing.assert_allclose(teacher_vectors(tmp_path / "vectors.npy", data, tmp_path), once, atol=1e-6)
    np.save(tmp_path / "short.npy", once[:5])
    for wrong, reason in (("short.npy", "need a finite vector each"), ("none.ckpt", "is missing")):
        with pytest.raises(ShelfHelpError, match=reason):
            teacher_vectors(tmp_path / wrong, data, tmp_path)


def test_terms_of_distillation_have_their_values() -> None:
    """A student a right angle away from one of two vectors: half a cosine is lost; the same vectors cost nothing."""
    vectors = torch.eye(2, dtype=torch.float64)
    means = torch.from_numpy(class_means(np.eye(2, dtype=np.float32), np.array([0, 1]), 2)).double()
    both = vectors[[0, 0]]
    for weights, expected in (((1, 0, 0, 0), 0.5), ((0, 0, 0, 1), 0.5 * 2 * np.tanh(1.0))):
        loss = DistillationLoss(2, means, weights, 0.5)  # type: ignore[arg-type]
        torch.testing.assert_close(loss(both, vectors), torch.tensor(expected, dtype=torch.float64))
        assert loss(3 * vectors, vectors) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("config", "method"), [("clip.yaml", ClipTraining), ("metric_sop.yaml", OneShotTraining)])
def test_published_settings_make_their_network(config: str, method: type[EmbeddingTraining]) -> None:
    """ViT-H/14 and Swin V2 as their files ask for them, without the memory they would take."""
    pytest.importorskip("open_clip", reason="open_clip_torch comes with the extra 'training'")
    model = yaml.safe_load((CONFIGS / config).read_text())["model"]
    with torch.device("meta"):
        module = method(**{**model.get("init_args", model), "pretrained": False})
    weights = sum(parameter.numel() for parameter in module.backbone.parameters()) / 1e6
    assert weights == pytest.approx({"clip.yaml": 632, "metric_sop.yaml": 87}[config], abs=1)
    assert module.embedding.out_features == 512


def test_a_configuration_may_name_its_classes() -> None:
    """The robot's encoder is what `metric` means without; the small configuration names another class."""
    assert names_classes(["fit", "--config", str(CONFIGS / "small" / "metric.yaml")])
    assert names_classes(["fit", f"--config={CONFIGS / 'metric_sop.yaml'}", "--trainer.max_epochs", "1"])
    assert not names_classes(["fit", "--config", str(CONFIGS / "metric.yaml")])
    assert not names_classes(["fit", "--help"])


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    """A line that says which file and what to give instead."""
    (tmp_path / "text.ckpt").write_text("nothing")
    torch.save({"state_dict": {"detector.weight": torch.zeros(1)}}, tmp_path / "other.ckpt")
    for name in ("text.ckpt", "other.ckpt", "missing.ckpt"):
        with pytest.raises(ShelfHelpError, match=name.replace(".", r"\.")):
            load_trained([tmp_path / name])
