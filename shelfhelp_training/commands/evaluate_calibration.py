"""``shelfhelp-evaluate calibration``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)


@click.command("calibration")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option(
    "--config", type=PATH, default="config/training/calibration.yaml", show_default=True, help="The held-out sets."
)
@click.option("--diagram", type=PATH, help="Draw the reliability diagram into this SVG or PNG file.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
def command(models: Path | None, config: Path, diagram: Path | None, threads: int) -> None:
    """Whether probabilities come true, and what the thresholds do: one JSON object a row of the tables.

    Reliability is always of searches that the fit did not see. The open-set rows are of the card's own calibration.

    \b
    Example:
      shelfhelp-evaluate calibration --models models --config config/training/calibration.yaml --diagram reliability.svg
    """
    from shelfhelp_ros.errors import ShelfHelpError
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation import open_set, reliability
    from shelfhelp_training.evaluation.comparisons import compare, read_sets, searches

    encoder = Encoder.load(models if models is not None else default_model_folder(), "cpu", threads)
    if encoder.calibration is None:
        raise ShelfHelpError("the encoder's card has no calibration; run `shelfhelp-export calibrate` first")
    sets = read_sets(config)
    comparisons = [compare(one, encoder, data_folder()) for one in sets]
    kinds = searches(sets, comparisons)
    unrelated = list(searches(sets, comparisons, relatives=False).values())
    forecasts = {name: reliability.cross_fit(list(kinds.values()), fit) for name, fit in reliability.METHODS.items()}
    for name, fit in reliability.METHODS.items():
        outside = reliability.leave_kind_out(list(kinds.values()), fit)
        scores = _scores({"method": name}, forecasts[name])
        _print("calibration methods", scores | {"ECE, kind left out": outside.calibration_error})
    fitted = forecasts[reliability.SHIPPED]
    parts = dict(zip(kinds, open_set.by_kind(list(kinds.values())), strict=True))
    for name, chosen in parts.items():
        _print("reliability by kind", _scores({"kind": name, "episodes": int(chosen.sum())}, fitted.only(chosen)))
    for mean, came_true, share in fitted.bins():
        _print("reliability", {"mean probability": mean, "came true": came_true, "share of the episodes": share})
    for row in open_set.rows(kinds, unrelated, encoder.calibration):
        _print("open set", row)
    for row in open_set.curve(list(kinds.values()), encoder.calibration):
        _print("open-set curve", row)
    if diagram is not None:
        named = {name: fitted.only(chosen) for name, chosen in parts.items()}
        reliability.draw({"all, cross-fitted": fitted, **named}, diagram)
        click.echo(f"drawn: {diagram}", err=True)


def _scores(start: dict[str, Any], forecasts: Any) -> dict[str, Any]:
    return start | {"ECE": forecasts.calibration_error, "Brier": forecasts.brier, "log loss": forecasts.log_loss}


def _print(table: str, row: dict[str, Any]) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
    click.echo(json.dumps({"table": table, **rounded}))
