"""`shelfhelp-train`: the folder of a run, going on after a kill, several processes, and what is measured around it."""

from __future__ import annotations

import csv
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch
import yaml
from small_runs import EPOCHS, command, lay_out, process

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS, train_main
from shelfhelp_training.curves import read_curves
from shelfhelp_training.training import TrainingCLI


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with drawn packs and a configuration that learns them within seconds."""
    folder = tmp_path_factory.mktemp("workplace")
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SHELFHELP_DATA", str(folder))
        yield folder


def train(*arguments: str, start: bool = True) -> TrainingCLI:
    """A step of the classifier's training in this process."""
    return TrainingCLI("classifier", METHODS["classifier"], [*arguments, "--config", "packs.yaml"], start=start)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=False)["state_dict"]
    return state


@pytest.fixture(scope="module")
def whole(workplace: Path) -> Path:
    """The folder of a run that nobody interrupted."""
    train("fit", "--name", "whole")
    return workplace / "runs" / "classifier" / "whole"


def test_a_run_leaves_everything_in_its_folder(whole: Path) -> None:
    """What was run, on which data, with which code; its figures, curves and weights."""
    record = read(whole / "run.json")
    assert record["finished"]
    assert (record["method"], record["seed"], record["epochs"], record["steps"]) == (
        "classifier",
        5,
        EPOCHS,
        3 * EPOCHS,
    )
    assert record["commit"]
    assert record["data_hashes"]["train"][0]["pictures"] == 24
    assert len(record["data_hashes"]["validate"][0]["sha256"]) == 64
    assert record["figures"]["val_accuracy"] > 0
    config = yaml.safe_load((whole / "config.yaml").read_text())
    assert config["model"]["backbone"] == "test_resnet"
    for name in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "plots/loss.png", "plots/figures.png"):
        assert (whole / name).stat().st_size > 1000, name
    assert list((whole / "tensorboard").glob("events.*"))
    with (whole / "metrics.csv").open(newline="") as file:
        losses = [float(row["loss_step"]) for row in csv.DictReader(file) if row["loss_step"]]
    assert len(losses) == 3 * EPOCHS
    assert sum(losses[-6:]) < 0.7 * sum(losses[:6])


def test_data_hashes_follow_the_pictures(workplace: Path, whole: Path) -> None:
    """The same pictures give the same hash, one changed byte another."""
    from shelfhelp_training.data.hashes import source_hashes

    data = train("fit", "--name", "hashes", start=False).datamodule
    known = read(whole / "run.json")["data_hashes"]
    assert source_hashes(data) == known
    picture = next((workplace / "train").glob("*/*.png"))
    content = picture.read_bytes()
    picture.write_bytes(content + b"\0")
    changed = source_hashes(data)
    picture.write_bytes(content)
    assert changed["train"] != known["train"]
    assert changed["validate"] == known["validate"]


def test_a_killed_training_goes_on_to_the_same_weights(workplace: Path, whole: Path) -> None:
    """kill -9 in the middle of an epoch, then --resume: as if nothing had happened, and the curves are whole."""
    folder = workplace / "runs" / "classifier" / "killed"
    (workplace / "kill.yaml").write_text("trainer: {callbacks: [{class_path: small_runs.Killed}]}")
    with process("classifier", "fit", "--config", "packs.yaml", "--config", "kill.yaml", "--name", "killed") as running:
        _, errors = running.communicate(timeout=300)
    assert running.returncode == -signal.SIGKILL, errors
    assert not read(folder / "run.json")["finished"]
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)["epoch"] == 1

    # A checkpoint that a kill cut off is passed over.
    (folder / "checkpoints" / "cut.ckpt").write_bytes((folder / "checkpoints" / "last.ckpt").read_bytes()[:1000])
    resumed = train("fit", "--name", "killed", "--resume")
    assert resumed.trainer.current_epoch == EPOCHS
    record = read(folder / "run.json")
    assert record["finished"]
    assert len(record["commands"]) == 2
    expected = weights(whole / "checkpoints" / "last.ckpt")
    for name, weight in weights(folder / "checkpoints" / "last.ckpt").items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0, msg=name)
    curves, as_expected = read_curves(folder / "metrics.csv"), read_curves(whole / "metrics.csv")
    assert dict(curves["loss_step"]) == pytest.approx(dict(as_expected["loss_step"]))


def test_names_are_not_used_twice(whole: Path) -> None:
    """A slip must not overwrite a training of days; nor does --resume begin something new by itself."""
    with pytest.raises(ShelfHelpError, match="--resume goes on with it"):
        train("fit", "--name", "whole")
    with pytest.raises(ShelfHelpError, match="no run to resume"):
        train("fit", "--resume", "--runs", "elsewhere")


def test_what_is_measured_is_the_best_checkpoint_of_the_run(whole: Path) -> None:
    """A test without further words takes the run's own weights, and writes beside them."""
    train("test", "--name", "whole")
    found = read(whole / "test.json")
    assert found["checkpoint"].endswith("checkpoints/best.ckpt")
    assert found["figures"]["test_accuracy"] == pytest.approx(read_best(whole), abs=1e-6)
    assert (whole / "test" / "confusion.png").is_file()
    assert yaml.safe_load((whole / "config.yaml").read_text())["trainer"]["max_epochs"] == EPOCHS


def read_best(run: Path) -> float:
    return max(value for _, value in read_curves(run / "metrics.csv")["val_accuracy"])


