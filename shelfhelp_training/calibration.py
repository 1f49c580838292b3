"""From cosine similarity to the probability of being the same product, fitted on products and photos held out.

Platt scaling (Platt 1999) with his smoothed targets, over episodes: one reference, and every product of a shelf that it
was not photographed on. A shelf holds tens of other products for each right one, and the pairs keep that proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import Calibration
from shelfhelp_ros.sightings import FloatArray

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Episode:
    """One reference against one shelf: N similarities and which of the crops show the reference's product."""

    similarity: FloatArray
    same: Flags


def episodes_of(
    similarity: FloatArray, same: Flags, shelves: Sequence[str], skip: Flags | None = None
) -> list[Episode]:
    """R×N similarities of references to crops, cut into episodes by the N crops' ``shelves``.

    ``skip`` (R×N) leaves out pairs, such as those of a reference with the photograph it was cut from.
    """
    shelf = np.asarray(shelves)
    found = []
    for row in range(len(similarity)):
        for name in dict.fromkeys(shelves):
            here = shelf == name
            if skip is not None:
                here &= ~skip[row]
            if here.any():
                found.append(Episode(similarity[row, here], same[row, here]))
    return found


def fit_platt(
    similarity: npt.ArrayLike, same: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> tuple[float, float]:
    """Slope and intercept of log odds = slope · similarity + intercept, by maximum likelihood.

    The targets are Platt's (N₊ + 1) / (N₊ + 2) and 1 / (N₋ + 2), so separable data give finite answers.
    """
    x = np.asarray(similarity, np.float64)
    y = np.asarray(same, bool)
    w = np.ones_like(x) if weight is None else np.asarray(weight, np.float64)
    right, wrong = int(y.sum()), int((~y).sum())
    if not right or not wrong:
        raise ShelfHelpError("a calibration needs pairs of the same product and pairs of different ones")
    target = np.where(y, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = parameters[0] * x + parameters[1]
        value = w * (np.logaddexp(0, z) - target * z)
        slope = w * (np.exp(-np.logaddexp(0, -z)) - target)
        return float(value.sum() / w.sum()), np.array([(slope * x).sum(), slope.sum()]) / w.sum()

    found = minimize(loss, np.array([10.0, -5.0]), jac=True, method="BFGS", options={"gtol": 1e-9})
    return float(found.x[0]), float(found.x[1])


def calibrate(groups: Sequence[Sequence[Episode]], fitted_on: str, false_claims: float = 0.05) -> Calibration:
    """A calibration over several kinds of episodes, each kind with the same weight.

    Args:
        groups: episodes by kind.
        fitted_on: what they are, in words.
        false_claims: share of the episodes without the product in which something may still be called *found*.

    *found* is the lowest probability from 0.5 to 0.95 that claims no more than that. *present* is the one that best
    tells the episodes with the product from those without (Youden's J), at most 0.8 times *found*.
    """
    weights = [1 / sum(len(e.same) for e in group) for group in groups]
    everything = [(e, w) for group, w in zip(groups, weights, strict=True) for e in group]
    slope, intercept = fit_platt(
        np.concatenate([e.similarity for e, _ in everything]),
        np.concatenate([e.same for e, _ in everything]),
        np.concatenate([np.full(len(e.same), w) for e, w in everything]),
    )
    levels = np.arange(0.02, 0.951, 0.01)
    absent, shown = (_passing(groups, slope, intercept, levels, holds) for holds in (False, True))
    fit = np.flatnonzero((absent <= false_claims) & (levels >= 0.5))
    found = float(levels[fit[0]]) if len(fit) else 0.95
    below = levels <= 0.8 * found
    present = float(levels[below][np.argmax((shown - absent)[below])])
    thresholds = {"found": round(found, 2), "present": round(present, 2), "ambiguous_margin": 0.15}
    return Calibration({"similarity": round(slope, 4)}, round(intercept, 4), thresholds, fitted_on)


def _passing(
    groups: Sequence[Sequence[Episode]],
    slope: float,
    intercept: float,
    levels: npt.NDArray[np.float64],
    holds: bool,
) -> npt.NDArray[np.float64]:
    """For each level, the share of episodes whose best crop reaches it, averaged over the kinds.

    With ``holds`` of the episodes that hold the product, judged by its own crops; else of those that do not.
    """
    shares = []
    for group in groups:
        best = [e.similarity[e.same].max() if holds else e.similarity.max() for e in group if e.same.any() == holds]
        if best:
            probability = 1 / (1 + np.exp(-(slope * np.array(best) + intercept)))
            shares.append((probability[:, None] >= levels[None]).mean(axis=0))
    return np.mean(shares, axis=0) if shares else np.zeros_like(levels)
