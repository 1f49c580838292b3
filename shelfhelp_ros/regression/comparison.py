"""Two replays of one bag side by side: what changed, as a table and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfhelp_ros.errors import ShelfHelpError

Summary = Mapping[str, Any]
_NEEDED = frozenset(("decisions", "spoken", "timeline"))


@dataclass(frozen=True)
class Change:
    """One figure in both runs; None where a run does not have it."""

    name: str
    before: float | str | None
    after: float | str | None

    @property
    def changed(self) -> bool:
        return self.before != self.after


def load_summary(path: Path, search: str = "") -> dict[str, Any]:
    """What `shelfhelp replay --json` printed; of several ``search``es the one of this name. Raises ShelfHelpError."""
    try:
        summaries = _objects(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ShelfHelpError(f"{path} is missing; make it with: shelfhelp replay BAG --json > {path.name}") from error
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} is no summary of a replay: {' '.join(str(error).split())}") from error
    if not summaries or not all(isinstance(entry, dict) and entry.keys() >= _NEEDED for entry in summaries):
        raise ShelfHelpError(f"{path} is no summary of a replay; make it with: shelfhelp replay BAG --json")
    named = [entry for entry in summaries if search in ("", entry.get("search"))]
    if len(named) != 1:
        names = ", ".join(str(entry.get("search", "one without a name")) for entry in summaries)
        raise ShelfHelpError(f"{path} holds these searches: {names}; name one with --search")
    return dict(named[0])


def _objects(text: str) -> list[Any]:
    """One of any form, or one a line, as `replay --check` prints them."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def compare(before: Summary, after: Summary) -> tuple[Change, ...]:
    """The figures of both runs, side by side."""
    one, other = _figures(before), _figures(after)
    return tuple(Change(name, one[name], other[name]) for name in one)


def _figures(summary: Summary) -> dict[str, float | str | None]:
    found = next((entry["seconds"] for entry in summary["decisions"] if entry["decision"] == "found"), None)
    latency = summary["latency_ms"] or {}
    return {
        "frames worked on": summary["frames_worked_on"],
        "products in view (median)": (summary["products_in_view"] or {}).get("median"),
        "first found, s": found,
        "decisions": ", ".join(entry["decision"] for entry in summary["decisions"]) or None,
        "named": ", ".join(summary["named"]) or None,
        "instructions spoken": len(summary["spoken"]),
        "latency p50, ms": latency.get("p50"),
        "latency p95, ms": latency.get("p95"),
    }


def as_markdown(changes: tuple[Change, ...]) -> str:
    """A table of the figures; those that differ are marked."""
    lines = ["| | before | after | |", "|---|---|---|---|"]
    lines += [
        f"| {change.name} | {_text(change.before)} | {_text(change.after)} | {'changed' if change.changed else ''} |"
        for change in changes
    ]
    return "\n".join(lines)


def _text(value: float | str | None) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def draw(before: Summary, after: Summary, path: Path) -> None:
    """A picture of both runs: probability over time with what was spoken, and the latency of every answer.

    Raises ShelfHelpError without matplotlib, or when the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ShelfHelpError("the picture needs matplotlib; install it with: pip install 'shelfhelp[sim]'") from error
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    for name, colour, summary in (("before", "tab:blue", before), ("after", "tab:orange", after)):
        line = summary["timeline"]
        above.plot(line["seconds"], line["probability"], color=colour, label=name, drawstyle="steps-post")
        for said in summary["spoken"]:
            above.axvline(said["seconds"], color=colour, alpha=0.3, linewidth=1)
        late = [(at, ms) for at, ms in zip(line["seconds"], line["latency_ms"], strict=True) if ms is not None]
        if late:
            below.plot(*zip(*late, strict=True), ".", color=colour, label=name)
    above.set(ylabel="probability of the target", ylim=(0, 1.02), title="vertical lines: something was said")
    below.set(xlabel="seconds", ylabel="frame to answer, ms")
    above.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} cannot be written as a picture: {error}") from error
