"""How many packs of unibo_cereals `find` finds, and how many it claims that are not there.

    python test/unibo_benchmark.py ../shared/data/unibo_cereals [--models FOLDER]

Every packshot is looked for in every scene: alone, as `shelfhelp find --reference` does, and with the other packshots
as the catalogue, as `shelfhelp find --product` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import Match, Matcher, Verdict
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.finding import Scene, find_product
from shelfhelp_ros.perception.target import Target

LABELS = Path(__file__).resolve().parent / "data" / "unibo_cereals.yaml"
# The same product photographed for two packshots: neither may count against the other.
TWINS = {9: 23, 23: 9}


@dataclass
class Tally:
    """Counts over pairs of a packshot and a scene. A pack counts as boxed when the best match has IoU ≥ 0.5 with it."""

    visible: int = 0
    detected: int = 0
    best_is_right: int = 0
    found: int = 0
    named_elsewhere: int = 0
    ambiguous: int = 0
    absent: int = 0
    absent_claimed: int = 0
    absent_ambiguous: int = 0

    def count(self, match: Match, scene: Scene, boxes: list[list[float]] | None) -> None:
        """Take in one search; ``boxes`` are the labelled ones, None for a pack that is not there."""
        if boxes is None:
            self.absent += 1
            self.absent_claimed += match.verdict is Verdict.FOUND
            self.absent_ambiguous += match.verdict is Verdict.AMBIGUOUS
            return
        overlap = iou(scene.detections.boxes, np.array(boxes, np.float32))
        likeliest = int(np.argmax(match.probabilities)) if len(match.probabilities) else None
        right = match.best is not None and bool(overlap[match.best].max() >= 0.5)
        self.visible += 1
        self.detected += bool((overlap >= 0.5).any())
        self.best_is_right += likeliest is not None and bool(overlap[likeliest].max() >= 0.5)
        self.found += match.verdict is Verdict.FOUND and right
        self.named_elsewhere += match.verdict is Verdict.FOUND and not right
        self.ambiguous += match.verdict is Verdict.AMBIGUOUS


def evaluate(folder: Path, detector: Detector, encoder: Encoder, work: Path) -> dict[str, Tally]:
    """Look for every packshot in every scene; ``work`` is an empty folder for the catalogue."""
    matcher = Matcher(encoder.calibration)
    labels: dict[str, dict[str, Any]] = yaml.safe_load(LABELS.read_text(encoding="utf-8"))
    scenes = {name: Scene.look(load_image(folder / "scenes" / f"{name}.png"), detector, encoder) for name in labels}
    with Catalogue(work / "unibo.db") as catalogue:
        for packshot in packshots(folder):
            image = load_image(folder / "models" / f"{packshot}.jpg")
            enrol(catalogue, detector, encoder, f"packshot {packshot}", [image])
        index = Index.open(catalogue, encoder.card.sha256)
        ids = {packshot: catalogue.get(f"packshot {packshot}").id for packshot in packshots(folder)}
    tallies = {"reference alone": Tally(), "with the catalogue": Tally()}
    for packshot, product_id in ids.items():
        target = Target(product_id, f"packshot {packshot}", index.of_product(product_id), product_id)
        for name, label in labels.items():
            if packshot in label.get("cut", ()):
                continue
            boxes = label["visible"].get(packshot)
            for tally, rivals in zip(tallies.values(), (None, index), strict=True):
                if rivals is not None and packshot in TWINS:
                    continue
                tally.count(find_product(scenes[name], target, matcher, rivals), scenes[name], boxes)
    return tallies


def packshots(folder: Path) -> Iterator[int]:
    """The numbers of the packshots, in order."""
    yield from sorted(int(path.stem) for path in (folder / "models").glob("*.jpg"))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--models", type=click.Path(path_type=Path))
def main(folder: Path, models: Path | None) -> None:
    """Print the counts as one JSON object a line."""
    import tempfile

    with tempfile.TemporaryDirectory() as work:
        tallies = evaluate(folder, Detector.load(models), Encoder.load(models), Path(work))
    for name, tally in tallies.items():
        click.echo(json.dumps({"search": name, **asdict(tally)}))


if __name__ == "__main__":
    main()
