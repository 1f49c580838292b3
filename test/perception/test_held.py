"""What stands clear of the shelf."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.perception.held import Shelf
from shelfhelp_ros.perception.held import clear_of_shelf as clear_of


def clear_of_shelf(seen):
    return clear_of(seen, Shelf.of(seen))


FOCAL, MIDDLE = 530.0, np.array([320.0, 240.0])


def in_row(*distances: float) -> dict[int, tuple[float, float, float]]:
    return {number: (100.0 * number, 240.0, distance) for number, distance in enumerate(distances, start=1)}


def shelf(turned: float, distance: float = 0.8) -> dict[int, tuple[float, float, float]]:
    """Packs 10 cm apart in two rows of seven, seen by a camera that is ``turned`` by degrees to the right."""
    cosine, sine = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    seen = {}
    for number in range(14):
        x, y = 0.1 * (number % 7 - 3), 0.3 * (number // 7) - 0.15
        point = np.array([cosine * x - sine * distance, y, sine * x + cosine * distance])
        across, down = FOCAL * point[:2] / point[2] + MIDDLE
        seen[number] = (float(across), float(down), float(point[2]))
    return seen


def test_what_somebody_holds_up_is_clear_of_the_shelf() -> None:
    """Packs that stand a little before or behind the others are on the shelf."""
    assert clear_of_shelf(in_row(0.7, 0.72, 0.66, 0.42, 0.85)) == {4}
    assert clear_of_shelf(in_row(0.7, 0.72, 0.66, 0.42, 0.85, 0.71, 0.7, 0.8)) == {4}


def test_a_pack_that_hides_most_of_the_shelf_is_clear_of_the_rest() -> None:
    assert clear_of_shelf(in_row(0.7, 0.4)) == {2}


def test_a_thing_alone_may_be_the_shelf() -> None:
    assert clear_of_shelf(in_row(0.4)) == set()
    assert clear_of_shelf({}) == set()


@given(st.floats(-40, 40), st.integers(0, 13), st.floats(0.15, 0.4))
def test_a_shelf_that_is_seen_from_aside_is_no_nearer_at_one_end(turned: float, number: int, before: float) -> None:
    """Only what is held before it is clear of it, wherever that is in the picture."""
    seen = shelf(turned)
    assert clear_of_shelf(seen) == set()
    across, down, distance = seen[number]
    assert clear_of_shelf({**seen, 99: (across, down, distance - before)}) == {99}
