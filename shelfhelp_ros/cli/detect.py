"""``shelfhelp detect``: every product in pictures."""

from __future__ import annotations

from pathlib import Path

import click

from shelfhelp_ros.cli.options import (
    DrawnCopies,
    Pictures,
    annotate_option,
    box_json,
    images_argument,
    model_options,
    print_json,
    tiled_option,
)


@click.command(name="detect")
@images_argument
@click.option("--threshold", type=click.FloatRange(0, 1), help="Lowest score to keep; the model's own by default.")
@tiled_option
@annotate_option
@model_options
def command(
    images: tuple[Path, ...],
    threshold: float | None,
    tiled: float,
    annotate: Path | None,
    models: Path | None,
    backend: str,
    threads: int | None,
) -> None:
    """Find every product in pictures, whatever product it is.

    Prints one JSON object a line: image, width, height, detections. A detection has a box, [x1, y1, x2, y2] in pixels
    of the picture, and a score from 0 to 1; the best come first.

    \b
    Examples:
      shelfhelp detect shelf.jpg
      shelfhelp detect photos/*.jpg --annotate drawn > boxes.jsonl
      shelfhelp detect --tiled 2 far_shelf_12_megapixels.jpg
    """
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.drawing import draw_box

    detector = Detector.load(models, backend, threads)
    pictures, copies = Pictures(images), DrawnCopies(annotate) if annotate is not None else None
    for path, image in pictures:
        found = detector.detect(image, threshold, tiled)
        rows = zip(found.boxes, found.scores, strict=True)
        detections = [{"box": box_json(box), "score": round(float(score), 4)} for box, score in rows]
        height, width = image.shape[:2]
        print_json({"image": str(path), "width": width, "height": height, "detections": detections})
        if copies is not None:
            for box, score in zip(found.boxes, found.scores, strict=True):
                draw_box(image, box, f"{score:.2f}")
            copies.write(path, image)
    pictures.require_all()
