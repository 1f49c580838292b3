"""How much quicker one planner is: the share, and an interval that knows how few people there were."""

from __future__ import annotations

import numpy as np
import pytest

from shelfhelp_ros.simulation.advantage import quicker


def searches(seconds_of):
    """Records of people 0, 1, …, each with a row of seconds."""
    return [{"person": person, "seconds": s} for person, row in enumerate(seconds_of) for s in row]


def drawn(seed, people, factor=1.0):
    """Five searches of each: people differ, and so do their searches."""
    rng = np.random.default_rng(seed)
    return factor * rng.lognormal(3.0, 0.3, (people, 1)) * rng.lognormal(0.0, 0.2, (people, 5))


def test_the_share_is_that_of_the_medians():
    """15 instead of 20 seconds is a quarter quicker, and nothing is uncertain where nothing differs."""
    assert quicker(searches([[15.0]] * 9), searches([[20.0]] * 9)) == pytest.approx((0.25, 0.25, 0.25))


def test_the_interval_holds_the_share_and_narrows_with_people():
    """Four times the people, about half the interval."""
    widths = []
    for people in (50, 200):
        share, low, high = quicker(searches(drawn(1, people, 0.8)), searches(drawn(2, people)))
        assert low < share < high
        widths.append(high - low)
    assert 0.3 < widths[1] / widths[0] < 0.8


def test_people_are_drawn_with_all_their_searches():
    """The searches of one person are alike: they count for less than as many of different people."""
    rng = np.random.default_rng(5)
    people = rng.lognormal(3.0, 0.4, 40)
    alike = quicker(searches(np.repeat(people[:, None], 10, axis=1)), searches([[20.0]] * 40))
    many = quicker(searches(rng.lognormal(3.0, 0.4, (400, 1))), searches([[20.0]] * 400))
    assert alike[2] - alike[1] > 2 * (many[2] - many[1])


def test_the_same_people_are_drawn_for_both():
    """What is common to a person cancels out."""
    ours = drawn(3, 60)
    share, low, high = quicker(searches(0.75 * ours), searches(ours))
    assert (share, low, high) == pytest.approx((0.25, 0.25, 0.25))


def test_without_a_search_that_ended_well_there_is_no_share():
    assert quicker([], searches([[20.0]])) is None
