"""The chance that a hand takes the right pack on its way, against many drawn movements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.guidance.taking import holds, lands_within, reaches, reaches_after, stays_within, strayed

MANY = 200_000


@given(st.floats(0, 0.5), st.floats(0.01, 0.1), st.floats(0.05, 0.5), st.floats(-0.5, 0.5), st.floats(0.05, 0.5))
@settings(deadline=None)
def test_a_chance_is_one_and_grows_with_what_it_may_miss(at, limit, expected, gain, scatter):
    """Whatever the place: between never and always, and never less before a wider pack."""
    blur = np.array(0.012)
    narrow, wide = (
        float(lands_within(np.array(at), width, np.array(expected), gain, np.array(scatter), blur))
        for width in (limit, 2 * limit)
    )
    assert 0 <= narrow <= wide <= 1
    assert (
        0 <= float(stays_within(np.array(at), limit, blur)) <= float(stays_within(np.array(at), 2 * limit, blur)) <= 1
    )


@pytest.mark.parametrize(
    ("at", "expected", "gain"), [(0.06, 0.058, 0.0), (0.2, 0.2, 0.2), (0.02, 0.1, -0.1), (0.3, 0.2, 0)]
)
def test_landing_is_what_drawn_movements_do(at, expected, gain):
    """The blur is folded into the scatter, which is right to a few hundredths."""
    rng = np.random.default_rng(1)
    landed = at - expected * np.exp(gain + 0.25 * rng.standard_normal(MANY)) + 0.015 * rng.standard_normal(MANY)
    drawn = float((np.abs(landed) <= 0.045).mean())
    chance = lands_within(np.array(at), 0.045, np.array(expected), gain, np.array(0.25), np.array(0.015))
    assert float(chance) == pytest.approx(drawn, abs=0.04)


def test_a_hand_that_feels_for_the_pack_need_not_go_the_whole_way():
    """It goes on by itself over the last 15 cm, and cannot go too far; words that fall far short do not bring it."""
    assert float(reaches(np.array(0.14))) == 1
    assert float(reaches(np.array(0.16))) == 0
    assert float(reaches(np.array(-0.1))) == 1
    assert float(reaches(np.array(-0.2))) == 0
    far_enough, too_far, too_short = (
        float(reaches_after(np.array(0.4), np.array(expected), 0.0, np.array(0.2))) for expected in (0.3, 0.6, 0.1)
    )
    assert far_enough > 0.7
    assert too_far > 0.99
    assert too_short < 0.01
    assert float(reaches_after(np.array(-0.1), np.array(0.1), 0.0, np.array(0.2))) == 0


def test_a_hand_has_hold_of_a_pack_within_its_edges():
    """A slim pack leaves little room, a wide one not more than a hand feels sure of."""
    assert holds((0.06, 0.02)) == pytest.approx((0.04, 0.01))
    assert holds((0.5, 0.5)) == (0.1, 0.1)
    assert float(strayed(0.012, np.array(0.0))) == pytest.approx(0.012)
    assert float(strayed(0.0, np.array(0.5))) == pytest.approx(0.03)
