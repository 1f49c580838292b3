"""Export to ONNX: the card travels with the file, and a model that does not agree is not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="torch comes with the extra 'training'")

import torch
from torch import Tensor, nn
from torch.export import Dim

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import METADATA_KEY, EmbeddingCard, InputCard, ModelCard, load_card
from shelfhelp_training.export import export_model, write_card

CARD = ModelCard(
    task="embedding",
    name="means",
    version="1",
    input=InputCard("crops", 8, 8, "squash", (0, 0, 0), (1, 1, 1)),
    embedding=EmbeddingCard("embeddings", 3),
)


class Means(nn.Module):
    """Mean of every channel."""

    def forward(self, crops: Tensor) -> Tensor:
        return crops.mean(dim=(2, 3))


class Drifting(nn.Module):
    """Gives something else every time it is called, as a module with forgotten state would."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, crops: Tensor) -> Tensor:
        self.calls += 1
        return crops.mean(dim=(2, 3)) + self.calls


def export(module: nn.Module, output: Path) -> ModelCard:
    inputs = [torch.rand(n, 3, 8, 8) for n in (2, 1, 5)]
    return export_model(module, CARD, output, inputs, {0: Dim("batch", min=1, max=64)})


def test_the_card_is_beside_the_model_and_in_it(tmp_path: Path) -> None:
    """Either of them tells the runtime everything; the hash is of the file as it lies there."""
    output = tmp_path / "new" / "encoder.onnx"
    card = export(Means(), output)
    assert load_card(output, verify=True) == card
    metadata = {p.key: p.value for p in onnx.load(str(output)).metadata_props}
    assert ModelCard.from_json(metadata[METADATA_KEY]).embedding == CARD.embedding


def test_a_card_can_be_changed_later(tmp_path: Path) -> None:
    """Figures measured on the exported file go into both copies, and the hash follows."""
    output = tmp_path / "encoder.onnx"
    before = export(Means(), output)
    figures = ({"test_set": "t", "metric": "m", "value": 0.5, "command": "c"},)
    write_card(output, ModelCard(**{**vars(before), "figures": figures}))
    after = load_card(output, verify=True)
    assert after.figures == figures
    assert after.sha256 != before.sha256


def test_a_model_that_differs_from_pytorch_is_not_written(tmp_path: Path) -> None:
    """The parity check stops a wrong export, and nothing is left behind."""
    with pytest.raises(ShelfHelpError, match="differs from PyTorch"):
        export(Drifting(), tmp_path / "encoder.onnx")
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_not_numbers_are_no_agreement(tmp_path: Path) -> None:
    """NaN compares as unequal to everything, so it must not pass."""

    class Nothing(nn.Module):
        def forward(self, crops: Tensor) -> Tensor:
            return crops.mean(dim=(2, 3)) / 0.0 * 0.0

    with pytest.raises(ShelfHelpError, match="nan"):
        export(Nothing(), tmp_path / "encoder.onnx")


def test_the_output_has_to_be_an_onnx_path(tmp_path: Path) -> None:
    """A typing error is noticed before minutes of work."""
    with pytest.raises(ShelfHelpError, match=r"\.onnx"):
        export(Means(), tmp_path / "encoder.json")


def test_the_exported_model_takes_any_batch(tmp_path: Path) -> None:
    """Dynamic dimensions stay dynamic."""
    import onnxruntime

    output = tmp_path / "encoder.onnx"
    export(Means(), output)
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    crops = np.random.default_rng(0).random((7, 3, 8, 8), np.float32)
    np.testing.assert_allclose(session.run(None, {"crops": crops})[0], crops.mean(axis=(2, 3)), atol=1e-5)