def test_two_processes_train_together(workplace: Path) -> None:
    """Lightning's DDP over gloo on two CPU processes: each batch is seen by one of them, and both write one run."""
    arguments = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.sync_batchnorm", "true"]
    common = ["classifier", "fit", "--config", "packs.yaml", "--data.batch_size", "6", "--trainer.max_epochs", "2"]
    # PyTorch's SyncBatchNorm runs on GPUs alone, so on CPUs it can only be seen to be asked for.
    assert train("fit", *arguments, start=False).trainer.strategy._layer_sync is not None  # type: ignore[attr-defined]
    with process(*common, *arguments[:4]) as running:
        _, errors = running.communicate(timeout=400)
    assert running.returncode == 0, errors
    runs = [path for path in (workplace / "runs" / "classifier").glob("*/run.json") if read(path)["devices"] == 2]
    assert len(runs) == 1
    record = read(runs[0])
    assert record["finished"]
    # 24 pictures, 6 a batch and process: two steps an epoch.
    assert (record["epochs"], record["steps"]) == (2, 4)
    assert record["figures"]["val_accuracy"] >= 0


# Lightning's own flags, all at once. Nothing improves by a hundred, so that early stopping ends it after two epochs.
FLAGS = {
    "deterministic": True,
    "precision": "bf16-mixed",
    "accumulate_grad_batches": 2,
    "gradient_clip_val": 0.05,
    "callbacks": [
        {
            "class_path": "pytorch_lightning.callbacks.EarlyStopping",
            "init_args": {"monitor": "val_loss", "min_delta": 100.0, "patience": 1},
        }
    ],
    "logger": [
        {"class_path": f"pytorch_lightning.loggers.{name}", "init_args": {"save_dir": "logs", "name": name}}
        for name in ("CSVLogger", "TensorBoardLogger")
    ],
}


class Norms(pl.Callback):
    """Keeps the norm of the gradient of every step, as it was taken."""

    def __init__(self) -> None:
        self.norms: dict[int, float] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *rest: object) -> None:
        gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
        if (trainer.fit_loop.batch_idx + 1) % 2 == 0:
            self.norms[trainer.global_step] = float(torch.nn.utils.get_total_norm(gradients))


def test_a_configuration_sets_lightnings_own_flags(workplace: Path) -> None:
    """Determinism, precision, accumulation, clipping, early stopping and loggers; the same seed, the same weights."""
    settings = yaml.safe_load((workplace / "packs.yaml").read_text())
    settings["trainer"] |= FLAGS
    settings["data"]["batch_size"] = 6
    (workplace / "flags.yaml").write_text(yaml.safe_dump(settings))
    norms = Norms()
    try:
        arguments = ["fit", "--config", "flags.yaml", "--name", "flags"]
        trainer: Any = TrainingCLI("classifier", METHODS["classifier"], arguments, [norms]).trainer
        assert torch.are_deterministic_algorithms_enabled()
        for name, seed in (("again", "5"), ("other", "6")):
            flags = ["--config", "flags.yaml", "--name", name, "--seed_everything", seed]
            assert command(train_main, "classifier", "fit", *flags) == 0
    finally:
        torch.use_deterministic_algorithms(False)
    assert trainer.precision == "bf16-mixed"
    # Four batches an epoch, two of them a step.
    assert (trainer.current_epoch, trainer.global_step) == (2, 4)
    assert norms.norms == pytest.approx(dict.fromkeys((1, 2, 3, 4), 0.05), rel=0.01)
    logs = workplace / "logs"
    assert len(list(logs.glob("TensorBoardLogger/version_*/events.*"))) == 3
    assert len(read_curves(logs / "CSVLogger" / "version_0" / "metrics.csv")["val_accuracy"]) == 2

    runs = workplace / "runs" / "classifier"
    first, again, other = (weights(runs / name / "checkpoints" / "last.ckpt") for name in ("flags", "again", "other"))
    for name, weight in first.items():
        torch.testing.assert_close(again[name], weight, rtol=0, atol=0, msg=name)
    assert any(not torch.equal(weight, other[name]) for name, weight in first.items())


def test_weights_and_biases_keeps_a_log_offline(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thing, without an account or a network."""
    wandb = pytest.importorskip("wandb", reason="wandb comes with the extra 'wandb'")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train("fit", "--name", "logged", "--wandb", "offline", "--trainer.max_epochs", "1")
    wandb.finish()
    folder = workplace / "runs" / "classifier" / "logged"
    deadline = time.monotonic() + 60

    def written() -> bool:
        return any(path.stat().st_size > 1000 for path in folder.glob("wandb/offline-run-*/*.wandb"))

    # A process of its own writes it; on a busy machine that ends later than ``finish``.
    while not written() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert written()
    assert (folder / "metrics.csv").is_file()


def test_a_learning_rate_is_found(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture, the curve as numbers, and a suggestion within the limits; no run is left to be resumed."""
    arguments = ["--steps", "30", "--min-lr", "1e-4", "--max-lr", "1", "--config", "packs.yaml", "--runs", "rates"]
    assert command(train_main, "classifier", "find-lr", *arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 1e-4 < found["learning_rate"] < 1
    curve = workplace / found["curve"]
    assert curve.stat().st_size > 1000
    rates = read(curve.with_suffix(".json"))["lr"]
    assert rates == sorted(rates)
    assert not list((workplace / "rates").rglob("*.ckpt"))
    assert not list((workplace / "rates").rglob("run.json"))


def test_an_unknown_setting_is_named(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, without a traceback, and with the command that lists those there are."""
    assert command(train_main, "classifier", "fit", "--config", "packs.yaml", "--model.colour", "red") == 2
    said = capsys.readouterr().err
    assert "colour" in said
    assert "shelfhelp-train classifier fit --help" in said
