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
from shelfhelp_ros.inference.card import EmbeddingCard, InputCard, ModelCard, load_card
from shelfhelp_ros.inference.session import open_session
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.calibration import calibrate
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.evaluation.comparisons import compare, read_sets, searches
from shelfhelp_training.export import check_parity, export_model, write_card
from shelfhelp_training.half_weights import halve_weights
from shelfhelp_training.methods.backbone import MEAN, STD
from shelfhelp_training.methods.metric import MetricTraining
from shelfhelp_training.record import read_record

# Largest differences of a component of the vectors, which have length one: of the graph, and with weights in 16 bits.
TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-3


def export_encoder(checkpoints: Sequence[Path], output: Path, name: str, version: str, early: float = 1.0) -> ModelCard:
    """Export the encoder of ``MetricTraining`` checkpoints; returns the card that was written, without calibration.

    Of several checkpoints of one ancestry the weights are averaged, which keeps what the earlier one knew and the later
    one forgot (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022). The card's record is that of the
    first, with those of the others under ``averaged_with``. ``early`` is the share that the early features keep in the
    projection: they tell near-duplicates apart, and light and angle too.
    """
    training, (height, width) = load_encoder(checkpoints[0])
    others = [load_encoder(checkpoint)[0] for checkpoint in checkpoints[1:]]
    average_weights(training, others)
    training.encoder.damp_early(early)
    record = read_record(checkpoints[0])
    if others:
        record["averaged_with"] = [read_record(checkpoint) for checkpoint in checkpoints[1:]]
    if early != 1:
        record["early"] = early
    encoder = training.encoder.to(memory_format=torch.contiguous_format)
    card = ModelCard(
        task="embedding",
        name=name,
        version=version,
        input=InputCard("images", height, width, "letterbox", MEAN, STD),
        embedding=EmbeddingCard("embeddings", encoder.dimensions),
        training=record,
    )
    inputs = [_random_pictures(count, height, width) for count in (2, 1, 5)]
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        draft = Path(folder) / output.name
        export_model(encoder, card, draft, inputs, {0: Dim("batch", min=1, max=256)}, tolerance=TOLERANCE)
        halve_weights(draft)
        check_parity(encoder, draft, card, inputs, tolerance=HALF_TOLERANCE)
        draft.replace(output)
    return write_card(output, card)


@torch.no_grad()
def average_weights(training: MetricTraining, others: Sequence[MetricTraining]) -> None:
    """Set the weights to the mean of those of ``training`` and ``others``. Raises ShelfHelpError when shapes differ."""
    weights = [other.state_dict() for other in others]
    for name, weight in training.state_dict().items():
        same = [of[name] for of in weights if name in of and of[name].shape == weight.shape]
        if len(same) < len(weights):
            raise ShelfHelpError(f"the checkpoints are of different networks ({name}); give those of one")
        weight.copy_(torch.stack([weight, *same]).mean(dim=0))


def load_encoder(checkpoint: Path) -> tuple[MetricTraining, tuple[int, int]]:
    """The module of a checkpoint, ready to embed, and its input's height and width.

    Raises ShelfHelpError when the file is no such checkpoint.
    """
    try:
        training = MetricTraining.load_from_checkpoint(
            checkpoint, map_location="cpu", pretrained=False, start_from=None, weights_only=False
        )
        data = torch.load(checkpoint, map_location="cpu", weights_only=False)["datamodule_hyper_parameters"]
        size = int(data["height"]), int(data["width"])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint of the encoder: {error}") from error
    return training.eval(), size


def calibrate_encoder(model: Path, config: Path) -> ModelCard:
    """Fit the probabilities of an exported encoder on the sets of a file and write them into its card."""
    card = load_card(model)
    encoder = Encoder(card, open_session(model, "cpu", 1))
    sets = read_sets(config)
    kinds = searches(sets, [compare(one, encoder, data_folder()) for one in sets])
    calibration = calibrate(list(kinds.values()), "; ".join(one.name for one in sets))
    return write_card(model, replace(card, calibration=calibration))


def _random_pictures(count: int, height: int, width: int) -> Tensor:
    """N×3×H×W normalised pictures with large and small structures."""
    generator = torch.Generator().manual_seed(count)
    coarse = torch.randn(count, 3, height // 32, width // 32, generator=generator)
    fine = torch.randn(count, 3, height, width, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear") + 0.2 * fine
