"""Learning from few labels: both objectives train for real, in the stages and with the weights that they should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS
from shelfhelp_training.curves import Curve, read_curves
from shelfhelp_training.training import TrainingCLI

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training" / "small" / "semi.yaml"
CLASSES, FIRST_STAGE, EPOCHS, STEPS = 8, 4, 12, 3
# From two labelled photographs of each pack, accuracy on others must rise by that much over the untrained network's.
MARGIN = 0.25
SHORT = ("--trainer.max_epochs", "3", "--model.self_supervised_epochs", "1")


def run(*arguments: str, callbacks: tuple[pl.Callback, ...] = (), start: bool = True) -> TrainingCLI:
    quiet = ("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")
    command = ["fit", "--config", str(CONFIG), *quiet, *arguments]
    return TrainingCLI("semi", METHODS["semi"], command, callbacks, start)


class Stop(pl.Callback):
    """Ends a training without warning in the first step of an epoch, as a power cut would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("power cut")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("semi"))
        yield Path.cwd()


class Stages(pl.Callback):
    """Keeps which epochs were trained in this call, and whether labels were left aside in them."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, bool]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.epochs.append((trainer.current_epoch, module.self_supervised))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def untrained(workplace: Path) -> float:
    """Accuracy of the network before its first step."""
    cli = run("--name", "untrained", start=False)
    (figures,) = cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    assert figures["val_accuracy"] < 1.5 / CLASSES
    return figures["val_accuracy"]


@pytest.fixture(scope="module")
def combined(workplace: Path) -> tuple[Path, TrainingCLI]:
    """The small configuration as it stands: SimCLR, then everything together."""
    cli = run("--name", "combined")
    return workplace / "runs" / "semi" / "combined", cli


@pytest.fixture(scope="module")
def short(workplace: Path) -> dict[str, torch.Tensor]:
    """The weights after one epoch without labels and two with them, uninterrupted."""
    weights: dict[str, torch.Tensor] = run("--name", "short", *SHORT).model.state_dict()
    return weights


def values(curve: Curve) -> list[float]:
    return [value for _, value in curve]


def test_two_stages_follow_each_other_in_one_training(combined: tuple[Path, TrainingCLI], untrained: float) -> None:
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
    assert curves["val_accuracy"][-1][1] > untrained + MARGIN


def test_the_rate_warms_up_in_each_stage(combined: tuple[Path, TrainingCLI]) -> None:
    """Two warm-ups and two half cosines, the first at its own rate."""
    module = combined[1].model
    factors = [module._rate_factor(step) for step in range(EPOCHS * STEPS)]
    second = FIRST_STAGE * STEPS
    assert factors[:2] == pytest.approx([1 / 6, 1 / 3])
    assert factors[second : second + 2] == [0.5, 1.0]
    assert factors[2:second] == sorted(factors[2:second], reverse=True)
    assert factors[second + 2 :] == sorted(factors[second + 2 :], reverse=True)


@pytest.mark.parametrize("epoch", [1, 2])
def test_it_resumes_in_the_right_stage(workplace: Path, short: dict[str, torch.Tensor], epoch: int) -> None:
    """Interrupted between the stages or in the second: the first is not repeated, and the weights are as without."""
    name, stages = f"cut{epoch}", Stages()
    with pytest.raises(RuntimeError, match="power cut"):
        run("--name", name, *SHORT, callbacks=(Stop(epoch),))
    resumed = run("--name", name, *SHORT, "--resume", callbacks=(stages,)).model.state_dict()
    assert stages.epochs == [(left, False) for left in range(epoch, 3)]
    for key, weight in short.items():
        torch.testing.assert_close(resumed[key], weight, rtol=0, atol=0, msg=key)


def test_fixmatch_learns_from_what_it_is_sure_of(workplace: Path, untrained: float) -> None:
    """Without a first stage; ever more pictures count; accuracy rises."""
    run("--name", "fixmatch", "--model.objective", "fixmatch", "--model.self_supervised_epochs", "0")
    curves = read_curves(workplace / "runs" / "semi" / "fixmatch" / "metrics.csv")
    sure = values(curves["sure"])
    assert sum(sure[-4:]) > sum(sure[:4])
    labelled = values(curves["loss_labelled"])
    assert sum(labelled[-4:]) < 0.8 * sum(labelled[:4])
    assert "loss_contrastive" not in curves
    assert curves["val_accuracy"][-1][1] > untrained + MARGIN


def test_arcface_learns_the_labels_by_angles(workplace: Path, untrained: float) -> None:
    """Its vectors have the length that was asked for, and the class with the nearest centre is named."""
    cli = run(
        "--name", "arcface", "--model.labelled_loss", "arcface", "--model.embedding", "16",
        "--model.self_supervised_epochs", "0",
    )  # fmt: skip
    curves = read_curves(workplace / "runs" / "semi" / "arcface" / "metrics.csv")
    labelled = values(curves["loss_labelled"])
    assert sum(labelled[-4:]) < 0.8 * sum(labelled[:4])
    assert curves["val_accuracy"][-1][1] > untrained + MARGIN
    images = torch.randint(0, 256, (3, 3, 36, 36), dtype=torch.uint8)
    cli.model.eval()
    with torch.no_grad():
        vectors, logits = cli.model.embed(images), cli.model(images)
    assert vectors.shape == (3, 16)
    cosines = vectors @ torch.nn.functional.normalize(cli.model.head.weight).T
    torch.testing.assert_close(logits, cli.model.scale * cosines, atol=1e-4, rtol=0)


def test_a_first_stage_must_leave_time_for_the_labels(workplace: Path) -> None:
    """Otherwise the classifier would never be trained, and nobody would say so."""
    with pytest.raises(ShelfHelpError, match=r"lower model\.self_supervised_epochs"):
        run("--name", "endless", "--model.self_supervised_epochs", str(EPOCHS))
