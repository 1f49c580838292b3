"""What stands clear of the shelf: a pack that somebody holds up, or the hand that does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

#: So much nearer than the shelf, metres, a thing is no product that merely stands in front of the others.
_CLEAR = 0.08

#: Where too few are in view to tell how the shelf is turned, it is where this share of them is, or nearer.
_SHELF = 0.75

#: So many tell how it is turned.
_ENOUGH = 6

#: Steps towards the plane that fits most of them.
_STEPS = 8


def clear_of_shelf(seen: Mapping[int, tuple[float, float, float]]) -> set[int]:
    """Which tracks stand clear of the shelf; ``seen``: where the middle of each is, pixels across and down, and its
    distance, metres along the optical axis.

    None do where fewer than two are in view: a thing alone may be the shelf.
    """
    if len(seen) < 2:
        return set()
    across, down, distances = np.array(list(seen.values()), np.float64).T
    if len(seen) < _ENOUGH:
        shelf = np.full(len(seen), np.quantile(distances, _SHELF))
    else:
        shelf = _plane(across, down, distances)
    return {track_id for track_id, clear in zip(seen, distances < shelf - _CLEAR, strict=True) if clear}


def _plane(
    across: npt.NDArray[np.float64], down: npt.NDArray[np.float64], distances: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How far the shelf is at each of N places in the picture, for most of what stands there.

    The inverse distance of a plane is linear in the pixels; the sum of absolute errors is made small by weighted least
    squares (Schlossmacher 1973), so that what is not on the plane counts little.
    """
    terms = np.stack([(across - across.mean()) / 100, (down - down.mean()) / 100, np.ones_like(across)], axis=1)
    inverse = 1 / distances
    fitted = np.full_like(inverse, np.median(inverse))
    for _ in range(_STEPS):
        weighted = terms.T / np.maximum(np.abs(inverse - fitted), 1e-3)
        # A trace of ridge: what stands in one line does not tell how the shelf is turned about it.
        fitted = terms @ np.linalg.solve(weighted @ terms + 1e-6 * np.eye(3), weighted @ inverse)
    return np.asarray(1 / np.maximum(fitted, 1e-3))
