"""What stands clear of the shelf: a pack that somebody holds up, or the hand that does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: So much nearer than the shelf, metres, a thing is no product that merely stands in front of the others.
_CLEAR = 0.08

#: The shelf is where this share of what is in view is, or nearer: most of it stands in the front row.
_SHELF = 0.75


def clear_of_shelf(distances: Mapping[int, float]) -> set[int]:
    """Which tracks stand clear of the shelf, from the distance of each, metres along the optical axis.

    None do where fewer than two are in view: a thing alone may be the shelf.
    """
    if len(distances) < 2:
        return set()
    limit = float(np.quantile(list(distances.values()), _SHELF)) - _CLEAR
    return {track_id for track_id, distance in distances.items() if distance < limit}
