"""How well vectors find the same product again: recall@k, and true accepts at a rate of false ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.sightings import FloatArray

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Retrieval:
    """What Q queries found among their galleries.

    ``rank`` (Q) is the place of the best right answer, from 0. ``right`` (Q) is its similarity; ``wrong`` holds
    the similarities of every wrong pair of a query and a gallery picture. ``queries`` (Q) are the queries' rows.
    """

    rank: npt.NDArray[np.int64]
    right: FloatArray
    wrong: FloatArray
    queries: npt.NDArray[np.int64]

    @property
    def recall(self) -> float:
        """Share of the queries whose most similar gallery picture shows their product."""
        return self.recall_at(1)

    def recall_at(self, k: int) -> float:
        """Share of the queries with their product among the ``k`` nearest gallery pictures; NaN without queries."""
        return float(np.mean(self.rank < k)) if len(self.rank) else float("nan")

    def true_accepts(self, false_accepts: float) -> float:
        """Share of the queries whose right answer is more similar than all but ``false_accepts`` of the wrong pairs."""
        if not len(self.rank) or not len(self.wrong):
            return float("nan")
        return float(np.mean(self.right > np.quantile(self.wrong, 1 - false_accepts)))

    def only(self, chosen: Flags) -> Retrieval:
        """The queries flagged (Q) alone, against the same wrong pairs."""
        return Retrieval(self.rank[chosen], self.right[chosen], self.wrong, self.queries[chosen])


def retrieve(similarity: FloatArray, same: Flags, candidate: Flags) -> Retrieval:
    """Retrieval from Q×G similarities.

    ``same`` (Q×G) says which pairs show one product, ``candidate`` (Q×G) which gallery pictures may answer a query.
    Queries with no right answer among their candidates are left out. A wrong answer as similar as the right one counts
    as before it.
    """
    answers = same & candidate
    queries = np.flatnonzero(answers.any(axis=1))
    best = np.where(answers, similarity, -np.inf).max(axis=1)[queries]
    wrong = (candidate & ~same)[queries]
    scores = np.asarray(similarity, np.float32)[queries]
    rank = (wrong & (scores >= best[:, None])).sum(axis=1)
    return Retrieval(rank.astype(np.int64), np.asarray(best, np.float32), scores[wrong], queries)


def across_photos(vectors: FloatArray, products: Sequence[str], photos: Sequence[str]) -> Retrieval:
    """Every crop asks for its product among the crops of all other photographs.

    ``vectors`` is N×D of length one; ``products`` and ``photos`` name what each crop shows and where it comes from.
    """
    product, photo = np.asarray(products), np.asarray(photos)
    similarity = np.asarray(vectors @ vectors.T, np.float32)
    return retrieve(similarity, product[:, None] == product[None], photo[:, None] != photo[None])


def against_references(
    vectors: FloatArray, products: Sequence[str], references: FloatArray, names: Sequence[str]
) -> Retrieval:
    """Every crop asks for its product among reference pictures: N×D crops, R×D references, all of length one."""
    similarity = np.asarray(vectors @ references.T, np.float32)
    same = np.asarray(products)[:, None] == np.asarray(names)[None]
    return retrieve(similarity, same, np.ones_like(same))
