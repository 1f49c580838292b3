"""The gallery of failures: who comes first is told apart as by the figures, and the picture says it in colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.crop_sources import Crop
from shelfhelp_training.evaluation import gallery
from shelfhelp_training.evaluation.comparisons import Comparison


def crop(product: str, photo: str, grey: int = 128) -> Crop:
    image = np.full((60, 40, 3), grey, np.uint8)
    return Crop(image, np.array([0, 0, 40, 60], np.float32), product, product[0], photo)


@pytest.fixture
def comparison() -> Comparison:
    """Three queries: one right, one taken for a sibling, one for a stranger."""
    queries = [crop("a1", "shelf"), crop("a2", "shelf"), crop("b1", "shelf")]
    pictures = [crop("a1", "pack"), crop("a2", "pack"), crop("b1", "pack"), crop("c1", "pack")]
    similarity = np.array([[0.9, 0.8, 0.1, 0.0], [0.7, 0.6, 0.1, 0.0], [0.3, 0.2, 0.4, 0.5]], np.float32)
    same = np.array([[q.product == p.product for p in pictures] for q in queries])
    return Comparison(queries, pictures, similarity, same, np.ones_like(same), np.eye(3, dtype=np.float32))


def test_answers_are_those_of_the_figures(comparison: Comparison) -> None:
    """Rank, lead and kind of each answer; the share of right ones is recall@1."""
    found = gallery.answers(comparison)
    assert [answer.kind(comparison) for answer in found] == ["right", "look-alike of the family", "another product"]
    assert [answer.rank for answer in found] == [0, 1, 1]
    assert found[1].lead == pytest.approx(0.1)
    assert found[2].nearest == (3, 2, 0, 1)
    rows = gallery.summary(comparison, found)
    assert [row["queries"] for row in rows] == [1, 1, 1]
    assert rows[0]["share"] == pytest.approx(comparison.retrieval().recall)


def test_ties_count_as_failures_here_as_there(comparison: Comparison) -> None:
    """An encoder that gives the same vector for everything is not right."""
    level = Comparison(
        comparison.queries,
        comparison.gallery,
        np.full_like(comparison.similarity, 0.5),
        comparison.same,
        comparison.candidate,
        comparison.vectors,
    )
    assert level.retrieval().recall == 0
    assert all(answer.kind(level) != "right" for answer in gallery.answers(level))


def test_the_sheet_frames_right_and_wrong(comparison: Comparison, tmp_path: Path) -> None:
    """The first answer of each row stands in the colour of its kind; the file keeps to its size."""
    found = gallery.answers(comparison)
    image = gallery.sheet(comparison, found)
    width, height = gallery.CELL
    assert image.shape[:2] == (3 * height, 6 * width)
    for row, colour in enumerate((gallery.RIGHT, gallery.RELATIVE, gallery.WRONG)):
        assert tuple(image[row * height + height // 2, width + 2]) == colour
    gallery.write(image, tmp_path / "deep" / "sheet.jpg", 40_000)
    assert (tmp_path / "deep" / "sheet.jpg").stat().st_size <= 40_000
    assert cv2.imread(str(tmp_path / "deep" / "sheet.jpg")).shape == image.shape
    with pytest.raises(ShelfHelpError, match="larger than 500 bytes"):
        gallery.write(image, tmp_path / "small.jpg", 500)


def test_the_worst_come_first_and_one_a_product(comparison: Comparison) -> None:
    """Ten crops of one pack that fail are one thing to learn."""
    twice = Comparison(
        [*comparison.queries, comparison.queries[2]],
        comparison.gallery,
        np.vstack([comparison.similarity, comparison.similarity[2:] + np.float32([0, 0, 0, 0.2])]),
        np.vstack([comparison.same, comparison.same[2:]]),
        np.vstack([comparison.candidate, comparison.candidate[2:]]),
        np.eye(4, dtype=np.float32),
    )
    chosen = gallery.worst(twice, gallery.answers(twice), "another product", 5)
    assert [answer.query for answer in chosen] == [3]
