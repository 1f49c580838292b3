"""Everything that is worth knowing of how well vectors find products: figures, spread over classes, sizes, speed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.evaluation.embedded import Embedded, retrieval
from shelfhelp_training.evaluation.line_plots import Lines, draw_lines
from shelfhelp_training.evaluation.retrieval import Retrieval, interval
from shelfhelp_training.evaluation.search_speed import Speed, measure_search

NEIGHBOURS = (1, 10, 100, 1000)
FALSE_ACCEPTS = (0.001, 0.01)
QUANTILES = (0.1, 0.5, 0.9)
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """The figures of one test.

    Attributes:
        name: of the test.
        figures: by name; those with ``low`` and ``high`` in their name are 95 % intervals, bootstrapped over labels.
        classes: recall@1 and number of queries by label.
        sizes: recall@1 and MAP@R of shorter vectors: the first numbers of each, and principal directions.
        speeds: time of a query and what approximate search misses.
        found: what the queries found.
    """

    name: str
    figures: dict[str, float]
    classes: dict[str, tuple[float, int]]
    sizes: list[Row]
    speeds: list[Speed]
    found: Retrieval


def report(
    name: str,
    queries: Embedded,
    gallery: Embedded | None = None,
    sizes: bool = True,
    speed: bool = True,
    threads: int = 1,
) -> RetrievalReport:
    """Measure queries against a gallery, or (None) against each other.

    Raises ShelfHelpError when the vectors differ in length, or no query has an answer.
    """
    answers = queries if gallery is None else gallery
    if queries.vectors.shape[1] != answers.vectors.shape[1]:
        raise ShelfHelpError("queries and gallery have vectors of different lengths; embed both with one network")
    found = retrieval(queries, answers)
    if not len(found.queries):
        raise ShelfHelpError(f"{name}: no query has an answer; are the labels of both sides the same names?")
    labels = queries.labels[found.queries]
    return RetrievalReport(
        name,
        {"pictures": float(len(queries)), "gallery": float(len(answers)), **figures(found, labels, len(answers))},
        by_class(found, labels),
        sweep(queries, gallery) if sizes else [],
        measure_search(queries.vectors, answers.vectors, threads) if speed else [],
        found,
    )


def figures(found: Retrieval, labels: npt.ArrayLike, gallery: int) -> dict[str, float]:
    """All figures of a retrieval whose Q queries show ``labels``, among ``gallery`` pictures.

    Recall at a number that the gallery does not reach says nothing and is left out.
    """
    groups = np.asarray(labels)
    of_queries: dict[str, npt.ArrayLike] = {
        **{f"recall@{k}": found.rank < k for k in NEIGHBOURS if k < gallery},
        "mAP": found.average,
        "MAP@R": found.precision,
        "R-precision": found.r_precision,
    }
    for rate in FALSE_ACCEPTS if len(found.wrong) else ():
        of_queries[f"true accepts at {rate:.1%} false accepts"] = found.accepted(rate)
    values: dict[str, float] = {"queries": float(len(groups)), "labels": float(len(np.unique(groups)))}
    for name, value in of_queries.items():
        values[name] = float(np.mean(np.asarray(value, np.float64)))
        if values["labels"] > 1:
            values[f"{name} low"], values[f"{name} high"] = interval(value, groups.tolist())
    if len(found.wrong):
        values["AUROC"] = found.auroc
    return {**values, **spread(found, groups)}


def by_class(found: Retrieval, labels: npt.ArrayLike) -> dict[str, tuple[float, int]]:
    """Recall@1 and number of queries by label, the worst first."""
    names, place = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(place, minlength=len(names))
    recalls = np.bincount(place, found.rank < 1, minlength=len(names)) / counts
    order = np.lexsort((names, recalls))
    return {str(names[i]): (float(recalls[i]), int(counts[i])) for i in order}


def spread(found: Retrieval, labels: npt.ArrayLike) -> dict[str, float]:
    """How recall@1 differs between labels: mean, deviation, quantiles, and the share of labels never found."""
    recalls = np.array([recall for recall, _ in by_class(found, labels).values()])
    values = {"recall@1 mean of labels": float(recalls.mean()), "recall@1 deviation of labels": float(recalls.std())}
    values |= {f"recall@1 {q:.0%} of labels below": float(np.quantile(recalls, q)) for q in QUANTILES}
    return values | {"labels never found": float((recalls == 0).mean())}


def sweep(queries: Embedded, gallery: Embedded | None) -> list[Row]:
    """Recall@1 and MAP@R of vectors of 8, 16, 32 … numbers, up to all of them.

    ``first`` keeps the first numbers (what matters for networks trained to order them), ``principal`` the principal
    directions of the gallery's vectors, in whose fit no label takes part.
    """
    answers = queries if gallery is None else gallery
    full = answers.vectors.shape[1]
    directions = principal_directions(answers.vectors)
    rows = []
    for size in [*(2**power for power in range(3, 14) if 2**power < full), full]:
        for way, matrix in (("first", np.eye(full, size, dtype=np.float32)), ("principal", directions[:, :size])):
            if size == full and way == "principal":
                continue
            asked, known = (e.with_vectors(e.vectors @ matrix) for e in (queries, answers))
            found = retrieval(asked, asked if gallery is None else known)
            rows.append({"size": size, "by": way, "recall@1": found.recall, "MAP@R": found.mean_precision})
    return rows


def principal_directions(vectors: FloatArray) -> FloatArray:
    """D×D: the directions (columns) along which N×D vectors vary, the strongest first; the mean is not taken off."""
    _, directions = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    return np.asarray(directions[:, ::-1], np.float32)


def write(reports: Sequence[RetrievalReport], folder: Path, command: str) -> None:
    """Write ``retrieval.json``, ``retrieval.md`` and plots; of several tests each into a folder of its own.

    Raises ShelfHelpError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        raw = {"command": command, "tests": [as_json(one) for one in reports]}
        (folder / "retrieval.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
        pages = [f"```\n{command}\n```\n", *(as_markdown(one) for one in reports)]
        (folder / "retrieval.md").write_text("\n".join(pages), encoding="utf-8")
        for one in reports:
            place = folder_of(one, reports, folder)
            place.mkdir(parents=True, exist_ok=True)
            _plot(one, place)
    except OSError as error:
        raise ShelfHelpError(f"{folder} cannot be written: {error.strerror}; give another --output") from error


def folder_of(one: RetrievalReport, reports: Sequence[RetrievalReport], folder: Path) -> Path:
    """Where the pictures of one of several tests go."""
    return folder if len(reports) == 1 else folder / f"{reports.index(one) + 1}"


def as_json(one: RetrievalReport) -> Row:
    return {
        "test": one.name,
        "figures": {name: round(value, 4) for name, value in one.figures.items()},
        "classes": {name: {"recall@1": recall, "queries": count} for name, (recall, count) in one.classes.items()},
        "sizes": one.sizes,
        "search": [{k: v for k, v in asdict(s).items() if v == v and v != ""} for s in one.speeds],
    }


def as_markdown(one: RetrievalReport, worst: int = 10) -> str:
    """The report as tables."""
    own = {n: v for n, v in one.figures.items() if not n.endswith((" low", " high"))}
    rows = [
        (n, _number(v), f"{_number(one.figures[f'{n} low'])} – {_number(one.figures[f'{n} high'])}")
        if f"{n} low" in one.figures
        else (n, _number(v), "")
        for n, v in own.items()
    ]
    parts = [f"## {one.name}\n", table(("figure", "value", "95 % interval"), rows)]
    worst_rows = [(name, f"{recall:.3f}", str(count)) for name, (recall, count) in list(one.classes.items())[:worst]]
    parts += ["The labels found worst:\n", table(("label", "recall@1", "queries"), worst_rows)]
    if one.sizes:
        parts.append(
            table(
                ("numbers a vector", "kept by", "recall@1", "MAP@R"),
                [(str(r["size"]), r["by"], f"{r['recall@1']:.4f}", f"{r['MAP@R']:.4f}") for r in one.sizes],
            )
        )
    if one.speeds:
        head = ("search", "on", "seconds to build", "ms a query", "ms in a batch", "finds the nearest", "… ten nearest")
        parts.append(table(head, [_speed_row(s) for s in one.speeds]))
    return "\n".join(parts)


def _speed_row(speed: Speed) -> tuple[str, ...]:
    if speed.skipped:
        return (speed.index, speed.device, f"skipped: {speed.skipped}", *[""] * 4)
    times = (f"{speed.build_s:.3f}", f"{speed.query_ms:.3f}", f"{speed.batch_ms:.4f}")
    return (speed.index, speed.device, *times, f"{speed.nearest:.4f}", f"{speed.ten_nearest:.4f}")


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |\n" for line in lines)


def _plot(one: RetrievalReport, folder: Path) -> None:
    """``recall.png``, ``accepts.png``, ``classes.png``, and ``sizes.png`` and ``search.png`` if these were measured."""
    found, most = one.found, int(one.figures["gallery"])
    places = np.unique(np.geomspace(1, max(2, most), 40).round().astype(int))
    draw_lines(folder / "recall.png", {"": (places, [found.recall_at(int(k)) for k in places])}, "k", "recall@k", True)
    if len(found.wrong):
        rates = np.geomspace(max(1e-5, 1 / len(found.wrong)), 1, 60)
        accepts: Lines = {"": (rates, [found.true_accepts(float(rate)) for rate in rates])}
        draw_lines(folder / "accepts.png", accepts, "false accepts", "true accepts", True)
    recalls = sorted(recall for recall, _ in one.classes.values())
    shares = np.linspace(0, 1, len(recalls))
    draw_lines(folder / "classes.png", {"": (shares, recalls)}, "share of the labels", "recall@1", False)
    if one.sizes:
        ways = {way: [r for r in one.sizes if r["by"] == way or r is one.sizes[-1]] for way in ("first", "principal")}
        kept: Lines = {way: ([r["size"] for r in rows], [r["recall@1"] for r in rows]) for way, rows in ways.items()}
        draw_lines(folder / "sizes.png", kept, "numbers a vector", "recall@1", True)
    if one.speeds:
        kinds: dict[str, list[Speed]] = {}
        for speed in one.speeds:
            if not speed.skipped:
                kinds.setdefault(f"{speed.index.split(',')[0]} ({speed.device})", []).append(speed)
        timed: Lines = {kind: ([s.query_ms for s in of], [s.ten_nearest for s in of]) for kind, of in kinds.items()}
        draw_lines(folder / "search.png", timed, "milliseconds a query", "share of the ten nearest found", True)
