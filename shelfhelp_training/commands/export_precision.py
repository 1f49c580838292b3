"""``shelfhelp-export precision``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import cast

import click

PATH = click.Path(path_type=Path)


@click.command("precision")
@click.argument("precision", type=click.Choice(["fp16", "int8"]))
@click.option("--images", type=PATH, required=True, help="Folder of pictures of shelves.")
@click.option("--output", type=PATH, required=True, help="Folder for the networks and their cards.")
@click.option("--models", type=PATH, help="Folder with detector.onnx and encoder.onnx.  [default: the shipped ones]")
@click.option("--limit", default=60, show_default=True, help="Pictures used at most.")
def command(precision: str, images: Path, output: Path, models: Path | None, limit: int) -> None:
    """Write both networks in half precision or eight bits, and say what that costs.

    Every second picture calibrates, the others measure: one JSON object for each network with the cosine of crops'
    vectors (encoder), the IoU of boxes with their counterparts (detector), and milliseconds before and after.

    \b
    Examples:
      shelfhelp-export precision fp16 --images shelves/images --output runs/fp16
      shelfhelp-export precision int8 --images shelves/images --output runs/int8
      shelfhelp-evaluate detection --models runs/int8 --annotations cornershop/coco.json --split cornershop
    """
    from tqdm import tqdm

    from shelfhelp_ros.errors import ShelfHelpError
    from shelfhelp_ros.images import load_image
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_training.data.boxes import PICTURES
    from shelfhelp_training.precision import (
        LEAST_COSINE,
        Precision,
        crops_of,
        detector_loss,
        encoder_loss,
        reduce_model,
    )

    if not images.is_dir():
        raise ShelfHelpError(f"{images} is not a folder; give one with pictures of shelves")
    folder = models or default_model_folder()
    files = sorted(p for p in images.iterdir() if p.suffix.lower() in PICTURES)[:limit]
    pictures = [load_image(path) for path in tqdm(files, desc="pictures", unit="picture")]
    calibration, measured = pictures[::2], pictures[1::2]
    kind = cast(Precision, precision)
    reduce_model(folder / "detector.onnx", output / "detector.onnx", kind, calibration)
    reduce_model(folder / "encoder.onnx", output / "encoder.onnx", kind, crops_of(calibration, folder))
    losses = {
        "detector": detector_loss(folder, output, measured),
        "encoder": encoder_loss(folder, output, crops_of(measured, folder)),
    }
    for name, loss in losses.items():
        megabytes = round((output / f"{name}.onnx").stat().st_size / 1e6, 2)
        facts = {"model": name, "precision": precision, "megabytes": megabytes, **dataclasses.asdict(loss)}
        click.echo(json.dumps(facts))
    if kind == "fp16" and not losses["encoder"].least >= LEAST_COSINE:
        raise ShelfHelpError(
            f"half precision turns a vector to a cosine of {losses['encoder'].least:.4f} with itself; at least "
            f"{LEAST_COSINE} is asked for: do not use {output}"
        )
