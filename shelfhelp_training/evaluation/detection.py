"""Average precision and recall of boxes, by the COCO protocol (pycocotools), for one class."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tqdm import tqdm

from shelfhelp_ros.geometry import BoxArray, area, iou
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.sightings import Detections
from shelfhelp_training.data.boxes import BoxedPicture

MAX_DETECTIONS = 300
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class DetectionFigures:
    """COCO figures in 0..1: ``ap`` over IoU 0.50–0.95, ``ap50``, ``ap75`` and ``ar300``, the recall with at most 300
    boxes per picture over the same IoUs.

    Those by size count products of less than 32², up to 96² and more pixels² of the picture; None without any such.
    """

    ap: float
    ap50: float
    ap75: float
    ar300: float
    ap_small: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    ar300_small: float | None = None
    ar300_medium: float | None = None
    ar300_large: float | None = None


def detection_figures(
    truth: Sequence[BoxArray], found: Sequence[Detections], ignore: Sequence[BoxArray] | None = None
) -> DetectionFigures:
    """Figures over pictures.

    Args:
        truth: M×4 xyxy boxes of each picture.
        found: the detections in each picture, in the same pixels.
        ignore: K×4 boxes of each picture in which a detection is neither right nor wrong (COCO's crowds).
    """
    crowds = ignore if ignore is not None else [np.zeros((0, 4), np.float32)] * len(truth)
    annotations = [
        _annotation(picture, box) | {"iscrowd": crowd}
        for crowd, lists in enumerate((truth, crowds))
        for picture, boxes in enumerate(lists, 1)
        for box in boxes
    ]
    ground = COCO()
    ground.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(1, len(truth) + 1)],
        "annotations": [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)],
        "categories": [{"id": 1, "name": "product"}],
    }
    results = [
        _annotation(picture, box) | {"score": float(score)}
        for picture, detections in enumerate(found, 1)
        for box, score in zip(detections.boxes, detections.scores, strict=True)
    ]
    if not results:
        return DetectionFigures(0.0, 0.0, 0.0, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    # The last two axes are COCO's areas (all, small, medium, large) and the limits on detections.
    by_size = {
        f"{metric}_{size}": _mean(values[..., 0, area_index, -1])
        for metric, values in (("ap", precision), ("ar300", recall))
        for area_index, size in enumerate(SIZES, 1)
    }
    return DetectionFigures(
        ap=_mean(precision[..., 0, 0, -1]) or 0.0,
        ap50=_mean(precision[0, ..., 0, 0, -1]) or 0.0,
        ap75=_mean(precision[5, ..., 0, 0, -1]) or 0.0,
        ar300=_mean(recall[:, 0, 0, -1]) or 0.0,
        **by_size,
    )


def _annotation(picture: int, box: BoxArray) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in box)
    width, height = x2 - x1, y2 - y1
    return {"image_id": picture, "category_id": 1, "bbox": [x1, y1, width, height], "area": width * height}


def _mean(values: np.ndarray) -> float | None:
    """COCOeval writes −1 where there is nothing to measure."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


@dataclass(frozen=True)
class WorkingPoint:
    """``precision`` and ``recall`` at IoU 0.5 of the detections that the card's score threshold lets through."""

    precision: float
    recall: float


@dataclass(frozen=True)
class Measured:
    """What a detector found in pictures, and the figures of it."""

    pictures: tuple[BoxedPicture, ...]
    found: tuple[Detections, ...]
    figures: DetectionFigures
    working_point: WorkingPoint
    threshold: float


def measure(
    folder: Path, pictures: Sequence[BoxedPicture], score_threshold: float, threads: int = 1, tiled: float = 1.0
) -> Measured:
    """Run the exported detector in ``folder`` on pictures: COCO figures, and what it does at its own threshold.

    ``score_threshold`` is the lowest score that counts for the COCO figures; ``tiled`` as in ``Detector.detect``.
    """
    detector = Detector.load(folder, threads=threads)
    assert detector.card.detection is not None
    found = tuple(
        detector.detect(load_image(picture.path), score_threshold, tiled)
        for picture in tqdm(pictures, desc="detecting", unit="picture")
    )
    truth, ignore = [p.boxes for p in pictures], [p.ignore for p in pictures]
    threshold = detector.card.detection.score_threshold
    return Measured(
        pictures=tuple(pictures),
        found=found,
        figures=detection_figures(truth, found, ignore),
        working_point=working_point(truth, found, ignore, threshold),
        threshold=threshold,
    )


@dataclass(frozen=True)
class Outcome:
    """Boxes (N×4 each) of one picture at a threshold: products that were found, those that were not, mistakes."""

    hits: BoxArray
    misses: BoxArray
    mistakes: BoxArray


def outcome(boxes: BoxArray, detections: Detections, regions: BoxArray, threshold: float) -> Outcome:
    """Match detections of at least ``threshold`` with the products (M×4) at IoU 0.5, one to one, best first.

    Unmatched detections that lie mostly in one of the ignored ``regions`` (K×4) are no mistakes. ``hits`` are the
    detected boxes.
    """
    chosen = detections.boxes[detections.scores >= threshold]
    overlap = iou(chosen, boxes)
    free = np.ones(len(boxes), bool)
    right, wrong = [], []
    for row, box in enumerate(chosen):
        best = int(np.where(free, overlap[row], 0).argmax()) if len(boxes) else -1
        if best >= 0 and free[best] and overlap[row, best] >= 0.5:
            free[best] = False
            right.append(row)
        elif not _mostly_inside(box, regions):
            wrong.append(row)
    return Outcome(chosen[right], boxes[free], chosen[wrong])


def working_point(
    truth: Sequence[BoxArray], found: Sequence[Detections], ignore: Sequence[BoxArray], threshold: float
) -> WorkingPoint:
    """Precision and recall over pictures at IoU 0.5 with detections of at least ``threshold``; see ``outcome``."""
    outcomes = [outcome(*rows, threshold) for rows in zip(truth, found, ignore, strict=True)]
    right, wrong, missed = (sum(len(getattr(o, part)) for o in outcomes) for part in ("hits", "mistakes", "misses"))
    return WorkingPoint(right / max(1, right + wrong), right / max(1, right + missed))


def _mostly_inside(box: BoxArray, regions: BoxArray) -> bool:
    """Whether half of the box (4,) lies in one of the regions M×4."""
    low, high = np.maximum(box[:2], regions[:, :2]), np.minimum(box[2:], regions[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return bool((shared >= 0.5 * area(box[None])[0]).any())
