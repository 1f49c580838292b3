"""How well pictures are named: accuracy, precision, recall and F1, in all and by class, and what is taken for what."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

# More classes than that are drawn without names and numbers.
NAMED = 40

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Classification:
    """What N pictures of C classes were taken for.

    ``confusion`` (C×C) counts the pictures by their class (row) and by what they were called (column). ``precision``,
    ``recall``, ``f1`` (C) are those of each class, 0 where there is nothing to divide by; ``support`` (C) its pictures.
    """

    names: tuple[str, ...]
    confusion: Counts
    precision: Shares
    recall: Shares
    f1: Shares
    support: Counts

    @property
    def accuracy(self) -> float:
        """Share of the pictures that were called what they are."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have pictures."""
        return float(self.recall[self.support > 0].mean())

    def figures(self) -> dict[str, float]:
        """Accuracy and balanced accuracy; precision, recall and F1 as means over classes and weighted by pictures."""
        present = self.support > 0
        weights = self.support[present]
        found = {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy}
        for name, values in (("precision", self.precision), ("recall", self.recall), ("f1", self.f1)):
            found[f"{name}_macro"] = float(values[present].mean())
            found[f"{name}_weighted"] = float(np.average(values[present], weights=weights))
        return found

    def confusions(self, limit: int = 10) -> list[tuple[str, str, int]]:
        """The commonest mistakes: class, what it was taken for, how often."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        rows, columns = np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:limit], wrong.shape)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return [(self.names[i], self.names[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def classification(truth: npt.ArrayLike, called: npt.ArrayLike, names: Sequence[str]) -> Classification:
    """Of N pictures, the numbers of their classes and of what they were called, both below ``len(names)``."""
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (np.asarray(truth), np.asarray(called)), 1)
    return from_confusion(confusion, names)


def from_confusion(confusion: npt.ArrayLike, names: Sequence[str]) -> Classification:
    """Of C×C counts of pictures by their class (row) and by what they were called (column)."""
    counts = np.asarray(confusion, np.int64)
    right, support, calls = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = right / np.maximum(1, calls), right / np.maximum(1, support)
    f1 = 2 * right / np.maximum(1, calls + support)
    return Classification(tuple(names), counts, precision, recall, f1, support)


def write_report(report: Classification, folder: Path) -> None:
    """Write ``report.md`` (figures, classes, mistakes), ``per_class.csv``, ``confusion.csv`` and ``confusion.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("class", "precision", "recall", "f1", "pictures")
    rows = [
        (name, f"{p:.3f}", f"{r:.3f}", f"{f:.3f}", str(n))
        for name, p, r, f, n in zip(
            report.names, report.precision, report.recall, report.f1, report.support, strict=True
        )
    ]
    _write_csv(folder / "per_class.csv", [columns, *rows])
    counts = [(name, *map(str, row)) for name, row in zip(report.names, report.confusion.tolist(), strict=True)]
    _write_csv(folder / "confusion.csv", [("", *report.names), *counts])
    parts = [
        _markdown(("figure", "value"), [(name, f"{value:.3f}") for name, value in report.figures().items()]),
        _markdown(columns, rows),
        _markdown(("is", "was called", "times"), [(a, b, str(n)) for a, b, n in report.confusions()]),
    ]
    (folder / "report.md").write_text("\n".join(parts), encoding="utf-8")
    draw_confusion(report, folder / "confusion.png")


def draw_confusion(report: Classification, path: Path) -> None:
    """The confusion matrix as a picture: each row the shares of what a class was called."""
    from matplotlib.figure import Figure

    shares = report.confusion / np.maximum(1, report.support)[:, None]
    side = float(np.clip(2.5 + 0.32 * len(report.names), 4, 15))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="was called", ylabel="is", title=f"accuracy {report.accuracy:.3f}")
    if len(report.names) <= NAMED:
        places = range(len(report.names))
        axes.set_xticks(places, report.names, rotation=90, fontsize=7)
        axes.set_yticks(places, report.names, fontsize=7)
        for row, column in zip(*np.nonzero(report.confusion), strict=True):
            ink = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, report.confusion[row, column], ha="center", va="center", fontsize=6, color=ink)
    figure.savefig(path, dpi=100)


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
