"""Queries, what was found nearest, and whether it was right: pictures to learn from, above all of what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.data.crop_sources import Crop
from shelfhelp_training.evaluation.comparisons import Comparison

NEAREST = 5
# BGR, from the Okabe-Ito palette.
RIGHT, RELATIVE, WRONG, PLAIN = (115, 158, 0), (0, 159, 230), (0, 94, 213), (120, 120, 120)
CELL = (88, 116)
_CAPTION = 14


@dataclass(frozen=True)
class Answer:
    """One query's nearest gallery crops: rows, best first, with their similarities; and the place of the right one.

    ``lead``: how much more similar the best wrong one is than the best right one (negative: the right one is first).
    """

    query: int
    nearest: tuple[int, ...]
    similarity: tuple[float, ...]
    rank: int
    right: int
    lead: float

    def kind(self, comparison: Comparison) -> str:
        """What came first: the product itself, a look-alike of its family, or another product."""
        asked, first = comparison.queries[self.query], comparison.gallery[self.nearest[0]]
        if first.product == asked.product:
            return "right"
        return "look-alike of the family" if first.family == asked.family else "another product"


def answers(comparison: Comparison) -> list[Answer]:
    """The answers to all queries that have a right one."""
    found = []
    retrieval = comparison.retrieval()
    for query, rank in zip(retrieval.queries, retrieval.rank, strict=True):
        scores = np.where(comparison.candidate[query], comparison.similarity[query], -np.inf)
        right = int(np.argmax(np.where(comparison.same[query], scores, -np.inf)))
        wrong = float(np.where(comparison.same[query], -np.inf, scores).max())
        # As the rank is counted: among equals the right one comes last.
        order = np.lexsort((comparison.same[query], -scores))[:NEAREST]
        nearest, similarity = tuple(map(int, order)), tuple(float(scores[row]) for row in order)
        found.append(Answer(int(query), nearest, similarity, int(rank), right, wrong - float(scores[right])))
    return found


def summary(comparison: Comparison, found: Sequence[Answer]) -> list[dict[str, Any]]:
    """For each kind of answer how many there are, how long their crops are, and where the right product stands."""
    rows = []
    for kind in ("right", "look-alike of the family", "another product"):
        of_kind = [answer for answer in found if answer.kind(comparison) == kind]
        if of_kind:
            rows.append(
                {
                    "first": kind,
                    "queries": len(of_kind),
                    "share": len(of_kind) / len(found),
                    "longer side, px": float(np.median([_side(comparison.queries[a.query]) for a in of_kind])),
                    "right within 5": float(np.mean([a.rank < NEAREST for a in of_kind])),
                    "lead of the wrong one": float(np.median([a.lead for a in of_kind])),
                }
            )
    return rows


def worst(comparison: Comparison, found: Sequence[Answer], kind: str, count: int) -> list[Answer]:
    """The answers of a kind in which the wrong one leads most, one a product, so that no product fills a page."""
    chosen: dict[str, Answer] = {}
    for answer in sorted((a for a in found if a.kind(comparison) == kind), key=lambda a: -a.lead):
        chosen.setdefault(comparison.queries[answer.query].product, answer)
    return list(chosen.values())[:count]


def sheet(comparison: Comparison, chosen: Sequence[Answer]) -> ImageArray:
    """A row for each answer: the query, its nearest pictures with their similarities, and the right one at the end.

    Green frames the right product, orange a look-alike of its family, red another product.
    """
    lines = []
    for answer in chosen:
        asked = comparison.queries[answer.query]
        cells = [_cell(asked, "asked", PLAIN)]
        for row, similarity in zip(answer.nearest, answer.similarity, strict=True):
            if np.isfinite(similarity):
                crop = comparison.gallery[row]
                colour = RIGHT if crop.product == asked.product else RELATIVE if crop.family == asked.family else WRONG
                cells.append(_cell(crop, f"{similarity:.2f}", colour))
            else:
                cells.append(np.full_like(cells[0], 255))
        shown = f"right: {answer.rank + 1}."
        cells.append(_cell(comparison.gallery[answer.right], shown, RIGHT))
        lines.append(np.hstack(cells))
    return np.ascontiguousarray(np.vstack(lines), np.uint8)


def write(image: ImageArray, path: Path, most_bytes: int = 150_000) -> None:
    """Write a JPEG of at most so many bytes. Raises ShelfHelpError when it cannot be written so small, or at all."""
    for quality in range(90, 25, -5):
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= most_bytes:
            break
    else:
        raise ShelfHelpError(f"{path} would be larger than {most_bytes} bytes; ask for fewer rows")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another folder") from error


def _side(crop: Crop) -> int:
    return int(max(crop.tight.shape[:2]))


def _cell(crop: Crop, caption: str, colour: tuple[int, int, int]) -> ImageArray:
    """The crop in a frame with a caption below, all cells of one size."""
    width, height = CELL
    inner_width, inner_height = width - 12, height - 12 - _CAPTION
    picture = crop.tight
    scale = min(inner_width / picture.shape[1], inner_height / picture.shape[0])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cell = np.full((height, width, 3), 255, np.uint8)
    top, left = 5 + (inner_height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    cv2.rectangle(cell, (2, 1), (width - 3, height - _CAPTION - 3), colour, 2)
    cv2.putText(cell, caption, (4, height - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)
    return cell
