"""Lines of shares over something, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy.typing as npt

Lines = Mapping[str, tuple[npt.ArrayLike, Sequence[float]]]
# Okabe and Ito's colours, each with a marker of its own.
STYLES = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def draw_lines(path: Path, lines: Lines, below: str, beside: str, logarithmic: bool) -> None:
    """Write a PNG with a line for each name (x, y in 0..1); ``below`` and ``beside`` say what the axes show."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (x, y)) in enumerate(lines.items()):
        colour, marker = STYLES[number % len(STYLES)]
        axes.plot(x, y, color=colour, marker=marker, markersize=3, label=name)
    axes.set(xlabel=below, ylabel=beside, ylim=(0, 1.02), xscale="log" if logarithmic else "linear")
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend()
    figure.savefig(path, dpi=100)
