"""Constant-velocity Kalman filter of a point in space (Kalman 1960; process noise as in Bar-Shalom et al., Estimation
with Applications to Tracking and Navigation, 2001, section 6.3.2: white acceleration, constant over an interval)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FilterSettings:
    """Standard deviations of the acceleration (m/s²) and of the speed at the beginning (m/s); ``gate``: the largest
    squared Mahalanobis distance of a measurement that belongs (16.27: 99.9 % of those that do, in three dimensions).
    """

    acceleration: float = 3.0
    initial_speed: float = 0.5
    gate: float = 16.27


class HandFilter:
    """A point (metres) with its velocity (metres a second). Covariances are symmetric and positive definite."""

    def __init__(self, xyz: Vector, covariance: Matrix, settings: FilterSettings) -> None:
        self._settings = settings
        self._state = np.concatenate([xyz, np.zeros(3)])
        self._covariance = np.zeros((6, 6))
        self._covariance[:3, :3] = covariance
        self._covariance[3:, 3:] = settings.initial_speed**2 * np.eye(3)

    @property
    def xyz(self) -> Vector:
        return np.array(self._state[:3])

    @property
    def velocity(self) -> Vector:
        return np.array(self._state[3:])

    @property
    def covariance(self) -> Matrix:
        """Of the point, 3×3 metres²."""
        return np.array(self._covariance[:3, :3])

    def predicted(self, seconds: float) -> HandFilter:
        """A filter that is ``seconds`` further in time and knows nothing more."""
        transition = np.eye(6)
        transition[:3, 3:] = seconds * np.eye(3)
        push = self._settings.acceleration * np.vstack([seconds**2 / 2 * np.eye(3), seconds * np.eye(3)])
        ahead = HandFilter(self.xyz, self.covariance, self._settings)
        ahead._state = transition @ self._state
        ahead._covariance = transition @ self._covariance @ transition.T + push @ push.T
        return ahead

    def distance(self, xyz: Vector, covariance: Matrix) -> float:
        """Squared Mahalanobis distance of a measured point (3,), metres, with its 3×3 covariance."""
        error = xyz - self._state[:3]
        return float(error @ np.linalg.solve(self._covariance[:3, :3] + covariance, error))

    def correct(self, xyz: Vector, covariance: Matrix) -> None:
        """Take in a point (3,), metres, measured now with a 3×3 covariance."""
        gain = np.linalg.solve(self._covariance[:3, :3] + covariance, self._covariance[:3, :]).T
        self._state = self._state + gain @ (xyz - self._state[:3])
        # Joseph's form: what rounding does cannot make it other than symmetric and positive.
        rest = np.eye(6)
        rest[:, :3] -= gain
        updated = rest @ self._covariance @ rest.T + gain @ covariance @ gain.T
        self._covariance = (updated + updated.T) / 2
