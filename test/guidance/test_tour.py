"""The way of the camera over the shelf: every view, none for nothing, and back along the same views."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.guidance.tour import Tour, Turn

STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}
columns, rows = st.integers(1, 15), st.integers(1, 9)


def made(tour: Tour) -> list[Turn]:
    """Every turn to the end of the tour, each view looked over at once."""
    turns = []
    tour.look()
    while tour.next is not None:
        turns.append(tour.next)
        tour.turn()
        tour.look()
    return turns


def views(turns: list[Turn], at: tuple[int, int] = (0, 0)) -> list[tuple[int, int]]:
    """Every view on the way, the first too."""
    passed = [at]
    for turn in turns:
        for _ in range(turn.views):
            across, up = STEPS[turn.way]
            passed.append((passed[-1][0] + across, passed[-1][1] + up))
    return passed


def test_a_shelf_of_three_by_three():
    """Down first, two views at a time where they lie in one line."""
    turns = [(turn.way, turn.views) for turn in made(Tour(3, 3))]
    assert turns == [("down", 1), ("left", 1), ("up", 2), ("right", 2), ("down", 2)]


@given(columns, rows)
def test_every_view_is_passed(columns, rows):
    """The shelf that was asked for, about the view at the start, and nothing beyond it."""
    tour = Tour(columns, rows)
    passed = views(made(tour))
    assert len(set(passed)) == columns * rows
    across, up = zip(*passed, strict=True)
    assert (max(across) - min(across) + 1, max(up) - min(up) + 1) == (columns, rows)
    assert tour.complete


@given(columns, rows)
def test_back_along_the_same_views_one_by_one(columns, rows):
    """Once more, with a look at each; what is passed for the second time is known."""
    tour = Tour(columns, rows)
    there = views(made(tour))
    tour.back()
    turns = made(tour)
    assert views(turns, there[-1]) == there[::-1]
    assert all(turn.views == 1 for turn in turns)
    seen = {there[-1]}
    for turn, (_, view) in zip(turns, pairwise(there[::-1]), strict=True):
        assert turn.seen == (view in seen)
        seen.add(view)


def test_a_turn_that_was_never_heard_is_made_again():
    """What the voice dropped leads nowhere."""
    tour = Tour(3, 3)
    tour.look()
    assert tour.turn() == 1
    tour.undo()
    assert tour.next == Turn("down", False)
