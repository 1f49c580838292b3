"""``shelfhelp-evaluate lookalikes``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from shelfhelp_ros.perception.text import TextReader
    from shelfhelp_ros.perception.verifier import Verifier, VerifierCard
    from shelfhelp_training.evaluation.lookalikes import Tally

PATH = click.Path(path_type=Path)


@click.command("lookalikes")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option("--config", type=PATH, required=True, help="Sets, such as config/training/lookalikes.yaml.")
@click.option("--only", help="Name of the one set to measure.")
@click.option(
    "--fit",
    "fits",
    type=click.Choice(["all", "between"]),
    help="Fit evidence anew on the sets marked fit, all of it or that between two known products; write verifier.json.",
)
@click.option("--pairs", type=click.IntRange(min=10), default=150, show_default=True, help="Of each kind, to fit on.")
@click.option("--confirm", default="balanced", show_default=True, help="How sure to be: cautious, balanced or eager.")
@click.option("--text/--no-text", default=True, show_default=True, help="Read words (extra `text`).")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
@click.option("--record", is_flag=True, help="Write the figures into verifier.json.")
def command(
    models: Path | None,
    config: Path,
    only: str | None,
    fits: str | None,
    pairs: int,
    confirm: str,
    text: bool,
    threads: int,
    record: bool,
) -> None:
    """Wrong picks among what is called found, with and without a second look: one JSON object a situation.

    \b
    Example:
      shelfhelp-evaluate lookalikes --config config/training/lookalikes.yaml --confirm cautious
    """
    from shelfhelp_ros.catalogue.matching import Matcher
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_ros.perception.text import TextReader
    from shelfhelp_ros.perception.verifier import CARD, VerifierCard
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation import contests, lookalikes

    folder = models if models is not None else default_model_folder()
    detector, encoder = Detector.load(folder, "cpu", threads), Encoder.load(folder, "cpu", threads)
    matcher = Matcher(encoder.calibration, confirm=confirm)
    reader = TextReader(threads) if text else None
    sets = lookalikes.read_sets(config)
    if fits is not None:
        import numpy as np

        rng = np.random.default_rng(0)
        pairs_found: list[lookalikes.Pair] = []
        contests_found: list[contests.Contest] = []
        for entry in (entry for entry in sets if entry.fit):
            shelves = lookalikes.load_shelves(entry, data_folder(), detector, encoder)
            references = lookalikes.load_references(entry, data_folder())
            contests_found += contests.contests_of(entry, shelves, references, encoder, matcher, pairs, rng)
            if fits == "all":
                pairs_found += lookalikes.pairs_of(entry, shelves, references, encoder, matcher, reader, pairs, rng)
            click.echo(f"{entry.name}: {len(pairs_found)} pairs, {len(contests_found)} contests by now", err=True)
        between = contests.fit_between(contests_found)
        previous = VerifierCard.load(folder) if fits == "between" or (folder / CARD).is_file() else None
        if fits == "between" and previous is not None:
            _write(folder / CARD, dataclasses.replace(previous, between=between))
        else:
            fitted_on = "; ".join(entry.name for entry in sets if entry.fit)
            _write(folder / CARD, lookalikes.fit(pairs_found, between, fitted_on, previous))
    card = VerifierCard.load(folder)
    figures = []
    for entry in sets:
        if entry.fit or (only is not None and entry.name != only):
            continue
        shelves = lookalikes.load_shelves(entry, data_folder(), detector, encoder)
        references = lookalikes.load_references(entry, data_folder())
        tallies = lookalikes.search_all(shelves, references, entry, encoder, matcher, _verifiers(card, reader))
        for (situation, looks), tally in tallies.items():
            figures.append(_figure(entry.name, situation, looks, tally))
            click.echo(json.dumps(figures[-1]))
    if record:
        without = ("--record", "--fit", "all", "between")
        line = shlex.join(["shelfhelp-evaluate", *(a for a in sys.argv[1:] if a not in without)])
        measured = {figure["test_set"] for figure in figures}
        kept = [figure for figure in card.figures if figure["test_set"] not in measured]
        new = [{**figure, "command": line} for figure in figures]
        _write(folder / CARD, dataclasses.replace(card, figures=(*kept, *new)))


def _verifiers(card: VerifierCard, reader: TextReader | None) -> dict[str, Verifier | None]:
    from shelfhelp_ros.perception.verifier import Verifier

    found: dict[str, Verifier | None] = {"none": None, "likeness": Verifier(card)}
    if reader is not None:
        found |= {"text": Verifier(card, reader, likeness=False), "both": Verifier(card, reader)}
    return found


def _figure(test_set: str, situation: str, looks: str, tally: Tally) -> dict[str, object]:
    return {
        "test_set": test_set,
        "situation": situation,
        "second_look": looks,
        **dataclasses.asdict(tally),
        "wrong_share": round(tally.wrong_share, 4),
        "found_share": round(tally.found_share, 4),
    }


def _write(path: Path, card: VerifierCard) -> None:
    path.write_text(json.dumps(dataclasses.asdict(card), indent=2) + "\n", encoding="utf-8")
    click.echo(f"written: {path}", err=True)
