"""What a detector found, missed and took for a product, drawn into the pictures, and its precision-recall curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from shelfhelp_ros.cli.options import DrawnCopies
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.drawing import draw_box, write_line
from shelfhelp_training.evaluation.detection import Measured, outcome, working_point

# BGR, from the Okabe-Ito palette, which colour-blind people can tell apart.
HIT, MISS, MISTAKE = (115, 158, 0), (0, 94, 213), (178, 114, 0)
CURVE_POINTS = 50


def draw(measured: Measured, folder: Path) -> None:
    """Write one picture per test picture and ``precision_recall.png`` into ``folder``.

    Green-blue boxes are products found (the detected box), vermilion ones products missed, blue ones mistakes, all at
    the threshold of the card. Raises ShelfHelpError when the folder cannot be written.
    """
    copies = DrawnCopies(folder)
    rows = list(zip(measured.pictures, measured.found, strict=True))
    for picture, detections in tqdm(rows, desc="drawing", unit="picture"):
        image = load_image(picture.path)
        result = outcome(picture.boxes, detections, picture.ignore, measured.threshold)
        for boxes, colour in ((result.hits, HIT), (result.mistakes, MISTAKE), (result.misses, MISS)):
            for box in boxes:
                draw_box(image, box, "", colour, bold=colour is not HIT)
        counts = (("found", result.hits), ("missed", result.misses), ("mistakes", result.mistakes))
        write_line(image, ", ".join(f"{len(boxes)} {word}" for word, boxes in counts))
        copies.write(picture.path, image)
    _plot_curve(measured, folder / "precision_recall.png")


def _plot_curve(measured: Measured, path: Path) -> None:
    """Precision over recall at IoU 0.5 as the threshold falls, with the threshold of the card marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    truth, ignore = [p.boxes for p in measured.pictures], [p.ignore for p in measured.pictures]
    scores = np.concatenate([detections.scores for detections in measured.found])
    thresholds = np.quantile(scores, np.linspace(1, 0, CURVE_POINTS)) if len(scores) else np.zeros(0)
    points = [working_point(truth, measured.found, ignore, float(threshold)) for threshold in thresholds]
    figure, axes = pyplot.subplots(figsize=(5, 5))
    axes.plot([p.recall for p in points], [p.precision for p in points], color="#0072B2")
    own = measured.working_point
    axes.plot(own.recall, own.precision, "o", color="#D55E00", label=f"threshold {measured.threshold:g}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="IoU 0.5")
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=120, bbox_inches="tight")
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another folder") from error
    finally:
        pyplot.close(figure)
