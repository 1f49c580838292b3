"""``shelfhelp-train anchors``."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

PATH = click.Path(path_type=Path)


@click.command("anchors")
@click.option("--config", type=PATH, required=True, help="Configuration of a RetinaNet; its data are looked at.")
@click.option("--output", type=PATH, required=True, help="YAML file to write, for --model.anchors of `retinanet fit`.")
@click.option("--scales", type=click.IntRange(min=1), default=3, show_default=True, help="How many scales.")
@click.option("--ratios", type=click.IntRange(min=1), default=3, show_default=True, help="How many ratios.")
@click.option("--crops", type=click.IntRange(min=1), default=400, show_default=True, help="Training crops to draw.")
@click.option("--most", type=click.IntRange(min=1), default=5000, show_default=True, help="Boxes to fit to, at most.")
@click.option("--generations", type=click.IntRange(min=1), default=60, show_default=True, help="Of the evolution.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw and of the evolution.")
def command(
    config: Path, output: Path, scales: int, ratios: int, crops: int, most: int, generations: int, seed: int
) -> None:
    """Fit the scales and ratios of RetinaNet's anchors to the boxes of a data set.

    The boxes are those that training will see, after crops and augmentation, and for the check those of the held-out
    pictures as they are validated on. A box that no anchor overlaps by half is hard to learn: the share of boxes with
    such an anchor (recall) is what the search raises, by differential evolution; the mean overlap comes second.

    Prints one JSON object for RetinaNet's own anchors and one for the fitted ones, each with recall and mean overlap on
    both parts.

    \b
    Example:
      shelfhelp-train anchors --config config/training/small/retinanet.yaml --scales 2 --ratios 2 \\
          --output runs/small/anchors.yaml
      shelfhelp-train retinanet fit --config config/training/small/retinanet.yaml \\
          --model.anchors runs/small/anchors.yaml
    """
    from shelfhelp_training.data.shelves import read_shelf_data
    from shelfhelp_training.methods.anchor_shapes import AnchorShapes, Coverage, coverage, fit_shapes

    data = read_shelf_data(config)
    data.setup("fit")
    assert data.crops is not None
    assert data.held_out is not None
    drawn = [data.crops[index][1]["boxes"] for index in tqdm(range(crops), desc="drawing crops", unit="crop")]
    whole = [data.held_out[index][1]["boxes"] for index in range(len(data.held_out))]
    boxes, held_out = (np.concatenate([rows.numpy() for rows in part]) for part in (drawn, whole))
    if len(boxes) > most:
        boxes = boxes[np.random.default_rng(seed).choice(len(boxes), most, replace=False)]
    with tqdm(total=generations, desc="fitting anchors", unit="generation") as bar:

        def show(best: Coverage) -> None:
            bar.update()
            bar.set_postfix(recall=f"{best.recall:.3f}", overlap=f"{best.overlap:.3f}")

        fitted = fit_shapes(boxes, AnchorShapes.spread(scales, ratios), generations, seed, show)
    lines = []
    for name, shapes in (("RetinaNet's own", AnchorShapes()), ("fitted", fitted)):
        row = {"anchors": name, "scales": list(shapes.scales), "ratios": list(shapes.ratios), "boxes": len(boxes)}
        for part, of_part in (("", boxes), ("held-out ", held_out)):
            if len(of_part):
                found = coverage(of_part, shapes)
                row |= {f"{part}recall": round(found.recall, 4), f"{part}overlap": round(found.overlap, 4)}
        lines.append(json.dumps(row))
        click.echo(lines[-1])
    fitted.save(output, "\n".join([f"shelfhelp-train anchors --config {config} --seed {seed}", *lines]))
    click.echo(f"written: {output}; use it with --model.anchors {output}", err=True)
