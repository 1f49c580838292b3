"""Real cereal shelves: the packs that are there are found, and few that are not are claimed."""

from __future__ import annotations

import unibo_benchmark
import yaml

from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder


def test_labels_fit_the_photos(photos):
    """Every labelled box lies in its photo and every packshot exists."""
    folder = photos / "unibo_cereals"
    numbers = set(unibo_benchmark.packshots(folder))
    for name, label in yaml.safe_load(unibo_benchmark.LABELS.read_text(encoding="utf-8")).items():
        height, width = load_image(folder / "scenes" / f"{name}.png").shape[:2]
        assert set(label["visible"]) | set(label.get("cut", ())) <= numbers
        for x1, y1, x2, y2 in (box for boxes in label["visible"].values() for box in boxes):
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height


def test_packs_are_found(photos, shipped_models, tmp_path):
    """At least the figures that stand in docs/benchmarks.md, less what another processor's rounding may cost."""
    tallies = unibo_benchmark.evaluate(
        photos / "unibo_cereals", Detector.load(shipped_models, "cpu"), Encoder.load(shipped_models, "cpu"), tmp_path
    )
    alone, rivalled = tallies["reference alone"], tallies["with the catalogue"]
    assert (alone.visible, alone.absent) == (30, 237)
    assert alone.detected >= 28
    assert alone.best_is_right >= 28
    assert alone.found >= 27
    assert alone.absent_claimed <= 0.25 * alone.absent
    assert rivalled.best_is_right >= 29
    assert rivalled.found >= 28
    assert rivalled.named_elsewhere == 0
    assert rivalled.absent_claimed <= 0.01 * rivalled.absent
