"""``shelfhelp-evaluate retrieval``."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import click

from shelfhelp_ros.inference.card import card_path, load_card

PATH = click.Path(path_type=Path)


@click.command("retrieval")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option("--config", type=PATH, required=True, help="Test sets, such as config/training/retrieval.yaml.")
@click.option("--only", help="Name of the one test set to measure.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
@click.option("--record", is_flag=True, help="Write the figures into the model's card.")
def command(models: Path | None, config: Path, only: str | None, threads: int, record: bool) -> None:
    """Recall and true accepts of the exported encoder, run as the robot runs it: one JSON object a test set."""
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.comparisons import compare, figures, read_sets

    folder = models if models is not None else default_model_folder()
    encoder = Encoder.load(folder, "cpu", threads)
    for test_set in read_sets(config):
        if only is None or test_set.name == only:
            values = figures(compare(test_set, encoder, data_folder()))
            click.echo(json.dumps({"test_set": test_set.name, **{k: round(v, 4) for k, v in values.items()}}))
            if record:
                _record(folder / "encoder.onnx", test_set.name, values)


def _record(model: Path, test_set: str, values: dict[str, float]) -> None:
    """Put the figures into the card, in place of earlier ones on the same test set."""
    from shelfhelp_training.export import write_card

    line = shlex.join(["shelfhelp-evaluate", *(a for a in sys.argv[1:] if a != "--record")])
    card = load_card(model)
    kept = tuple(figure for figure in card.figures if figure["test_set"] != test_set)
    new = tuple(
        {"test_set": test_set, "metric": metric, "value": round(value, 4), "command": line}
        for metric, value in values.items()
    )
    write_card(model, replace(card, figures=kept + new))
    click.echo(f"written into {card_path(model)}", err=True)
