"""Figures of naming pictures: against a table worked out by hand, and files that a reader can use."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics

from shelfhelp_training.evaluation.classification import Classification, classification, write_report

NAMES = ("beans", "cake", "corn", "never")
# Beans: 4 of which 3 found; cake: 2 of which 1 found; corn: 1 found. "never" has no pictures and is called once.
TRUTH = [0, 0, 0, 0, 1, 1, 2]
CALLED = [0, 0, 0, 1, 1, 3, 2]


def report() -> Classification:
    return classification(TRUTH, CALLED, NAMES)


def test_figures_are_those_of_a_pencil() -> None:
    """5 of 7 are right; recalls 3/4, 1/2, 1; precisions 1, 1/2, 1; F1 6/7, 1/2, 1."""
    found = report()
    np.testing.assert_array_equal(found.confusion, [[3, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    figures = found.figures()
    assert figures["accuracy"] == pytest.approx(5 / 7)
    assert figures["balanced_accuracy"] == figures["recall_macro"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert figures["precision_macro"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert figures["f1_macro"] == pytest.approx((6 / 7 + 1 / 2 + 1) / 3)
    assert figures["precision_weighted"] == pytest.approx((4 * 1 + 2 * 1 / 2 + 1) / 7)
    assert figures["recall_weighted"] == pytest.approx(5 / 7)
    assert figures["f1_weighted"] == pytest.approx((4 * 6 / 7 + 2 / 2 + 1) / 7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    """On anything, classes without pictures and classes that are never named included."""
    truth, called = zip(*pairs, strict=True)
    found = classification(truth, called, [str(n) for n in range(5)])
    expected = metrics.precision_recall_fscore_support(truth, called, labels=range(5), zero_division=0)
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, called))
    weighted = metrics.precision_recall_fscore_support(truth, called, average="weighted", zero_division=0)
    figures = found.figures()
    assert [figures[f"{name}_weighted"] for name in ("precision", "recall", "f1")] == pytest.approx(list(weighted[:3]))


def test_the_commonest_mistakes_come_first() -> None:
    """They are what the next photographs should be taken of."""
    many = classification([0, 0, 0, 1, 2], [1, 1, 0, 2, 2], NAMES)
    assert many.confusions() == [("beans", "cake", 2), ("cake", "corn", 1)]
    assert many.confusions(1) == [("beans", "cake", 2)]
    assert classification([0, 1], [0, 1], NAMES).confusions() == []


def test_the_report_can_be_read_by_people_and_programs(tmp_path: Path) -> None:
    """Tables as CSV and Markdown, and the confusion matrix as a picture."""
    write_report(report(), tmp_path / "test")
    with (tmp_path / "test" / "per_class.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert rows["beans"] == {"class": "beans", "precision": "1.000", "recall": "0.750", "f1": "0.857", "pictures": "4"}
    with (tmp_path / "test" / "confusion.csv").open(newline="") as file:
        assert list(csv.reader(file))[1] == ["beans", "3", "1", "0", "0"]
    text = (tmp_path / "test" / "report.md").read_text()
    assert "| accuracy | 0.714 |" in text
    assert "| beans | cake | 1 |" in text
    picture = np.asarray(Image.open(tmp_path / "test" / "confusion.png").convert("RGB"), int)
    assert picture.std() > 10


def test_many_classes_are_drawn_without_names(tmp_path: Path) -> None:
    """A thousand names would be a black picture, or none at all."""
    labels = np.arange(200)
    write_report(classification(labels, labels, [str(n) for n in labels]), tmp_path)
    assert max(Image.open(tmp_path / "confusion.png").size) <= 1500
