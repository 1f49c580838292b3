"""``shelfhelp-evaluate wise-ft``."""

from __future__ import annotations

import json
from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("wise-ft")
@click.option("--start", type=PATH, required=True, help="Checkpoint before fine-tuning, such as clip's probe.ckpt.")
@click.option("--end", type=PATH, required=True, help="Checkpoint of the fine-tuned network.")
@click.option("--config", type=PATH, required=True, help="Test sets, such as config/training/retrieval.yaml.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Parts the way is divided into."
)
@click.option("--output", type=PATH, default=Path("output/wise-ft"), show_default=True, help="Where the files go.")
def command(start: Path, end: Path, config: Path, steps: int, output: Path) -> None:
    """Recall@1 on the way from a network to its fine-tuned self: a curve (PNG), a table (Markdown), figures (JSON).

    Choose an alpha on data that are not the test's, and keep that network with `shelfhelp-export wise-ft`:

    \b
      shelfhelp-evaluate wise-ft --start probe.ckpt --end last.ckpt --config config/training/retrieval.yaml
      shelfhelp-export wise-ft --start probe.ckpt --end last.ckpt --alpha 0.6 --output wise.ckpt
      shelfhelp-export encoder --checkpoint wise.ckpt --output models/encoder.onnx
    """
    from shelfhelp_ros.errors import ShelfHelpError
    from shelfhelp_training.checkpoints import read_checkpoint
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.comparisons import read_sets
    from shelfhelp_training.evaluation.wise_ft import draw_curve, sweep, table

    alphas = [step / steps for step in range(steps + 1)]
    rows = sweep(read_checkpoint(start), read_checkpoint(end), read_sets(config), alphas, data_folder())
    try:
        draw_curve(rows, output / "curve.png")
        (output / "table.md").write_text(table(rows) + "\n", encoding="utf-8")
        (output / "figures.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ShelfHelpError(f"{output} cannot be written to: {error}") from error
    click.echo(table(rows))
    best = max(rows, key=lambda row: row["mean"])
    click.echo(f"best mean: alpha {best['alpha']:g}; curve and table: {output}", err=True)
