"""Learning from few labels: a real training in two stages, with the rates and weights that they should have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl

from shelfhelp_training.cli import METHODS
from shelfhelp_training.curves import Curve, read_curves
from shelfhelp_training.training import TrainingCLI

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training" / "small" / "semi.yaml"
CLASSES, FIRST_STAGE, EPOCHS, STEPS = 8, 4, 12, 3
# Accuracy must rise by that much over guessing, which is 1/8, from two labelled photographs of each pack.
MARGIN = 0.25


def run(*arguments: str, callbacks: tuple[pl.Callback, ...] = (), start: bool = True) -> TrainingCLI:
    quiet = ("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")
    command = ["fit", "--config", str(CONFIG), *quiet, *arguments]
    return TrainingCLI("semi", METHODS["semi"], command, callbacks, start)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("semi"))
        yield Path.cwd()


@pytest.fixture(scope="module")
def combined(workplace: Path) -> tuple[Path, TrainingCLI]:
    """The small configuration as it stands: SimCLR, then everything together."""
    cli = run("--name", "combined")
    return workplace / "runs" / "semi" / "combined", cli


def values(curve: Curve) -> list[float]:
    return [value for _, value in curve]


def test_two_stages_follow_each_other_in_one_training(combined: tuple[Path, TrainingCLI]) -> None:
    """At first NT-Xent alone, then all losses, with weights that ramp; the labels are learnt and accuracy rises."""
    curves = read_curves(combined[0] / "metrics.csv")
    steps = [step for step, _ in curves["loss_labelled"]]
    assert steps == list(range(FIRST_STAGE * STEPS, EPOCHS * STEPS))
    assert len(curves["loss_contrastive"]) == EPOCHS * STEPS
    weights = values(curves["weight_contrastive"])
    assert weights[: FIRST_STAGE * STEPS] == [1.0] * FIRST_STAGE * STEPS
    assert weights[FIRST_STAGE * STEPS] == pytest.approx(0.5)
    assert weights[-1] == pytest.approx(0.1)
    rising = values(curves["weight_entropy"])
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(0.0, abs=1e-6)
    labelled = values(curves["loss_labelled"])
    assert sum(labelled[-4:]) < 0.8 * sum(labelled[:4])
    assert curves["val_accuracy"][-1][1] > 1 / CLASSES + MARGIN


def test_the_rate_warms_up_in_each_stage(combined: tuple[Path, TrainingCLI]) -> None:
    """Two warm-ups and two half cosines, the first at its own rate."""
    module = combined[1].model
    factors = [module._rate_factor(step) for step in range(EPOCHS * STEPS)]
    second = FIRST_STAGE * STEPS
    assert factors[:2] == pytest.approx([1 / 6, 1 / 3])
    assert factors[second : second + 2] == [0.5, 1.0]
    assert factors[2:second] == sorted(factors[2:second], reverse=True)
    assert factors[second + 2 :] == sorted(factors[second + 2 :], reverse=True)
