"""COCO figures and the working point, on cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="pycocotools comes with the extra 'training'")

from shelfhelp_ros.sightings import Detections
from shelfhelp_training.evaluation.detection import detection_figures, outcome, working_point

TRUTH = np.array([[0, 0, 20, 40], [30, 0, 50, 40], [60, 0, 80, 40], [90, 0, 110, 40]], np.float32)
NOTHING = np.zeros((0, 4), np.float32)


def found(boxes: np.ndarray, scores: list[float]) -> Detections:
    return Detections(boxes.astype(np.float32), np.array(scores, np.float32))


def test_perfect_detections_score_one() -> None:
    """Every figure reaches its top."""
    figures = detection_figures([TRUTH], [found(TRUTH, [0.9, 0.8, 0.7, 0.6])])
    assert (figures.ap, figures.ap50, figures.ap75, figures.ar300) == pytest.approx((1, 1, 1, 1))


def test_half_of_the_products_gives_half_the_recall() -> None:
    """Misses cost recall in proportion."""
    figures = detection_figures([TRUTH], [found(TRUTH[:2], [0.9, 0.8])])
    assert figures.ar300 == pytest.approx(0.5)
    assert figures.ap50 == pytest.approx(0.5, abs=0.02)


def test_loose_boxes_pass_at_half_overlap_only() -> None:
    """A box with IoU 2/3 counts for AP50 and not for AP75."""
    loose = TRUTH.copy()
    loose[:, 3] *= 1.5
    figures = detection_figures([TRUTH], [found(loose, [0.9, 0.8, 0.7, 0.6])])
    assert figures.ap50 == pytest.approx(1)
    assert figures.ap75 == 0


def test_a_confident_mistake_costs_precision() -> None:
    """A false box above every true one lowers AP50."""
    boxes = np.concatenate([[[200, 0, 220, 40]], TRUTH])
    figures = detection_figures([TRUTH], [found(boxes, [0.95, 0.9, 0.8, 0.7, 0.6])])
    assert 0.5 < figures.ap50 < 0.9


def test_ignored_regions_neither_help_nor_hurt() -> None:
    """A detection on a hidden product is left out of every figure."""
    hidden = np.array([[200, 0, 220, 40]], np.float32)
    detections = found(np.concatenate([hidden, TRUTH]), [0.95, 0.9, 0.8, 0.7, 0.6])
    assert detection_figures([TRUTH], [detections], [hidden]).ap50 == pytest.approx(1)
    point = working_point([TRUTH], [detections], [hidden], 0.5)
    assert (point.precision, point.recall) == (1, 1)


def test_figures_by_size_count_only_their_products() -> None:
    """A small product that is missed costs the small ones their recall and leaves the others alone; a size that does
    not occur has no figure."""
    boxes = np.array([[0, 0, 20, 20], [100, 0, 150, 50]], np.float32)
    figures = detection_figures([boxes], [found(boxes[1:], [0.9])])
    assert figures.ar300_small == 0
    assert figures.ar300_medium == pytest.approx(1)
    assert figures.ap_medium == pytest.approx(1)
    assert figures.ap_large is figures.ar300_large is None


def test_outcome_tells_hits_misses_and_mistakes_apart() -> None:
    """Each box is on the list it belongs to."""
    boxes = np.concatenate([TRUTH[:3] + 1, [[200, 0, 220, 40]]])
    result = outcome(TRUTH, found(boxes, [0.9, 0.8, 0.7, 0.6]), NOTHING, 0.5)
    np.testing.assert_array_equal(result.hits, boxes[:3])
    np.testing.assert_array_equal(result.misses, TRUTH[3:])
    np.testing.assert_array_equal(result.mistakes, boxes[3:])


def test_more_than_a_hundred_products_can_be_found() -> None:
    """Crowded shelves are not cut at COCO's usual hundred detections."""
    many = np.array([[30 * i, 0, 30 * i + 20, 40] for i in range(250)], np.float32)
    figures = detection_figures([many], [found(many, np.linspace(0.9, 0.5, 250).tolist())])
    assert figures.ar300 == pytest.approx(1)


def test_no_detection_at_all_scores_zero() -> None:
    """An empty result is a figure, not an error."""
    assert detection_figures([TRUTH], [found(NOTHING, [])]).ap50 == 0


def test_the_working_point_counts_each_product_once() -> None:
    """A second box on a product is a mistake, and weak boxes below the threshold do not count."""
    boxes = np.concatenate([TRUTH[:2], TRUTH[:1] + 1, TRUTH[3:]])
    point = working_point([TRUTH], [found(boxes, [0.9, 0.8, 0.7, 0.2])], [NOTHING], 0.5)
    assert point.precision == pytest.approx(2 / 3)
    assert point.recall == pytest.approx(0.5)
