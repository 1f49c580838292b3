"""A page about many episodes: figures, planners side by side, and why searches failed; one HTML file."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.episodes import PLANNER
from shelfhelp_ros.simulation.report import data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#06a77d", "#3a86ff", "#9d4edd", "#e85d04", "#8d99ae")


#: A larger video is not put into the page, bytes; it is told where it lies.
_LARGEST_VIDEO = 8_000_000


def episodes_page(found: dict[str, Any], video: Path | None = None) -> str:
    """The HTML of ``episodes.results``, with a WebM ``video`` of one of them if there is one.

    Raises ShelfHelpError when the parts that draw it are missing.
    """
    try:
        import jinja2
        import matplotlib
    except ImportError as error:
        raise ShelfHelpError(f"the report needs {error.name}; install it with: pip install 'shelfhelp[sim]'") from error
    matplotlib.use("Agg")
    environment = jinja2.Environment(loader=jinja2.PackageLoader("shelfhelp_ros.simulation"), autoescape=True)
    planners = {PLANNER: found, **found["baselines"]}
    return environment.get_template("episodes.html.j2").render(
        found=found,
        planners=planners,
        video=_video(video) if video is not None else "",
        colours=dict(zip(planners, _COLOURS, strict=False)),
        plots=_plots(found["records"], list(planners)),
    )


def _video(path: Path) -> str:
    content = path.read_bytes()
    return data_uri(content, "video/webm") if len(content) <= _LARGEST_VIDEO else path.absolute().as_uri()


def _plots(records: list[dict[str, Any]], planners: list[str]) -> list[tuple[str, str]]:
    """Title and SVG data URI of each plot."""
    served = {name: [r for r in records if r["planner"] == name and r["outcome"] == "done"] for name in planners}
    drawings: tuple[tuple[str, Callable[[Axes], None]], ...] = (
        ("Time to the product", lambda axes: _draw_shares(axes, served, lambda r: r["seconds"], "seconds")),
        ("Instructions", lambda axes: _draw_shares(axes, served, lambda r: r["instructions"], "instructions")),
        ("Way of the hand", lambda axes: _draw_shares(axes, served, _detour, "path ÷ straight line")),
        ("Time by situation", lambda axes: _draw_situations(axes, served[PLANNER])),
        ("Failures by cause", lambda axes: _draw_causes(axes, records, planners)),
    )
    return [(title, _drawn(draw)) for title, draw in drawings]


def _drawn(draw: Callable[[Axes], None]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return data_uri(buffer.getvalue(), "image/svg+xml")


def _detour(record: dict[str, Any]) -> float:
    return float(record["path"]) / max(0.05, float(record["straight"] or 0.0))


def _draw_shares(
    axes: Axes, served: dict[str, list[dict[str, Any]]], value: Callable[[dict[str, Any]], float], unit: str
) -> None:
    """The share of searches, by planner, that needed no more than so much."""
    for (name, rows), colour in zip(served.items(), _COLOURS, strict=False):
        values = np.sort([value(row) for row in rows])
        if len(values):
            axes.step(values, np.arange(1, len(values) + 1) / len(values), where="post", label=name, color=colour)
    axes.set_xlabel(unit)
    axes.set_ylabel("share of searches")
    axes.set_xlim(left=0)
    if any(served.values()):
        axes.legend(frameon=False, fontsize=8)


def _draw_situations(axes: Axes, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(row["situation"] for row in rows))
    seconds = [[row["seconds"] for row in rows if row["situation"] == name] for name in names]
    if names:
        axes.boxplot(seconds, orientation="horizontal", showfliers=False)
        axes.set_yticks(range(1, len(names) + 1), names, fontsize=8)
    axes.set_xlabel("seconds")


def _draw_causes(axes: Axes, records: list[dict[str, Any]], planners: list[str]) -> None:
    counts = {name: Counter(r["cause"] for r in records if r["planner"] == name and r["cause"]) for name in planners}
    causes = list(dict.fromkeys(cause for count in counts.values() for cause, _ in count.most_common()))
    height = 0.8 / max(1, len(planners))
    for number, (name, colour) in enumerate(zip(planners, _COLOURS, strict=False)):
        rows = np.arange(len(causes)) + number * height
        axes.barh(rows, [counts[name][cause] for cause in causes], height, label=name, color=colour)
    axes.set_yticks(np.arange(len(causes)) + 0.4 - height / 2, causes, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("searches")
    axes.legend(frameon=False, fontsize=8)
