"""How far a point is from the packs of a shelf: what a hand touches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.simulation.layout import Pack

Vector = npt.NDArray[np.float64]


class PackBodies:
    """The packs as upright boxes and cylinders. All lengths metres, all points in the world."""

    def __init__(self, packs: tuple[Pack, ...]) -> None:
        self._middles = np.array([pack.foot + np.array([0, 0, pack.product.height / 2]) for pack in packs]).reshape(
            -1, 3
        )
        self._halves = (
            np.array([(p.product.width, p.product.depth, p.product.height) for p in packs]).reshape(-1, 3) / 2
        )
        yaws = np.array([pack.yaw for pack in packs])
        self._cos, self._sin = np.cos(yaws), np.sin(yaws)
        self._away = np.zeros(len(packs))
        self._round = np.array([pack.product.shape in ("can", "bottle") for pack in packs], bool)

    def take_away(self, index: int) -> None:
        """A pack is in the hand: it stands in nobody's way."""
        self._away[index] = np.inf

    def put_back(self, index: int) -> None:
        self._away[index] = 0.0

    def distances(self, point: Vector) -> Vector:
        """Signed distance (N,) from a point (3,) to the surface of every pack; negative inside."""
        offset = point - self._middles
        across = np.stack(
            [self._cos * offset[:, 0] + self._sin * offset[:, 1], self._cos * offset[:, 1] - self._sin * offset[:, 0]],
            -1,
        )
        flat = np.abs(across) - self._halves[:, :2]
        radial = np.hypot(across[:, 0], across[:, 1]) - self._halves[:, 0]
        flat[self._round] = np.stack([radial, radial], -1)[self._round]
        above = np.abs(offset[:, 2]) - self._halves[:, 2]
        outside = np.hypot(
            np.where(self._round, np.maximum(flat[:, 0], 0), np.hypot(*np.maximum(flat, 0).T)), np.maximum(above, 0)
        )
        inside = np.minimum(np.maximum(flat.max(1), above), 0)
        return np.asarray(outside + inside + self._away)

    def clearance(self, point: Vector) -> float:
        """Signed distance from a point (3,) to the nearest pack; infinite when there is none."""
        return float(self.distances(point).min(initial=np.inf))
