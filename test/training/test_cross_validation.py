"""`shelfhelp-train METHOD cross-validate`: Freiburg's splits in turn, mean and deviation, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import yaml
from drawn_products import photograph_products
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import command

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS, train_main
from shelfhelp_training.commands.train_cross_validate import summarise
from shelfhelp_training.training import TrainingCLI

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "config" / "training" / "classifier_freiburg.yaml"
CLASSES, PHOTOS, FOLDS, EPOCHS = 5, 8, 2, 8
# The published configuration, but small and on one core.
SMALL = {
    "trainer.accelerator": "cpu", "trainer.precision": "32-true", "trainer.max_epochs": EPOCHS,
    "trainer.log_every_n_steps": 1, "trainer.enable_progress_bar": False, "trainer.enable_model_summary": False,
    "model.backbone": "test_resnet", "model.pretrained": False, "model.image_size": 32, "model.augmentation": "none",
    "model.warm_up": 1, "model.learning_rate": 0.003, "data.size": 36, "data.batch_size": 4, "data.workers": 0,
    "data.cache": None,
}  # fmt: skip
FLAGS = [f"--{key}={json.dumps(value) if value is None else str(value).lower()}" for key, value in SMALL.items()]


class PowerCut(pl.Callback):
    """Ends a training in the middle of its third epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("power cut")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with packs laid out like Freiburg Groceries: half of the pictures are tested in each split."""
    folder = tmp_path_factory.mktemp("folds")
    root = folder / "freiburg_groceries"
    photograph_products(root / "images", seed=1, count=CLASSES, photos=PHOTOS, height=40, width=32)
    names = sorted(str(path.relative_to(root / "images")) for path in (root / "images").glob("*/*.png"))
    (root / "splits").mkdir()
    for fold in range(FOLDS):
        for part in ("train", "test"):
            of_part = [n for i, n in enumerate(names) if (i % FOLDS == fold) == (part == "test")]
            (root / "splits" / f"{part}{fold}.txt").write_text("".join(f"{name} 0\n" for name in of_part))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SHELFHELP_DATA", str(folder))
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def take(step: str, fold: int, *callbacks: pl.Callback) -> None:
    """A step of one fold in this process, as cross-validate takes it in another."""
    settings_of = Path(f"fold{fold}.yaml")
    settings_of.write_text(CONFIG.read_text(encoding="utf-8").replace("{fold}", str(fold)))
    arguments = [step, "--config", str(settings_of), "--name", f"folds/fold{fold}", *FLAGS]
    TrainingCLI("classifier", METHODS["classifier"], arguments, callbacks)


def test_folds_are_gone_through_once(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """{fold} becomes the number; what is done stays, what was interrupted goes on; mean and deviation of the figures.

    The first fold was done and the second interrupted when the command is given. A part of the data is missing at
    first: the fold that fails is named, and the same command goes on when that is mended.
    """
    for step in ("fit", "test"):
        take(step, 0)
    with pytest.raises(RuntimeError, match="power cut"):
        take("fit", 1, PowerCut())
    folder = workplace / "runs" / "classifier" / "folds"
    before = (folder / "fold0" / "run.json").read_bytes()
    cross_validate = ["classifier", "cross-validate", "--config", str(CONFIG), "--folds", str(FOLDS), *FLAGS]

    split = workplace / "freiburg_groceries" / "splits" / "train1.txt"
    split.rename(split.with_suffix(".away"))
    capfd.readouterr()
    assert command(train_main, *cross_validate) == 1
    said = capfd.readouterr().err
    assert said.splitlines()[-1].startswith("shelfhelp-train classifier: error: fold 1 failed")
    assert "train1.txt" in said
    assert "Traceback" not in said
    assert not (folder / "folds.json").exists()
    split.with_suffix(".away").rename(split)

    assert command(train_main, *cross_validate) == 0
    table = (folder / "folds.md").read_text()
    assert capfd.readouterr().out.endswith(table)
    assert (folder / "fold0" / "run.json").read_bytes() == before
    records = [read(folder / f"fold{fold}" / "run.json") for fold in range(FOLDS)]
    assert [len(record["commands"]) for record in records] == [1, 2]
    assert [record["epochs"] for record in records] == [EPOCHS] * FOLDS
    assert len({record["data_hashes"]["train"][0]["sha256"] for record in records}) == FOLDS
    for fold in range(FOLDS):
        data = yaml.safe_load((folder / f"fold{fold}" / "config.yaml").read_text())["data"]
        assert (data["train"][0]["part"], data["test"][0]["part"]) == (f"train{fold}", f"test{fold}")

    found = read(folder / "folds.json")
    accuracy = [of["test_accuracy"] for of in found["folds"]]
    assert accuracy == [read(folder / f"fold{fold}" / "test.json")["figures"]["test_accuracy"] for fold in range(FOLDS)]
    assert mean(accuracy) > 1 / CLASSES + 0.2
    assert found["summary"]["test_accuracy"] == pytest.approx({"mean": mean(accuracy), "deviation": stdev(accuracy)})
    line = f"| test_accuracy | {mean(accuracy):.4f} | {stdev(accuracy):.4f} |"
    assert line in table

    # Given again, there is nothing left to do but to say it again.
    written = [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.ckpt"))]
    assert command(train_main, *cross_validate) == 0
    assert capfd.readouterr().out == table
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.ckpt"))] == written


def test_a_configuration_of_folds_is_for_cross_validate_alone(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one without folds is not; both say what to do."""
    with pytest.raises(ShelfHelpError, match="cross-validate puts the number in"):
        TrainingCLI("classifier", METHODS["classifier"], ["fit", "--config", str(CONFIG)])
    plain = REPOSITORY / "config" / "training" / "small" / "classifier.yaml"
    assert command(train_main, "classifier", "cross-validate", "--config", str(plain)) == 1
    assert "names no {fold}" in capsys.readouterr().err


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_mean_and_deviation_over_folds(values: list[float]) -> None:
    """Those of a sample; one fold has no deviation."""
    found = summarise([{"accuracy": value} for value in values])["accuracy"]
    assert found["mean"] == pytest.approx(mean(values))
    assert found["deviation"] == pytest.approx(stdev(values) if len(values) > 1 else 0, abs=1e-9)
