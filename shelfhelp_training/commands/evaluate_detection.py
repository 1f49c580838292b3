"""``shelfhelp-evaluate detection``."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from shelfhelp_ros.inference.card import card_path, load_card

PATH = click.Path(path_type=Path)
# Low enough that the whole precision-recall curve is measured.
SCORE_THRESHOLD = 0.02


@click.command("detection")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option("--annotations", type=PATH, required=True, help="COCO file; relative paths start at the data folder.")
@click.option("--split", help="Published split; only its held-out part is measured.")
@click.option("--part", default="test", show_default=True, help="Part of the split.")
@click.option("--name", help="Name of the test set in the card; the path of the annotations by default.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
@click.option("--tiled", type=click.FloatRange(min=1), default=1, show_default=True, help="As of `shelfhelp detect`.")
@click.option("--pictures", "drawings", type=PATH, help="Folder for pictures of hits, misses, mistakes, and a curve.")
@click.option("--record", is_flag=True, help="Write the figures into the model's card.")
def command(
    models: Path | None,
    annotations: Path,
    split: str | None,
    part: str,
    name: str | None,
    threads: int,
    tiled: float,
    drawings: Path | None,
    record: bool,
) -> None:
    """COCO figures of the exported detector, run as the robot runs it: one JSON object.

    AP, AP50, AP75 and the recall with at most 300 boxes a picture, over all products and by their size (COCO's small,
    medium and large, in pixels of the pictures), and precision and recall at the threshold of the card.

    \b
    Example:
      shelfhelp-evaluate detection --annotations my_shelves/annotations.json --pictures output/detection
    """
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_training.data.boxes import load_coco, load_split
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.detection import measure

    path = annotations if annotations.exists() else data_folder() / annotations
    pictures = load_coco(path, load_split(split, part) if split else None)
    folder = models if models is not None else default_model_folder()
    measured = measure(folder, pictures, SCORE_THRESHOLD, threads, tiled)
    test_set = name or " ".join([str(annotations), *([f"({split}: {part})"] if split else [])])
    figures = asdict(measured.figures) | asdict(measured.working_point)
    values = {metric: round(value, 4) for metric, value in figures.items() if value is not None}
    click.echo(json.dumps({"test_set": test_set, "pictures": len(pictures), **values}))
    if drawings is not None:
        from shelfhelp_training.evaluation.detection_pictures import draw

        draw(measured, drawings)
    if record:
        _record(folder / "detector.onnx", test_set, values)


def _record(model: Path, test_set: str, values: dict[str, float]) -> None:
    """Put the figures into the card, in place of earlier ones on the same test set."""
    from shelfhelp_training.export import write_card

    line = shlex.join(["shelfhelp-evaluate", *(a for a in sys.argv[1:] if a != "--record")])
    card = load_card(model)
    kept = tuple(figure for figure in card.figures if figure["test_set"] != test_set)
    new = tuple(
        {"test_set": test_set, "metric": metric, "value": value, "command": line} for metric, value in values.items()
    )
    write_card(model, replace(card, figures=kept + new))
    click.echo(f"written into {card_path(model)}", err=True)
