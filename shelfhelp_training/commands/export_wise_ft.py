"""``shelfhelp-export wise-ft``."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("wise-ft")
@click.option("--start", type=PATH, required=True, help="Checkpoint before fine-tuning, such as clip's probe.ckpt.")
@click.option("--end", type=PATH, required=True, help="Checkpoint of the fine-tuned network.")
@click.option(
    "--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True,
    help="How far from start (0) to end (1); shelfhelp-evaluate wise-ft shows what each gives.",
)  # fmt: skip
@click.option("--output", type=PATH, required=True, help="Where the checkpoint goes.")
def command(start: Path, end: Path, alpha: float, output: Path) -> None:
    """A checkpoint with weights between those of a network and its fine-tuned self (WiSE-FT).

    \b
    Example:
      shelfhelp-export wise-ft --start runs/clip/first/probe.ckpt --end runs/clip/first/checkpoints/last.ckpt \\
          --alpha 0.5 --output half_way.ckpt
    """
    from shelfhelp_training.checkpoints import between, read_checkpoint, write_checkpoint

    write_checkpoint(between(read_checkpoint(start), read_checkpoint(end), alpha), output)
    click.echo(f"{output}; next: shelfhelp-export encoder --checkpoint {output} --output encoder.onnx")
