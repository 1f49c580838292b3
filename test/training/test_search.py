"""`shelfhelp-train METHOD tune`: a real search with Optuna, which goes on, and what it says without sense or Optuna."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import yaml
from small_runs import command, lay_out, process

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import train_main
from shelfhelp_training.curves import read_curves

TUNE = ["classifier", "tune", "--config", "packs.yaml", "--trainer.max_epochs", "1", "--model.image_size", "16"]
TUNE += ["--search", "model.learning_rate=log:1e-4:1e-2"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("search")
    lay_out(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SHELFHELP_DATA", str(folder))
        yield folder


@pytest.fixture
def _optuna() -> None:
    pytest.importorskip("optuna", reason="optuna comes with the extra 'tune'")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def learning_rate(trial: Path) -> float:
    return float(yaml.safe_load((trial / "config.yaml").read_text())["model"]["learning_rate"])


def best_accuracy(trial: Path) -> float:
    return max(value for _, value in read_curves(trial / "metrics.csv")["val_accuracy"])


@pytest.mark.usefixtures("_optuna")
def test_a_search_goes_on_where_it_stopped(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trials are counted over calls; each is a run of its own; the best one is named with its flags.

    The second call searches one setting more, as someone would who saw the first one's picture.
    """
    folder = workplace / "runs" / "classifier" / "tune"
    assert command(train_main, *TUNE, "--trials", "1") == 0
    first = (folder / "trial000" / "run.json").read_bytes()
    assert command(train_main, *TUNE, "--search", "model.augmentation=weak,none", "--trials", "3") == 0
    best = json.loads(capsys.readouterr().out.splitlines()[-1])
    trials = sorted(folder.glob("trial*"))
    assert [path.name for path in trials] == ["trial000", "trial001", "trial002"]
    assert (trials[0] / "run.json").read_bytes() == first
    rates = {learning_rate(trial) for trial in trials}
    assert len(rates) == 3
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)

    assert best["val_accuracy"] == max(best_accuracy(trial) for trial in trials)
    kept = read(folder / "best.json")
    assert kept["trials"] == 3
    assert kept["settings"]["model.learning_rate"] == learning_rate(Path(best["run"]))
    assert f"--model.learning_rate {kept['settings']['model.learning_rate']}" in best["flags"]
    assert (folder / "history.png").stat().st_size > 1000

    # Nothing is left to try: the answer is the same, and no trial is made.
    assert command(train_main, *TUNE, "--trials", "3") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == best
    assert sorted(folder.glob("trial*")) == trials


@pytest.mark.usefixtures("_optuna")
def test_a_search_that_was_killed_goes_on(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 in the second trial: the first is kept, the second does not count, and its settings are tried again."""
    from shelfhelp_training import search

    killer = {"class_path": "small_runs.Killed", "init_args": {"epoch": 0, "run": "trial001"}}
    (workplace / "kill.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [killer]}}))
    again = [*TUNE, "--name", "killed", "--trials", "2"]
    with process(*again, "--config", "kill.yaml") as running:
        _, errors = running.communicate(timeout=300)
    assert running.returncode == -signal.SIGKILL, errors
    trials = [workplace / "runs" / "classifier" / "killed" / f"trial00{number}" for number in range(3)]
    first = (trials[0] / "run.json").read_bytes()
    assert [read(trial / "run.json")["finished"] for trial in trials[:2]] == [True, False]

    # A minute of silence tells that a process is gone; here a second has to do.
    monkeypatch.setattr(search, "SILENCE", 1)
    time.sleep(2.5)
    assert command(train_main, *again) == 0
    assert sorted(trials[0].parent.glob("trial*")) == trials
    assert (trials[0] / "run.json").read_bytes() == first
    assert [read(trial / "run.json")["finished"] for trial in trials] == [True, False, True]
    assert learning_rate(trials[2]) == learning_rate(trials[1]) != learning_rate(trials[0])
    best = read(trials[0].parent / "best.json")
    assert best["trials"] == 2
    assert best["val_accuracy"] == max(best_accuracy(trial) for trial in (trials[0], trials[2]))


@pytest.mark.usefixtures("_optuna")
def test_a_figure_that_is_not_measured_is_one_line(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is measured is named, and the trial does not count as one that ended."""
    assert command(train_main, *TUNE, "--name", "lost", "--trials", "1", "--monitor", "beauty", "--mode", "max") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "measures no beauty" in said
    assert "val_accuracy" in said


@pytest.mark.usefixtures("_optuna")
@pytest.mark.parametrize("text", ["", "model.x", "model.x=log:0:1", "model.x=int:5:2", "model.x=float:1", "=1,2"])
def test_a_search_that_makes_no_sense_is_one_line(text: str) -> None:
    """It says what the form is."""
    from shelfhelp_training.search import Dimension

    with pytest.raises(ShelfHelpError, match="KEY=log:LOW:HIGH"):
        Dimension.parse(text)


def test_without_optuna_one_line_says_what_to_install(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Optuna is an extra, so its absence is the usual case."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "shelfhelp_training.search", raising=False)
    assert command(train_main, *TUNE, "--trials", "1", "--name", "without") == 1
    assert capsys.readouterr().err.splitlines() == [
        "shelfhelp-train classifier: error: tune needs Optuna; install it with: pip install 'shelfhelp[tune]'"
    ]
    assert not (workplace / "runs" / "classifier" / "without").exists()
