"""``shelfhelp-evaluate retrieval``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import card_path, load_card

if TYPE_CHECKING:
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_training.evaluation.embedded import Embedded

PATH = click.Path(path_type=Path)
# Name, queries and gallery; without a gallery the queries answer each other.
Test = tuple[str, "Embedded", "Embedded | None"]


@click.command("retrieval")
@click.option("--config", type=PATH, help="Test sets, such as config/training/retrieval.yaml.")
@click.option("--only", help="Name of the one test set to measure.")
@click.option("--images", type=PATH, help="Folder of photos to ask with, in a folder for each product.")
@click.option("--against", type=PATH, help="Folder of photos that answer, made alike; without it, --images itself.")
@click.option("--embeddings", type=PATH, help="Vectors to ask with, as `shelfhelp embed` writes them (.npz).")
@click.option("--gallery", type=PATH, help="Vectors that answer; without it, --embeddings itself.")
@click.option("--labels", type=PATH, help="CSV with path and label, when the files of vectors have no labels.")
@click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default.")
@click.option("--encoder", "network", type=PATH, help="Checkpoint of any method, or ONNX with its card, to measure.")
@click.option("--output", type=PATH, help="Folder for JSON, tables, plots and a page of pictures.")
@click.option("--sizes/--no-sizes", default=True, show_default=True, help="Measure shorter vectors too (--output).")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Time FAISS as well (--output).")
@click.option("--rows", type=click.IntRange(0, 500), default=30, show_default=True, help="Failures on the page.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Processor threads.")
@click.option("--record", is_flag=True, help="Write the figures of --config into the model's card.")
def command(
    config: Path | None,
    only: str | None,
    images: Path | None,
    against: Path | None,
    embeddings: Path | None,
    gallery: Path | None,
    labels: Path | None,
    models: Path | None,
    network: Path | None,
    output: Path | None,
    sizes: bool,
    speed: bool,
    rows: int,
    threads: int,
    record: bool,
) -> None:
    """How often the right product is the nearest: one JSON object a test.

    What is measured: test sets (--config), a folder of photos (--images) or a file of vectors (--embeddings). With the
    first two, the robot's encoder embeds the pictures, or the one given with --encoder.

    Every picture asks for its label among the others, or among those of --against and --gallery. Figures: recall@1, 10,
    100, 1000, mAP, MAP@R and R-precision; for the open set, the share of right answers above all but 0.1 % and 1 % of
    the wrong pairs (true accepts) and AUROC; the spread of recall@1 over labels. Intervals are bootstrapped over
    labels, 95 %.

    With --output there are also retrieval.json, retrieval.md, plots, vectors of fewer numbers, exact against
    approximate search (FAISS) with times and misses, and gallery.html: the worst failures and some hits with what was
    nearest. Pages of photographs are yours to keep private.

    \b
    Examples:
      shelfhelp-evaluate retrieval --config config/training/retrieval.yaml
      shelfhelp-evaluate retrieval --images my_photos --against my_packshots --output output/mine
      shelfhelp-evaluate retrieval --images my_photos --encoder runs/simclr/first/last.ckpt --output output/simclr
      shelfhelp embed my_photos/*/*.jpg --output mine.npz
      shelfhelp-evaluate retrieval --embeddings mine.npz --output output/mine
    """
    chosen = [
        name for name, value in (("--config", config), ("--images", images), ("--embeddings", embeddings)) if value
    ]
    if len(chosen) != 1:
        raise ShelfHelpError("give one of --config, --images and --embeddings; see --help for examples")
    if record and (config is None or network is not None):
        raise ShelfHelpError("--record is for the figures of --config and the models' own encoder")
    if config is not None and output is None:
        _measure_sets(config, only, _encoder(models, network, threads), record, models)
    elif embeddings is not None:
        _report(_of_vectors(embeddings, gallery, labels), output, sizes, speed, rows, threads)
    else:
        encoder = _encoder(models, network, threads)
        tests = _of_sets(config, only, encoder) if config else _of_folders(cast(Path, images), against, encoder)
        _report(tests, output, sizes, speed, rows, threads)


def _encoder(models: Path | None, network: Path | None, threads: int) -> Encoder:
    from shelfhelp_ros.perception.encoder import Encoder

    if network is None:
        return Encoder.load(models, "cpu", threads)
    from shelfhelp_training.methods.embedder import open_encoder

    return open_encoder(network)


def _measure_sets(config: Path, only: str | None, encoder: Encoder, record: bool, models: Path | None) -> None:
    """The figures that `make evaluate` compares: those of test sets, for seen and unseen products apart."""
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.comparisons import compare, figures, read_sets

    folder = models if models is not None else default_model_folder()
    for test_set in read_sets(config):
        if only is None or test_set.name == only:
            values = figures(compare(test_set, encoder, data_folder()))
            click.echo(json.dumps({"test_set": test_set.name, **{k: round(v, 4) for k, v in values.items()}}))
            if record:
                _record(folder / "encoder.onnx", test_set.name, values)


def _of_vectors(embeddings: Path, gallery: Path | None, labels: Path | None) -> Iterator[Test]:
    from shelfhelp_training.evaluation.embedded import read_embeddings

    answers = read_embeddings(gallery, labels) if gallery else None
    yield embeddings.name, read_embeddings(embeddings, labels), answers


def _of_folders(images: Path, against: Path | None, encoder: Encoder) -> Iterator[Test]:
    from shelfhelp_training.evaluation.embedded import embed_folder

    yield images.name, embed_folder(images, encoder), embed_folder(against, encoder) if against else None


def _of_sets(config: Path, only: str | None, encoder: Encoder) -> Iterator[Test]:
    """The test sets of a file but those that compare families, or ask for what is not there."""
    from shelfhelp_training.data.crop_sources import load_crops
    from shelfhelp_training.data.shelves import data_folder
    from shelfhelp_training.evaluation.comparisons import read_sets
    from shelfhelp_training.evaluation.embedded import embed_crops

    for one in read_sets(config):
        if (only is None or one.name == only) and not one.among_family and not one.absent:
            asking, answering = (
                [crop for source in sources for crop in load_crops(source, data_folder())]
                for sources in (one.queries, one.gallery)
            )
            yield one.name, embed_crops(asking, encoder), embed_crops(answering, encoder) if answering else None


def _report(tests: Iterator[Test], output: Path | None, sizes: bool, speed: bool, rows: int, threads: int) -> None:
    """Print the figures of every test; with ``output`` write all that there is to say."""
    from shelfhelp_training.evaluation.gallery_page import retrieval_rows, write_page
    from shelfhelp_training.evaluation.retrieval_report import folder_of, report, write

    full = output is not None
    reports, sides = [], []
    for name, queries, gallery in tests:
        reports.append(report(name, queries, gallery, sizes and full, speed and full, threads))
        sides.append((queries, queries if gallery is None else gallery))
        values = {k: round(v, 4) for k, v in reports[-1].figures.items()}
        click.echo(json.dumps({"test_set": name, **values}))
    if output is not None:
        write(reports, output, shlex.join(["shelfhelp-evaluate", *sys.argv[1:]]))
        for one, (queries, answers) in zip(reports, sides, strict=True):
            shown = retrieval_rows(one.found, queries, answers, rows, rows // 3)
            note = f"recall@1 {one.found.recall:.3f}; the worst failures first, one a label, then some hits"
            write_page(folder_of(one, reports, output) / "gallery.html", one.name, note, shown)
        click.echo(f"written: {output / 'retrieval.md'} and what lies beside it", err=True)


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
