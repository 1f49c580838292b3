"""What is watched while a network learns without labels: collapse, a linear layer, nearest neighbours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from shelfhelp_training.collapse import CollapseWatch, measure_spread
from shelfhelp_training.data.crop_sources import CropSource
from shelfhelp_training.data.image_data import ImageData
from shelfhelp_training.methods.self_supervised import watched
from shelfhelp_training.probes import LinearProbe, NeighbourProbe, vote

torch.set_num_threads(1)


def test_spread_has_its_textbook_values() -> None:
    """Four unit vectors along the axes of the plane, the second views turned by a right angle."""
    first = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    second = 7 * torch.tensor([[0.0, 1], [-1, 0], [0, -1], [1, 0]])
    spread = measure_spread(first, second)
    # Each coordinate is 1, 0, -1, 0: variance 2/3; times √2.
    assert spread.deviation == pytest.approx(math.sqrt(2 / 3) * math.sqrt(2))
    assert spread.alignment == pytest.approx(2)
    # Of the six pairs four are √2 apart and two are 2 apart.
    assert spread.uniformity == pytest.approx(math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6))
    assert not spread.collapsed


def test_even_vectors_have_deviation_one_and_equal_ones_none() -> None:
    """In any number of dimensions; vectors that are no numbers are a collapse too."""
    for dimensions in (8, 128):
        vectors = torch.randn(4000, dimensions, generator=torch.Generator().manual_seed(0))
        spread = measure_spread(vectors[:500], vectors[500:1000])
        assert spread.deviation == pytest.approx(1, abs=0.02)
        assert spread.alignment == pytest.approx(2, abs=0.1)
    constant = measure_spread(torch.ones(10, 8), torch.ones(10, 8))
    assert (constant.deviation, constant.alignment, constant.uniformity) == pytest.approx((0, 0, 0), abs=1e-9)
    assert constant.collapsed
    assert measure_spread(torch.full((4, 8), math.nan), torch.ones(4, 8)).collapsed


def test_neighbours_vote_by_their_likeness() -> None:
    """One very near neighbour outweighs two that are less near; with one neighbour it alone decides."""
    gallery = nn.functional.normalize(torch.tensor([[1.0, 0.05], [0.6, 0.8], [0.6, 0.8], [-1, 0]]))
    labels = torch.tensor([0, 1, 1, 2])
    query = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert vote(query, gallery, labels, 3, 3, 0.07).tolist() == [0, 1]
    assert vote(query, gallery, labels, 3, 3, 100.0).tolist() == [1, 1]
    assert vote(query, gallery, labels, 3, 1, 100.0).tolist() == [0, 1]


class Features(pl.LightningModule):
    """Gives the mean colours of a picture, or always the same; learns nothing."""

    def __init__(self, constant: bool) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.backbone.num_features = 27  # type: ignore[assignment]
        self.constant = constant
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        colours = nn.functional.adaptive_avg_pool2d(images.float() / 255, 3).flatten(1)
        return torch.ones_like(colours) if self.constant else colours - 0.4

    def training_step(self, batch: dict[str, Tensor], index: int) -> Any:
        features = self(batch["images"])
        return watched(self.nothing.sum(), features, batch["labels"], features, features)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        return self(batch["images"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    packs = CropSource("drawn", "packs", count=10, seed=1, photos=8)
    known = CropSource("drawn", "packs", count=10, seed=1, photos=3)
    cache = tmp_path_factory.mktemp("cache")
    return ImageData([packs], validate=[known], size=16, batch_size=20, cache=cache, refuse_shared=False)


def train(module: pl.LightningModule, data: ImageData, epochs: int, folder: Path | None = None) -> pl.Trainer:
    callbacks: list[pl.Callback] = [LinearProbe(0.05), NeighbourProbe(3), CollapseWatch(every=1)]
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, callbacks=callbacks, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    if folder is not None:
        trainer.save_checkpoint(folder / "a.ckpt")
    return trainer


def test_a_constant_network_is_reported_as_collapsed(data: ImageData) -> None:
    """A line that says so and what to do, and a figure in the log; the probes are as good as a guess."""
    with pytest.warns(UserWarning, match="the network has collapsed") as caught:
        trainer = train(Features(constant=True), data, 2)
    assert len([w for w in caught if "collapsed" in str(w.message)]) == 1
    figures = trainer.callback_metrics
    assert figures["collapsed"] == 1
    assert figures["embedding_deviation"] == pytest.approx(0, abs=1e-6)
    assert figures["val_linear_accuracy"] <= 0.2


def test_probes_find_what_features_tell(data: ImageData, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Mean colours tell most packs apart: both probes see it, nobody cries collapse, and the probe is resumed."""
    trainer = train(Features(constant=False), data, 12, tmp_path)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert figures["collapsed"] == 0
    assert not [w for w in recwarn if "collapsed" in str(w.message)]
    for name in ("val_linear_accuracy", "val_neighbour_accuracy", "val_recall", "linear_accuracy"):
        assert 0.4 < figures[name] <= 1, (name, figures)
    probe = next(c for c in trainer.callbacks if isinstance(c, LinearProbe))  # type: ignore[attr-defined]
    again = LinearProbe()
    again.load_state_dict(probe.state_dict())
    again.on_fit_start(trainer, trainer.lightning_module)
    assert again.layer is not None
    assert probe.layer is not None
    torch.testing.assert_close(again.layer[1].weight, probe.layer[1].weight)
