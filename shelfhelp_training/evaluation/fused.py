"""Retrieval by picture, by words and by both, with weights fitted on other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.data.crop_sources import Crop
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.data.word_cache import read_words
from shelfhelp_training.evaluation.comparisons import Comparison, RetrievalSet, compare, set_of
from shelfhelp_training.evaluation.retrieval import Flags, interval, retrieve
from shelfhelp_training.methods.text import Fusion, fit_fusion, text_vectors


@dataclass(frozen=True, eq=False)
class Likeness:
    """Two views of Q queries against G gallery pictures: cosines of pictures and of words (Q×G), the gallery pictures
    without words (G), and the share of all pictures on which words were read."""

    comparison: Comparison
    text: FloatArray
    unread: Flags
    read: float


def fit_and_test(config: Path, encoder: Path | None, cache: Path) -> tuple[list[dict[str, Any]], Fusion]:
    """Figures by picture, by words and by both on the configuration's ``test``, and the weights fitted on its ``fit``.

    Raises ShelfHelpError when the configuration lacks one of the two, or a picture cannot be read.
    """
    sets = _read(config)
    network = _encoder(encoder)
    fitted, tested = (_compare(sets[part], network, cache) for part in ("fit", "test"))
    one = fitted.comparison
    fusion = fit_fusion(one.similarity, fitted.text, fitted.unread, one.same, one.candidate)
    found = tested.comparison
    ways = {
        "picture": found.similarity,
        "words": tested.text,
        "both": fusion.scores(found.similarity, tested.text, tested.unread),
    }
    return [_row(name, scores, tested) for name, scores in ways.items()], fusion


def _row(name: str, scores: FloatArray, tested: Likeness) -> dict[str, Any]:
    one = tested.comparison
    found = retrieve(scores, one.same, one.candidate)
    low, high = interval(found.rank < 1, [one.queries[row].product for row in found.queries])
    values = {"recall@1": found.recall, "recall@1 low": low, "recall@1 high": high, "MAP@R": found.mean_precision}
    rounded = {key: round(value, 4) for key, value in values.items()}
    return {"by": name, "queries": len(found.queries), **rounded, "with words": round(tested.read, 4)}


def _read(config: Path) -> dict[str, RetrievalSet]:
    try:
        raw = yaml.safe_load(config.read_text(encoding="utf-8"))
        return {part: set_of({"name": part, **raw[part]}) for part in ("fit", "test")}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ShelfHelpError(f"{config} has no test sets `fit` and `test`: {error!r}") from error


def _encoder(path: Path | None) -> Encoder:
    if path is None:
        return Encoder.load(None, "cpu", 1)
    from shelfhelp_training.methods.embedder import open_encoder

    return open_encoder(path)


def _compare(test_set: RetrievalSet, encoder: Encoder, cache: Path) -> Likeness:
    comparison = compare(test_set, encoder, data_folder())
    asked = _text(comparison.queries, cache)
    known = asked if comparison.gallery is comparison.queries else _text(comparison.gallery, cache)
    every = np.concatenate([asked, known])
    return Likeness(comparison, asked @ known.T, np.asarray(~known.any(axis=1)), float(every.any(axis=1).mean()))


def _text(crops: Sequence[Crop], cache: Path) -> FloatArray:
    return text_vectors(read_words([np.ascontiguousarray(crop.tight) for crop in crops], cache))
