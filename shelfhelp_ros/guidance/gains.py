"""How far one person moves, compared with people at large: a belief that every movement sharpens.

A movement along axis i on hearing words on which people move μ is taken to be ``m = μ · exp(g_i + ε)``, ε ~ N(0, τ²),
with the person's log gains ``g = (g_x, g_y, g_z) ~ N(μ_g, P)``. The prior has covariance ``σ_p² 11ᵀ + σ_a² I``: what is
learnt on one axis tells of the others too. The observation ``y = ln(m / μ)`` is linear in g, so the update is conjugate
(Bishop, Pattern Recognition and Machine Learning, eq. 2.116 and 2.117):

    k  = P e_i / (P_ii + τ²),    μ_g' = μ_g + k (y − μ_gi),    P' = P − k e_iᵀ P
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.planner import Axis

AXES: tuple[Axis, ...] = ("x", "y", "z")

#: Standard deviations of the logarithm of a person's gain, and of one axis of theirs against the others.
PERSON_SPREAD, AXIS_SPREAD = 0.20, 0.10

#: A movement this many times as far as expected, or its inverse, was no answer to what was said.
_FARTHEST = 4.0


@dataclass(frozen=True)
class Gains:
    """Belief about a person's log gains: ``mean`` and ``covariance`` as tuples, in the order x, y, z."""

    mean: tuple[float, float, float]
    covariance: tuple[tuple[float, float, float], ...]
    movements: int = 0

    @classmethod
    def prior(cls) -> Gains:
        """Of a person of whom nothing is known."""
        spread = PERSON_SPREAD**2 * np.ones((3, 3)) + AXIS_SPREAD**2 * np.eye(3)
        return cls._of(np.zeros(3), spread, 0)

    @classmethod
    def _of(cls, mean: npt.NDArray[np.float64], covariance: npt.NDArray[np.float64], movements: int) -> Gains:
        x, y, z = (float(value) for value in mean)
        rows = tuple((float(row[0]), float(row[1]), float(row[2])) for row in covariance)
        return cls((x, y, z), rows, movements)

    def of(self, axis: str) -> tuple[float, float]:
        """Mean and standard deviation of the log gain along an axis."""
        index = AXES.index(axis)
        return self.mean[index], math.sqrt(self.covariance[index][index])

    def after(self, axis: str, expected: float, moved: float, scatter: float) -> Gains:
        """The belief after a movement of ``moved`` metres where people move ``expected`` on the same words.

        ``scatter`` is τ. A movement the wrong way, or of another size altogether, was no answer and teaches nothing.
        """
        if not expected / _FARTHEST <= moved <= expected * _FARTHEST:
            return self
        index = AXES.index(axis)
        mean, covariance = np.array(self.mean), np.array(self.covariance)
        gain = covariance[:, index] / (covariance[index, index] + scatter**2)
        mean = mean + gain * (math.log(moved / expected) - mean[index])
        covariance = covariance - np.outer(gain, covariance[index])
        return self._of(mean, (covariance + covariance.T) / 2, self.movements + 1)
