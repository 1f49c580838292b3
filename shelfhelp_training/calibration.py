"""From cosine similarity to the probability of being the same product, fitted on products and photos held out.

An episode is one search: the references of one product against every crop of one shelf. The probability refers to a
searcher whose product stands on the shelf in half of the searches; in a quarter it is sold out there, so that its
look-alikes are left, and in a quarter the shelf never held it. Episodes are weighted to that, each kind of shelf alike.

Platt scaling (Platt 1999) with his smoothed targets, of the most similar crop of each episode. The best of many crops
resembles the product by chance more often than the best of few, so the number of crops is a second feature; shelves
are seen in views of many sizes to fit it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shelfhelp_ros.catalogue.matching import CONFIRM, FEATURES, Matcher, Thresholds, Verdict
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import Calibration
from shelfhelp_ros.sightings import FloatArray

Flags = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

# Share of the searches that may end with a wrong product named, for each word of `confirm`.
WRONG_NAMED: Mapping[str, float] = dict(zip(CONFIRM, (0.005, 0.02, 0.05), strict=True))
LEVELS = np.round(np.append(np.arange(0.5, 0.99, 0.01), [0.99, 0.995, 0.998, 0.999]), 3)
AMBIGUOUS_MARGIN = 0.15


class Situation(Enum):
    """Where the product is. ``SOLD_OUT``: a shelf that holds it, with its crops taken away."""

    THERE = "there"
    SOLD_OUT = "sold out"
    ELSEWHERE = "elsewhere"


SHARES: Mapping[Situation, float] = {Situation.THERE: 0.5, Situation.SOLD_OUT: 0.25, Situation.ELSEWHERE: 0.25}


@dataclass(frozen=True)
class Episode:
    """One search.

    ``similarity`` (N): cosines of the shelf's crops to the product; ``same`` (N): which of them show it; ``other`` (N):
    cosines to the best other product with a reference, -1 without any; ``vectors`` (N×D): the crops' embeddings.
    ``product``, ``family`` and ``photo`` name the product, its look-alikes and the shelf.
    """

    similarity: FloatArray
    same: Flags
    other: FloatArray
    vectors: FloatArray
    situation: Situation = Situation.THERE
    product: str = ""
    family: str = ""
    photo: str = ""

    @property
    def best(self) -> int:
        """The row of the most similar crop."""
        return int(np.argmax(self.similarity))

    def only(self, chosen: npt.NDArray[np.int64]) -> Episode:
        """The crops of these rows alone."""
        return replace(
            self,
            similarity=self.similarity[chosen],
            same=self.same[chosen],
            other=self.other[chosen],
            vectors=self.vectors[chosen],
        )

    def sold_out(self) -> Episode | None:
        """The same shelf without the product; None when nothing is left."""
        left = np.flatnonzero(~self.same)
        return replace(self.only(left), situation=Situation.SOLD_OUT) if len(left) else None


Kinds = Sequence[Sequence[Episode]]


def weights(kinds: Kinds) -> Doubles:
    """A weight for each episode, kind after kind; they sum to one.

    Situations have their ``SHARES``, and within one every kind that has it counts the same. A situation that no kind
    has leaves its share to the other absent one.
    """
    counts = {s: [sum(e.situation is s for e in kind) for kind in kinds] for s in Situation}
    absent = [s for s in Situation if s is not Situation.THERE and any(counts[s])]
    share = dict.fromkeys(absent, 0.5 / max(1, len(absent))) | {Situation.THERE: SHARES[Situation.THERE]}
    found = [
        share[e.situation] / sum(count > 0 for count in counts[e.situation]) / counts[e.situation][number]
        for number, kind in enumerate(kinds)
        for e in kind
    ]
    return np.array(found, np.float64) / sum(found)


def fit_platt(
    similarity: npt.ArrayLike, same: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> tuple[float, float]:
    """Slope and intercept of log odds = slope · similarity + intercept, by maximum likelihood.

    The targets are Platt's (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2), so separable data give finite answers.
    """
    coefficients, intercept = fit_logistic(np.asarray(similarity, np.float64)[:, None], same, weight)
    return float(coefficients[0]), intercept


def fit_logistic(
    features: npt.ArrayLike, same: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> tuple[Doubles, float]:
    """Coefficients (F) and intercept of log odds linear in N×F ``features``; targets as in `fit_platt`."""
    x = np.asarray(features, np.float64)
    y = np.asarray(same, bool)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    right, wrong = int(y.sum()), int((~y).sum())
    if not right or not wrong:
        raise ShelfHelpError("a calibration needs pairs of the same product and pairs of different ones")
    target = np.where(y, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        z = x @ parameters[:-1] + parameters[-1]
        value = w * (np.logaddexp(0, z) - target * z)
        slope = w * (np.exp(-np.logaddexp(0, -z)) - target)
        return float(value.sum() / w.sum()), np.append(x.T @ slope, slope.sum()) / w.sum()

    start = np.zeros(x.shape[1] + 1)
    start[0], start[-1] = 10.0, -5.0
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return np.asarray(found.x[:-1], np.float64), float(found.x[-1])


def fit_episodes(kinds: Kinds) -> tuple[Doubles, float]:
    """Coefficients of the similarity and of the logarithm of the number of crops, and the intercept.

    A crop cannot be the likelier the more there are to be taken for it, as shelves all of one size would have it (a
    crop less where the product is sold out): the number of crops then counts for nothing.
    """
    everything = [e for kind in kinds for e in kind]
    rows = np.array([features(e)[e.best] for e in everything])
    same = [bool(e.same[e.best]) for e in everything]
    coefficients, intercept = fit_logistic(rows, same, weights(kinds))
    if coefficients[1] > 0:
        slope, intercept = fit_platt(rows[:, 0], same, weights(kinds))
        coefficients = np.array([slope, 0.0])
    return coefficients, intercept


def features(episode: Episode) -> Doubles:
    """N×2, what the probability of each crop is computed from."""
    crowd = np.full(len(episode.similarity), np.log(len(episode.similarity)))
    return np.stack([np.asarray(episode.similarity, np.float64), crowd], axis=1)


def calibrate(kinds: Kinds, fitted_on: str) -> Calibration:
    """A calibration over several kinds of episodes.

    For each word of `confirm`, *found_alone* is the lowest probability from 0.5 on at which at most its share
    ``WRONG_NAMED`` of the searches ends with a wrong product named, with nothing else known; *found* the same for crops
    that were compared, with the other products in the catalogue and crops like none of them under *found_alone*.
    *present* is the probability that best tells the episodes with the product from those without (Youden's J), at most
    0.8 times the lowest level.
    """
    kinds = [kind for kind in kinds if kind]
    coefficients, intercept = fit_episodes(kinds)
    named = dict(zip(FEATURES, (round(float(c), 4) for c in coefficients), strict=True))
    plain = Calibration(named, round(intercept, 4), {}, fitted_on)
    weight = weights(kinds)
    present = min(_best_split(kinds, plain, weight), 0.8 * LEVELS[0])
    alone, known = (claims(kinds, plain, present, known) for known in (False, True))
    confirm = {}
    for word, share in WRONG_NAMED.items():
        found_alone = lowest_level(alone, weight, share)
        found = lowest_level(known.beyond(found_alone), weight, share)
        confirm[word] = {"found": min(found, found_alone), "found_alone": found_alone}
    thresholds = {**confirm["balanced"], "present": present, "ambiguous_margin": AMBIGUOUS_MARGIN}
    return replace(plain, thresholds=thresholds, confirm=confirm)


def require_sense(calibration: Calibration) -> Calibration:
    """The calibration, if it says what any must: the likelier the more alike, and not the likelier the more there are
    to be taken for it. Raises ShelfHelpError otherwise: so few searches tell nothing, and every match looks certain.
    """
    similarity, crowd = (calibration.coefficients[name] for name in FEATURES)
    if similarity <= 0 or crowd > 0:
        raise ShelfHelpError(
            f"the fitted calibration makes no sense (similarity {similarity:g}, log_in_view {crowd:g}): there are "
            "too few searches, or the encoder tells nothing yet; give more held-out products and photographs"
        )
    return calibration


@dataclass(frozen=True)
class Claims:
    """What E episodes come to: the level up to which a product is named (0: never), whether it is the right one, and
    whether it was compared with a known product that it could have been."""

    level: Doubles
    right: Flags
    compared: Flags

    def rates(self, levels: npt.ArrayLike, weight: Doubles) -> tuple[Doubles, Doubles]:
        """For L levels, the weighted shares of episodes that end in a right find and in a wrong one."""
        claimed = self.level[None] >= np.asarray(levels, np.float64)[:, None]
        return (claimed & self.right) @ weight, (claimed & ~self.right) @ weight

    def beyond(self, found_alone: float) -> Claims:
        """With crops that were not compared named from ``found_alone`` on, whatever the level."""
        lonely = np.where(self.level >= found_alone, 1.0, 0.0)
        return replace(self, level=np.where(self.compared, self.level, lonely))


def claims(kinds: Kinds, calibration: Calibration, present: float, known: bool) -> Claims:
    """Decide every episode as the robot does; with ``known`` the other products' references are in the catalogue."""
    judge = Matcher(calibration, Thresholds(present=present))
    # Without a bar, a product that is not rivalled is named at its probability.
    matcher = Matcher(calibration, Thresholds(found=0.0, present=0.0, ambiguous_margin=AMBIGUOUS_MARGIN))
    level, right, compared = [], [], []
    for episode in (e for kind in kinds for e in kind):
        other = episode.other if known else np.full(len(episode.other), -1, np.float32)
        match = matcher.decide(episode.vectors, episode.similarity, other)
        named = match.verdict is Verdict.FOUND and match.best is not None
        level.append(float(match.probabilities[match.best]) if named else 0.0)
        right.append(named and bool(episode.same[match.best]))
        compared.append(named and judge.compared(float(other[match.best]), len(other)))
    return Claims(np.array(level), np.array(right, bool), np.array(compared, bool))


def lowest_level(made: Claims, weight: Doubles, wrong_named: float) -> float:
    """The lowest of ``LEVELS`` at which at most this share of the episodes ends in a wrong find; else the highest."""
    _, wrong = made.rates(LEVELS, weight)
    good = np.flatnonzero(wrong <= wrong_named + 1e-9)
    return float(LEVELS[good[0] if len(good) else -1])


def _best_split(kinds: Kinds, calibration: Calibration, weight: Doubles) -> float:
    """The probability that best separates episodes with the product, by its own crops, from those without."""
    matcher = Matcher(calibration)
    everything = [e for kind in kinds for e in kind]
    shown = np.array([e.situation is Situation.THERE for e in everything])
    best = [
        matcher.probability_same(e.similarity, len(e.same))[e.same if e.same.any() else ~e.same].max()
        for e in everything
    ]
    levels = np.arange(0.02, 0.8, 0.01)
    passed = np.array(best)[None] >= levels[:, None]
    gain = (passed & shown) @ weight / max(weight[shown].sum(), 1e-9)
    loss = (passed & ~shown) @ weight / max(weight[~shown].sum(), 1e-9)
    return round(float(levels[np.argmax(gain - loss)]), 2)
