"""How well vectors find the same product again: recall@k, mAP, MAP@R, true accepts at a rate of false ones, AUROC."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from tqdm import tqdm

from shelfhelp_ros.sightings import FloatArray

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Retrieval:
    """What Q queries found among their galleries.

    ``rank`` (Q) is the place of the best right answer, from 0. ``right`` (Q) is its similarity, ``rival`` (Q) that of
    the best wrong one (−inf without any); ``wrong`` holds the similarities of every wrong pair of a query and a gallery
    picture, or of evenly spaced ones of too many. ``queries`` (Q) are the queries' rows. With R right answers,
    ``precision`` (Q) is each query's average precision among its R nearest pictures, ``r_precision`` (Q) the share of
    right ones among these, and ``average`` (Q) the average precision over all pictures.
    """

    rank: npt.NDArray[np.int64]
    right: FloatArray
    rival: FloatArray
    wrong: FloatArray
    queries: npt.NDArray[np.int64]
    precision: FloatArray
    r_precision: FloatArray
    average: FloatArray

    @property
    def recall(self) -> float:
        """Share of the queries whose most similar gallery picture shows their product."""
        return self.recall_at(1)

    def recall_at(self, k: int) -> float:
        """Share of the queries with their product among the ``k`` nearest gallery pictures; NaN without queries."""
        return float(np.mean(self.rank < k)) if len(self.rank) else float("nan")

    @property
    def mean_precision(self) -> float:
        """MAP@R (Musgrave et al., A metric learning reality check, ECCV 2020); NaN without queries."""
        return float(self.precision.mean()) if len(self.precision) else float("nan")

    def true_accepts(self, false_accepts: float) -> float:
        """Share of the queries whose right answer is more similar than all but ``false_accepts`` of the wrong pairs."""
        return float(np.mean(self.accepted(false_accepts))) if len(self.rank) and len(self.wrong) else float("nan")

    def accepted(self, false_accepts: float) -> Flags:
        """For each query (Q), whether its right answer is above all but ``false_accepts`` of the wrong pairs."""
        return np.asarray(self.right > np.quantile(self.wrong, 1 - false_accepts), np.bool_)

    @property
    def auroc(self) -> float:
        """Chance that a query's right answer is more similar than a random wrong pair; ties count half."""
        if not len(self.right) or not len(self.wrong):
            return float("nan")
        ranks = rankdata(np.concatenate([self.right, self.wrong]))[: len(self.right)].sum()
        return float((ranks / len(self.right) - (len(self.right) + 1) / 2) / len(self.wrong))

    def only(self, chosen: Flags) -> Retrieval:
        """The queries flagged (Q) alone, against the same wrong pairs."""
        of_queries = {name: getattr(self, name)[chosen] for name in OF_QUERIES}
        return Retrieval(**of_queries, wrong=self.wrong)


# The fields that have one value a query.
OF_QUERIES = ("rank", "right", "rival", "queries", "precision", "r_precision", "average")


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
    places = [_right_places(*row) for row in zip(scores, answers[queries], candidate[queries], strict=True)]
    precisions = np.array([_precisions(of_query) for of_query in places], np.float32).reshape(-1, 3)
    return Retrieval(
        rank=rank.astype(np.int64),
        right=np.asarray(best, np.float32),
        rival=np.where(wrong, scores, -np.inf).max(axis=1, initial=-np.inf).astype(np.float32),
        wrong=scores[wrong],
        queries=queries,
        precision=precisions[:, 0],
        r_precision=precisions[:, 1],
        average=precisions[:, 2],
    )


def _right_places(scores: FloatArray, right: Flags, candidate: Flags) -> npt.NDArray[np.int64]:
    """The places, from 1, of a query's right answers among its candidates; wrong ones come first among equals."""
    order = np.lexsort((right[candidate], -scores[candidate]))
    return np.flatnonzero(right[candidate][order]) + 1


def _precisions(places: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Average precision among the R nearest, share of right ones among these, and average precision over all."""
    count = len(places)
    at_hits = np.arange(1, count + 1) / places
    near = places <= count
    return float(at_hits[near].sum() / count), float(near.mean()), float(at_hits.mean())


def search(
    queries: FloatArray,
    gallery: FloatArray,
    same: Callable[[slice], Flags],
    candidate: Callable[[slice], Flags],
    block: int = 256,
    most_wrong: int = 5_000_000,
) -> Retrieval:
    """``retrieve`` for more pairs than memory holds: Q×D queries against G×D gallery vectors, both of length one.

    Args:
        same, candidate: give the rows of ``retrieve``'s matrices for some of the queries.
        block: queries at a time.
        most_wrong: keep about so many similarities of wrong pairs at most.
    """
    step = max(1, math.ceil(len(queries) * len(gallery) / most_wrong))
    parts, wrong = [], []
    starts = range(0, len(queries), block)
    for start in tqdm(starts, desc="comparing", unit="block", disable=len(starts) < 4):
        rows = slice(start, start + block)
        part = retrieve(queries[rows] @ gallery.T, same(rows), candidate(rows))
        parts.append({name: getattr(part, name) + (start if name == "queries" else 0) for name in OF_QUERIES})
        wrong.append(part.wrong[start // block % step :: step])
    joined = {name: np.concatenate([part[name] for part in parts]) for name in OF_QUERIES}
    return Retrieval(**joined, wrong=np.concatenate(wrong))


def interval(
    values: npt.ArrayLike, groups: Sequence[str], draws: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the mean of Q values, drawing whole ``groups`` (such as the queries' products) anew."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = (np.bincount(place, w, len(names)) for w in (np.asarray(values, np.float64), np.ones(len(place))))
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    low, high = np.quantile((times @ sums) / (times @ counts), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
