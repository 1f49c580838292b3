"""``shelfhelp-export encoder``."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("encoder")
@click.option(
    "--checkpoint", "checkpoints", type=PATH, required=True, multiple=True,
    help="Checkpoint of any method that trains an encoder or a backbone (metric, clip, distill, simclr, classifier …); "
    "of several the weights are averaged, one named twice counts double.",
)  # fmt: skip
@click.option("--output", type=PATH, required=True, help="Where the ONNX file goes; its card goes beside it.")
@click.option("--name", help="Name of the model in its card; BACKBONE-products by default.")
@click.option("--version", default="1", show_default=True, help="Version of the model in its card.")
@click.option(
    "--early", type=click.FloatRange(0, 1), default=1.0, show_default=True,
    help="Share that features of an early stage keep in the projection (the robot's own encoder alone).",
)  # fmt: skip
@click.option(
    "--calibration", type=PATH, help="Held-out sets to fit probabilities on, such as config/training/calibration.yaml."
)
def command(
    checkpoints: tuple[Path, ...], output: Path, name: str | None, version: str, early: float, calibration: Path | None
) -> None:
    """Export an encoder, after checking that ONNX Runtime gives what PyTorch gives, and calibrate it.

    \b
    Example:
      shelfhelp-export encoder --checkpoint runs/metric/first/checkpoints/best.ckpt --output models/encoder.onnx \\
          --calibration config/training/calibration.yaml
    """
    from shelfhelp_training.methods.encoder_export import calibrate_encoder, export_encoder

    card = export_encoder(checkpoints, output, name, version, early)
    if calibration is not None:
        card = calibrate_encoder(output, calibration)
        click.echo(f"calibration {card.calibration}", err=True)
    click.echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB  sha256 {card.sha256}")
