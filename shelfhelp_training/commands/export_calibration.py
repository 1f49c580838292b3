"""``shelfhelp-export calibrate``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("calibrate")
@click.option("--model", type=PATH, required=True, help="An exported encoder; the file and its card are rewritten.")
@click.option(
    "--config",
    type=PATH,
    default="config/training/calibration.yaml",
    show_default=True,
    help="Held-out sets.",
)
def command(model: Path, config: Path) -> None:
    """Fit the probabilities and thresholds of an exported encoder and write them into its card and metadata.

    \b
    Example:
      shelfhelp-export calibrate --model models/encoder.onnx --config config/training/calibration.yaml
    """
    from shelfhelp_training.methods.encoder_export import calibrate_encoder

    card = calibrate_encoder(model, config)
    assert card.calibration is not None
    click.echo(json.dumps(asdict(card.calibration)))
