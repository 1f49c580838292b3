"""``shelfhelp-export classifier``."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("classifier")
@click.option("--checkpoint", type=PATH, required=True, help="Checkpoint of `shelfhelp-train classifier`.")
@click.option("--output", type=PATH, required=True, help="Where the ONNX file goes; its card goes beside it.")
def command(checkpoint: Path, output: Path) -> None:
    """Export a classifier, after checking that ONNX Runtime gives what PyTorch gives; its classes are in the card.

    \b
    Example:
      shelfhelp-export classifier --checkpoint runs/classifier/first/checkpoints/best.ckpt --output classes.onnx
    """
    from shelfhelp_training.methods.class_network import export_class_network

    card = export_class_network(checkpoint, output)
    click.echo(f"{output}  {output.stat().st_size / 1e6:.1f} MB  sha256 {card.sha256}")
