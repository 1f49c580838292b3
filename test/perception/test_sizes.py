"""The sizes of what stands on the shelf: known when measured often enough, and steady."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.perception.sizes import Sizes

METRES = st.floats(0.02, 0.5)


def after(measured: list[tuple[float, float]]) -> np.ndarray:
    sizes = Sizes()
    for size in measured:
        sizes.learn({1: size}, {1})
    return sizes.of([1, 2])


@given(METRES, METRES, st.integers(0, 40))
def test_a_size_is_known_from_the_fourth_measurement_on(width, height, count):
    """Protects against a verdict on the first box; a product that was never measured has no size."""
    known = after([(width, height)] * count)
    assert np.isnan(known[1]).all()
    if count < 4:
        assert np.isnan(known[0]).all()
    else:
        assert known[0] == pytest.approx((width, height))


def test_the_size_follows_small_errors():
    """Protects the size from the trembling of boxes: a mean of the newest."""
    rng = np.random.default_rng(1)
    measured = [(0.08 * e, 0.2 * f) for e, f in 1 + 0.01 * rng.standard_normal((200, 2))]
    assert after(measured)[0] == pytest.approx((0.08, 0.2), rel=0.01)


def test_a_box_now_of_the_whole_and_now_of_a_part_has_no_size():
    """Protects facings from being taken for another product because one is half hidden from time to time."""
    assert np.isnan(after([(0.08, 0.2), (0.08, 0.12)] * 6)[0]).all()
    assert after([(0.08, 0.12)] * 3 + [(0.08, 0.2)] * 60)[0] == pytest.approx((0.08, 0.2), rel=0.02)


def test_what_is_gone_is_forgotten():
    """Protects memory, and the next product of that number."""
    sizes = Sizes()
    for _ in range(6):
        sizes.learn({1: (0.1, 0.2), 2: (0.1, 0.3)}, {1, 2})
    sizes.learn({}, {2})
    assert np.isnan(sizes.of([1])).all()
    assert not np.isnan(sizes.of([2])).any()
    assert sizes.of([]).shape == (0, 2)
