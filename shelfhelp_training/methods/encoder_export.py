"""An encoder checkpoint as ONNX with its card, and the calibration of the exported file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import ModelCard, load_card
from shelfhelp_ros.inference.session import open_session
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.calibration import calibrate, require_sense
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.evaluation.comparisons import compare, read_sets, searches
from shelfhelp_training.export import check_parity, export_model, write_card
from shelfhelp_training.half_weights import halve_weights
from shelfhelp_training.methods.embedder import load_trained
from shelfhelp_training.methods.metric import ProductEncoder

# Largest differences of a component of the vectors, which have length one: of the graph, and with weights in 16 bits.
TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-3
# Protocol buffers, and with them ONNX files, end at two gigabytes.
MOST_BYTES = 2_000_000_000


def export_encoder(
    checkpoints: Sequence[Path], output: Path, name: str | None = None, version: str = "1", early: float = 1.0
) -> ModelCard:
    """Export the encoder in checkpoints of any method; returns the card that was written, without calibration.

    Several checkpoints are averaged, see `load_trained`. Without a name the card takes the backbone's. ``early`` is for
    the robot's own ``ProductEncoder``: the share that the early features keep in its projection. They tell
    near-duplicates apart, and light and angle too.

    Raises ShelfHelpError when ONNX Runtime does not agree with PyTorch, or the network is too large for one file.
    """
    trained = load_trained(checkpoints)
    network = trained.network
    if early != 1:
        if not isinstance(network, ProductEncoder):
            raise ShelfHelpError("only the robot's own encoder has early features to damp; leave --early out")
        network.damp_early(early)
        trained.record["early"] = early
    weights = sum(parameter.numel() for parameter in network.parameters())
    if 4 * weights > MOST_BYTES:
        raise ShelfHelpError(
            f"{weights / 1e6:.0f} million weights are more than one ONNX file can hold; distil them into a smaller "
            "network (shelfhelp-train distill)"
        )
    card = trained.card(name, version)
    inputs = [_random_pictures(count, trained.input.height, trained.input.width) for count in (2, 1, 5)]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        draft = Path(folder) / output.name
        export_model(network, card, draft, inputs, {0: Dim("batch", min=1, max=256)}, tolerance=TOLERANCE)
        halve_weights(draft)
        check_parity(network, draft, card, inputs, tolerance=HALF_TOLERANCE)
        draft.replace(output)
    return write_card(output, card)


def calibrate_encoder(model: Path, config: Path) -> ModelCard:
    """Fit the probabilities of an exported encoder on the sets of a file and write them into its card."""
    card = load_card(model)
    encoder = Encoder(card, open_session(model, "cpu", 1))
    sets = read_sets(config)
    kinds = searches(sets, [compare(one, encoder, data_folder()) for one in sets])
    calibration = calibrate(list(kinds.values()), "; ".join(one.name for one in sets))
    return write_card(model, replace(card, calibration=require_sense(calibration)))


def _random_pictures(count: int, height: int, width: int) -> Tensor:
    """N×3×H×W normalised pictures with large and small structures."""
    generator = torch.Generator().manual_seed(count)
    coarse = torch.randn(count, 3, height // 32, width // 32, generator=generator)
    fine = torch.randn(count, 3, height, width, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear") + 0.2 * fine
