"""Named test sets of retrieval: which crops ask, which answer, and what the exported encoder says of each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.calibration import Episode, episodes_of
from shelfhelp_training.data.crop_sources import Crop, CropSource, load_crops
from shelfhelp_training.evaluation.retrieval import Retrieval, retrieve

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RetrievalSet:
    """One test set.

    Attributes:
        name: as it stands in the card.
        queries: crops that ask.
        gallery: crops that answer; empty: the queries themselves, those of other photographs.
        known: products of these sources were seen in training; the figures are given for seen and unseen ones apart.
        among_family: a query may answer only with products of its own family (are near-duplicates told apart?).
    """

    name: str
    queries: tuple[CropSource, ...]
    gallery: tuple[CropSource, ...] = ()
    known: tuple[CropSource, ...] = ()
    among_family: bool = False


@dataclass(frozen=True)
class Comparison:
    """Q queries against G gallery crops: cosines, which pairs show one product, which may be compared (all Q×G)."""

    queries: Sequence[Crop]
    gallery: Sequence[Crop]
    similarity: FloatArray
    same: Flags
    candidate: Flags
    known: frozenset[str] = field(default_factory=frozenset)

    def retrieval(self) -> Retrieval:
        return retrieve(self.similarity, self.same, self.candidate)

    def seen(self, retrieval: Retrieval) -> Flags:
        """For each query of a retrieval, whether training saw its product."""
        return np.array([self.queries[row].product in self.known for row in retrieval.queries], bool)

    def episodes(self) -> list[Episode]:
        """Every gallery crop as the reference, against the queries of each photograph."""
        shelves = [crop.photo for crop in self.queries]
        return episodes_of(self.similarity.T, self.same.T, shelves, ~self.candidate.T)


def read_sets(path: Path) -> list[RetrievalSet]:
    """The test sets of a YAML file: a list of mappings with the fields of ``RetrievalSet``."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [RetrievalSet(**{key: _sources(value) for key, value in entry.items()}) for entry in raw]
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ShelfHelpError(f"{path} is not a list of test sets: {error}") from error


def _sources(value: Any) -> Any:
    """A list of mappings becomes a tuple of sources; everything else stays."""
    return tuple(_source(entry) for entry in value) if isinstance(value, list) else value


def _source(entry: dict[str, Any]) -> CropSource:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return CropSource(**values)


def compare(test_set: RetrievalSet, encoder: Encoder, root: Path) -> Comparison:
    """Run the encoder over a test set, as the robot runs it."""
    queries = _load(test_set.queries, root)
    gallery = _load(test_set.gallery, root) if test_set.gallery else queries
    asked = encoder.embed([crop.tight for crop in queries])
    answers = encoder.embed([crop.tight for crop in gallery]) if test_set.gallery else asked
    candidate = _differ(queries, gallery, "photo")
    if test_set.among_family:
        candidate &= ~_differ(queries, gallery, "family")
        several = {crop.product: crop.family for crop in gallery}
        families = list(several.values())
        candidate &= np.array([[families.count(crop.family) > 1] for crop in queries])
    known = frozenset(crop.product for crop in _load(test_set.known, root))
    same = ~_differ(queries, gallery, "product")
    return Comparison(queries, gallery, np.asarray(asked @ answers.T, np.float32), same, candidate, known)


def _load(sources: Sequence[CropSource], root: Path) -> list[Crop]:
    return [crop for source in sources for crop in load_crops(source, root)]


def _differ(first: Sequence[Crop], second: Sequence[Crop], attribute: Literal["photo", "family", "product"]) -> Flags:
    left = np.array([getattr(crop, attribute) for crop in first])
    right = np.array([getattr(crop, attribute) for crop in second])
    return np.asarray(left[:, None] != right[None], np.bool_)


def figures(comparison: Comparison) -> dict[str, float]:
    """Recall@1, recall@5 and true accepts at 1 % false accepts; apart for seen and unseen products where both ask."""
    found = comparison.retrieval()
    values = {"queries": float(len(found.rank)), **_named("", found)}
    seen = comparison.seen(found)
    if comparison.known and seen.any() and not seen.all():
        values |= {"unseen queries": float((~seen).sum())}
        values |= _named(" seen", found.only(seen)) | _named(" unseen", found.only(~seen))
    return values


def _named(suffix: str, found: Retrieval) -> dict[str, float]:
    return {
        f"recall@1{suffix}": found.recall,
        f"recall@5{suffix}": found.recall_at(5),
        f"true accepts at 1% false accepts{suffix}": found.true_accepts(0.01),
    }
