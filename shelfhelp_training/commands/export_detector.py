"""``shelfhelp-export detector``."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("detector")
@click.option("--checkpoint", type=PATH, required=True, help="Checkpoint of `shelfhelp-train detector` or `retinanet`.")
@click.option("--output", type=PATH, required=True, help="Where the ONNX file goes; its card goes beside it.")
@click.option("--name", help="Name of the model in its card; by default that of the network.")
@click.option("--version", default="1", show_default=True, help="Version of the model in its card.")
@click.option(
    "--score-threshold",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Boxes below it are left out.",
)
@click.option(
    "--nms-iou",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Of boxes that overlap more, the best.",
)
def command(
    checkpoint: Path, output: Path, name: str | None, version: str, score_threshold: float, nms_iou: float
) -> None:
    """Export a detector, after checking that ONNX Runtime gives what PyTorch gives.

    \b
    Example:
      shelfhelp-export detector --checkpoint runs/detector/first/checkpoints/best.ckpt --output models/detector.onnx
    """
    from shelfhelp_training.methods.detector_export import export_detector

    card = export_detector(checkpoint, output, name, version, score_threshold, nms_iou)
    click.echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB  sha256 {card.sha256}")
