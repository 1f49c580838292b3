"""``shelfhelp-evaluate classification``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from shelfhelp_ros.errors import ShelfHelpError

PATH = click.Path(path_type=Path)


@click.command("classification")
@click.option("--classifier", type=PATH, help="Checkpoint of `shelfhelp-train classifier`, or ONNX with its card.")
@click.option("--images", type=PATH, help="Folder with a folder of photos for each class, named like it.")
@click.option("--logits", type=PATH, help="Instead: .npz with logits (N×C), labels (N), and classes (C), paths (N).")
@click.option("--output", type=PATH, help="Folder for JSON, tables, plots and a page of pictures.")
@click.option("--rows", type=click.IntRange(0, 500), default=60, show_default=True, help="Mistakes on the page.")
def command(classifier: Path | None, images: Path | None, logits: Path | None, output: Path | None, rows: int) -> None:
    """How well pictures are named: one JSON object.

    Accuracy, balanced accuracy (the mean over classes), precision, recall and F1, as means over classes (macro) and
    weighted by pictures, and how often the class is among the five likeliest. Intervals are bootstrapped, 95 %.

    With --output there are also classification.json, report.md, tables by class, the confusion matrix, and gallery.html
    with the surest mistakes first. Pages of photographs are yours to keep private.

    \b
    Examples:
      shelfhelp-evaluate classification --classifier runs/classifier/first/checkpoints/best.ckpt --images my_photos
      shelfhelp-evaluate classification --logits answers.npz --output output/answers
    """
    from shelfhelp_training.evaluation.named_pictures import figures, name_folder, read_logits

    if (logits is None) == (classifier is None) or (classifier is None) != (images is None):
        raise ShelfHelpError("give --classifier and --images, or --logits; see --help for examples")
    if logits is not None:
        named = read_logits(logits)
    else:
        from shelfhelp_training.methods.class_network import open_namer

        assert classifier is not None
        assert images is not None
        namer = open_namer(classifier)
        named = name_folder(images, namer.classes, namer.logits)
    source = images or logits
    assert source is not None
    values = {name: round(value, 4) for name, value in figures(named).items()}
    click.echo(json.dumps({"test_set": source.name, **values}))
    if output is not None:
        from shelfhelp_training.evaluation.classification import write_report
        from shelfhelp_training.evaluation.gallery_page import write_page
        from shelfhelp_training.evaluation.named_pictures import page_rows

        line = shlex.join(["shelfhelp-evaluate", *sys.argv[1:]])
        try:
            write_report(named.classification(), output)
            raw = {"command": line, "test_set": source.name, "figures": values}
            (output / "classification.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ShelfHelpError(f"{output} cannot be written: {error.strerror}; give another --output") from error
        note = f"accuracy {values['accuracy']:.3f}; the surest mistakes first, then the least sure of the right ones"
        write_page(output / "gallery.html", source.name, note, page_rows(named, rows, rows // 3))
        click.echo(f"written: {output / 'report.md'} and what lies beside it", err=True)
