"""A page of pictures for a browser: what was asked, what was answered, right or wrong. One file, nothing to fetch."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.evaluation.embedded import Embedded
from shelfhelp_training.evaluation.retrieval import Retrieval

SIDE = 112
NEAREST = 6
STYLE = """
body { font: 14px sans-serif; margin: 1.5em; background: #fff; color: #222 }
section { display: flex; gap: 8px; margin: 0 0 14px; align-items: flex-start; flex-wrap: wrap }
figure { margin: 0; width: 124px; border: 4px solid #bbb; padding: 2px }
figure.right { border-color: #009e73 } figure.wrong { border: 4px dashed #d55e00 }
img, .none { width: 112px; height: 112px; object-fit: contain; display: block; background: #f4f4f4; margin: auto }
figcaption { font-size: 12px; overflow-wrap: anywhere }
"""


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture of a row (None: none is at hand), what stands below it, and whether it is right (None: neither)."""

    picture: ImageArray | None
    caption: str
    right: bool | None = None


def write_page(path: Path, title: str, note: str, rows: Iterable[Sequence[Shown]]) -> None:
    """Write the rows as a page. Raises ShelfHelpError when it cannot be written.

    Right and wrong are told by a word and the frame's form as well as by its colour.
    """
    sections = "\n".join(f"<section>{''.join(map(_figure, row))}</section>" for row in rows)
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = f"<h1>{html.escape(title)}</h1><p>{html.escape(note)}</p>\n{sections}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n', encoding="utf-8"
        )
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another --output") from error


def _figure(shown: Shown) -> str:
    kind = "" if shown.right is None else "right" if shown.right else "wrong"
    text = html.escape(f"{kind}: {shown.caption}" if kind else shown.caption)
    if shown.picture is None:
        picture = '<span class="none"></span>'
    else:
        picture = f'<img alt="{text}" src="data:image/jpeg;base64,{_thumbnail(shown.picture)}">'
    return f'<figure class="{kind}">{picture}<figcaption>{text}</figcaption></figure>'


def _thumbnail(picture: ImageArray) -> str:
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode("ascii")


def retrieval_rows(
    found: Retrieval, queries: Embedded, gallery: Embedded, worst: int, right: int, seed: int = 0
) -> list[list[Shown]]:
    """A row each for the ``worst`` failures, one a label, and for some queries that were answered right.

    A row shows the query, its nearest gallery pictures with their cosines, and the best right one where it is not among
    them.
    """
    lead = found.rival - found.right
    failures: dict[str, int] = {}
    for place in np.argsort(-lead, kind="stable"):
        if found.rank[place] > 0:
            failures.setdefault(str(queries.labels[found.queries[place]]), int(place))
    hits = np.flatnonzero(found.rank == 0)
    hits = np.sort(np.random.default_rng(seed).choice(hits, min(right, len(hits)), replace=False))
    chosen = [*list(failures.values())[:worst], *hits.tolist()]
    return [_row(int(found.queries[place]), int(found.rank[place]), queries, gallery) for place in chosen]


def _row(query: int, rank: int, queries: Embedded, gallery: Embedded) -> list[Shown]:
    label = queries.labels[query]
    scores = np.where(gallery.photos != queries.photos[query], gallery.vectors @ queries.vectors[query], -np.inf)
    same = gallery.labels == label
    # As the rank is counted: among equals the right one comes last.
    order = np.lexsort((same, -scores))[:NEAREST]
    order = order[np.isfinite(scores[order])]
    best = int(np.argmax(np.where(same, scores, -np.inf)))
    shown = [Shown(queries.picture(query), f"asked: {label}")]
    shown += [
        Shown(gallery.picture(row), f"{gallery.labels[row]}, {scores[row]:.2f}", bool(same[row]))
        for row in order.tolist()
    ]
    if best not in order:
        shown.append(Shown(gallery.picture(best), f"{label}, {scores[best]:.2f}, behind {rank} wrong ones", True))
    return shown
