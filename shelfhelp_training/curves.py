"""Curves of a training: every figure of its ``metrics.csv`` over the steps, as pictures."""

from __future__ import annotations

import csv
import math
from pathlib import Path

Curve = list[tuple[int, float]]


def read_curves(metrics: Path) -> dict[str, Curve]:
    """The figures of a ``metrics.csv`` by name, each a list of steps and values.

    Where a resumed run has measured a step again, the later value counts.
    """
    values: dict[str, dict[int, float]] = {}
    with metrics.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            for name, text in row.items():
                if text and name not in ("step", "epoch"):
                    values.setdefault(name, {})[step] = float(text)
    return {name: sorted(of.items()) for name, of in sorted(values.items())}


def draw_curves(metrics: Path, folder: Path) -> list[Path]:
    """Write ``loss.png`` and ``figures.png``: the curves whose names speak of a loss, and all others.

    Returns the pictures written: one of them may have nothing to show.
    """
    curves = read_curves(metrics)
    losses = {name: curve for name, curve in curves.items() if "loss" in name}
    others = {name: curve for name, curve in curves.items() if name not in losses}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chosen in (("loss", losses), ("figures", others)):
        if chosen:
            written.append(folder / f"{name}.png")
            _draw(chosen, written[-1])
    return written


def _draw(curves: dict[str, Curve], path: Path) -> None:
    from matplotlib.figure import Figure

    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    # A fixed layout: Matplotlib's own ones draw everything twice, which takes longer than a short training.
    figure = Figure(figsize=(4 * columns, 2.8 * rows))
    figure.subplots_adjust(
        left=0.6 / (4 * columns), right=1 - 0.15 / (4 * columns), bottom=0.5 / (2.8 * rows),
        top=1 - 0.3 / (2.8 * rows), wspace=0.22, hspace=0.4,
    )  # fmt: skip
    for number, (name, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(rows, columns, number + 1)
        steps, values = zip(*curve, strict=True)
        axes.plot(steps, values, linewidth=1, marker="." if len(curve) < 30 else None)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=5)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
