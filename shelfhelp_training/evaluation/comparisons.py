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
from shelfhelp_training.calibration import Episode, Situation
from shelfhelp_training.data.crop_sources import Crop, CropSource, load_crops
from shelfhelp_training.evaluation.retrieval import Retrieval, interval, retrieve

Flags = npt.NDArray[np.bool_]
# The fewest and the most products that a view of a shelf shows; sizes between are equally likely by their logarithm.
VIEW = (4, 64)


@dataclass(frozen=True)
class RetrievalSet:
    """One test set.

    Attributes:
        name: as it stands in the card.
        queries: crops that ask.
        gallery: crops that answer; empty: the queries themselves, those of other photographs.
        known: products of these sources were seen in training; the figures are given for seen and unseen ones apart.
        among_family: a query may answer only with products of its own family (are near-duplicates told apart?).
        absent: the queries never show the gallery's products: what bears the same name is the very picture, and left
            out.
        kind: searches in sets of one kind of shelf are pooled for the calibration; empty: the set is a kind of its own.
    """

    name: str
    queries: tuple[CropSource, ...]
    gallery: tuple[CropSource, ...] = ()
    known: tuple[CropSource, ...] = ()
    among_family: bool = False
    absent: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Comparison:
    """Q queries against G gallery crops: cosines, which pairs show one product, which may be compared (all Q×G).

    ``vectors`` (Q×D) are the queries' embeddings.
    """

    queries: Sequence[Crop]
    gallery: Sequence[Crop]
    similarity: FloatArray
    same: Flags
    candidate: Flags
    vectors: FloatArray
    known: frozenset[str] = field(default_factory=frozenset)

    def retrieval(self) -> Retrieval:
        return retrieve(self.similarity, self.same, self.candidate)

    def seen(self, retrieval: Retrieval) -> Flags:
        """For each query of a retrieval, whether training saw its product."""
        return np.array([self.queries[row].product in self.known for row in retrieval.queries], bool)

    def episodes(self, references: int = 1, relatives: bool = True) -> list[Episode]:
        """Searches for every product of the gallery, ``references`` of its crops at a time, on every photograph.

        Each sees a random part of the shelf, ``VIEW`` crops, with the product and its look-alikes always among them. A
        shelf that holds the product is searched as it is and once more with the product sold out. What a crop might be
        instead are the gallery's other products; without ``relatives`` only those of other families.
        """
        rng = np.random.default_rng(0)
        products = np.array([crop.product for crop in self.gallery])
        families = np.array([crop.family for crop in self.gallery])
        shelves = np.array([crop.photo for crop in self.queries])
        query_families = np.array([crop.family for crop in self.queries])
        rows = {shelf: np.flatnonzero(shelves == shelf) for shelf in dict.fromkeys(shelves)}
        allowed = np.where(self.candidate, self.similarity, -1.0)
        found = []
        for product in dict.fromkeys(products):
            own = np.flatnonzero(products == product)
            others = products != product if relatives else families != families[own[0]]
            other = allowed[:, others].max(axis=1, initial=-1.0)
            for start in range(0, len(own) - references + 1, references):
                chosen = own[start : start + references]
                for shelf, here in rows.items():
                    here = here[self.candidate[np.ix_(here, chosen)].all(axis=1)]
                    here = _part(here, query_families[here] == families[own[0]], rng)
                    if len(here):
                        similarity = self.similarity[np.ix_(here, chosen)].max(axis=1)
                        same = self.same[here, own[0]]
                        situation = Situation.THERE if same.any() else Situation.ELSEWHERE
                        names = (str(product), str(families[own[0]]), str(shelf))
                        found.append(Episode(similarity, same, other[here], self.vectors[here], situation, *names))
        empty = [episode.sold_out() for episode in found if episode.situation is Situation.THERE]
        return [*found, *(episode for episode in empty if episode is not None)]


def _part(rows: npt.NDArray[np.int64], kept: Flags, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Some of N rows, as many as a view of a random size shows: those that are ``kept`` (N), and others by chance."""
    size = int(np.exp(rng.uniform(*np.log(VIEW))))
    order = np.concatenate([np.flatnonzero(kept), rng.permutation(np.flatnonzero(~kept))])
    return np.asarray(rows[np.sort(order[: max(size, int(kept.sum()))])], np.int64)


def read_sets(path: Path) -> list[RetrievalSet]:
    """The test sets of a YAML file: a list of mappings with the fields of ``RetrievalSet``."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [set_of(entry) for entry in raw]
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ShelfHelpError(f"{path} is not a list of test sets: {error}") from error


def set_of(entry: dict[str, Any]) -> RetrievalSet:
    """The test set of a mapping with the fields of ``RetrievalSet``; TypeError for unknown ones."""
    return RetrievalSet(**{key: _sources(value) for key, value in entry.items()})


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
    if test_set.absent:
        candidate, same = candidate & ~same, np.zeros_like(same)
    return Comparison(queries, gallery, np.asarray(asked @ answers.T, np.float32), same, candidate, asked, known)


def searches(
    sets: Sequence[RetrievalSet], comparisons: Sequence[Comparison], relatives: bool = True
) -> dict[str, list[Episode]]:
    """The searches of every kind of shelf, as `Comparison.episodes` makes them."""
    found: dict[str, list[Episode]] = {}
    for one, comparison in zip(sets, comparisons, strict=True):
        found.setdefault(one.kind or one.name, []).extend(comparison.episodes(relatives=relatives))
    return found


def _load(sources: Sequence[CropSource], root: Path) -> list[Crop]:
    return [crop for source in sources for crop in load_crops(source, root)]


def _differ(first: Sequence[Crop], second: Sequence[Crop], attribute: Literal["photo", "family", "product"]) -> Flags:
    left = np.array([getattr(crop, attribute) for crop in first])
    right = np.array([getattr(crop, attribute) for crop in second])
    return np.asarray(left[:, None] != right[None], np.bool_)


def figures(comparison: Comparison) -> dict[str, float]:
    """Recall, MAP@R, true accepts and AUROC with 95 % intervals over products for recall@1 and true accepts at 1 %.

    Apart for seen and unseen products where both ask.
    """
    found = comparison.retrieval()
    products = [comparison.queries[row].product for row in found.queries]
    values = {"queries": float(len(found.rank)), "products": float(len(set(products))), **_named("", found)}
    if len(set(products)) > 1:
        accepted = found.accepted(0.01)
        for name, of_queries in (("recall@1", found.rank < 1), ("true accepts at 1% false accepts", accepted)):
            values |= dict(zip((f"{name} low", f"{name} high"), interval(of_queries, products), strict=True))
    seen = comparison.seen(found)
    if comparison.known and seen.any() and not seen.all():
        values |= {"unseen queries": float((~seen).sum())}
        values |= _named(" seen", found.only(seen)) | _named(" unseen", found.only(~seen))
    return values


def _named(suffix: str, found: Retrieval) -> dict[str, float]:
    return {
        f"recall@1{suffix}": found.recall,
        f"recall@5{suffix}": found.recall_at(5),
        f"recall@10{suffix}": found.recall_at(10),
        f"MAP@R{suffix}": found.mean_precision,
        f"true accepts at 0.1% false accepts{suffix}": found.true_accepts(0.001),
        f"true accepts at 1% false accepts{suffix}": found.true_accepts(0.01),
        f"AUROC{suffix}": found.auroc,
    }
