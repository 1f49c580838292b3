"""A hand in front of a product must not make the product vanish, nor bring it nearer than it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.perception.occlusion import DistanceMemory, Measured, OcclusionSettings

SECOND = 1_000_000_000


def flat(distance: float) -> Measured:
    """A front that is nowhere nearer than its middle."""
    return Measured(distance, distance)


SHELF = dict.fromkeys(range(1, 8), flat(0.8))


def test_a_hand_covers_the_product_and_its_distance_is_kept() -> None:
    """The hand is 20 cm nearer: the product is behind it, where it was."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update(SHELF | {3: flat(0.6)}, SECOND)
    assert memory.covered(3, SECOND)
    assert memory.distance(3) == pytest.approx(0.8)
    assert not memory.covered(4, SECOND)


def test_a_pack_that_is_taken_comes_nearer_and_grows() -> None:
    """What is detected and larger by as much as it is nearer was taken; a hand that is nearer makes no box grow."""
    memory = DistanceMemory()
    memory.update(SHELF | {3: Measured(0.8, 0.8, height=100.0)}, 0)
    assert memory.update(SHELF | {3: Measured(0.5, 0.5, height=155.0)}, SECOND) == {3}
    assert not memory.covered(3, SECOND)
    assert memory.distance(3) == pytest.approx(0.5)

    for nearer in (Measured(0.3, 0.3, height=160.0), Measured(0.3, 0.3), Measured(0.5, 0.3, height=260.0)):
        memory.update(SHELF | {3: Measured(0.5, 0.5, height=155.0)}, SECOND)
        assert not memory.update(SHELF | {3: nearer}, 2 * SECOND)
        assert memory.covered(3, 2 * SECOND)
        assert memory.distance(3) == pytest.approx(0.5)


def test_a_hand_over_a_part_of_the_product_is_enough() -> None:
    """The middle still shows the product, but a good part of it is behind the hand: it may not be seen any more."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update(SHELF | {3: Measured(0.8, 0.55)}, SECOND)
    assert memory.covered(3, SECOND)
    assert memory.distance(3) == pytest.approx(0.8)


def test_a_product_in_the_second_row_is_not_covered_by_the_first() -> None:
    """What has always stood before it is a part of its view."""
    memory = DistanceMemory()
    memory.update(SHELF | {3: Measured(0.9, 0.8)}, 0)
    memory.update(SHELF | {3: Measured(0.9, 0.8)}, SECOND)
    assert not memory.covered(3, SECOND)


def test_uncovered_it_is_measured_again() -> None:
    """The hand is gone: what is measured counts, at once."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update(SHELF | {3: flat(0.6)}, SECOND)
    memory.update(SHELF | {3: flat(0.79)}, 2 * SECOND)
    assert not memory.covered(3, 2 * SECOND)
    assert memory.distance(3) == pytest.approx(0.79)


@given(st.floats(0.5, 1.5))
def test_a_camera_that_moves_covers_nothing(approach: float) -> None:
    """All products come nearer together, by any factor: that is the camera, not a hand."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update(dict.fromkeys(SHELF, flat(0.8 * approach)), SECOND)
    assert not any(memory.covered(track, SECOND) for track in SHELF)


def test_with_few_products_the_growth_of_the_picture_tells_of_the_camera() -> None:
    """One product, and the camera walks up to it: the picture grows as the distance shrinks."""
    memory = DistanceMemory()
    memory.update({1: flat(0.8)}, 0)
    memory.update({1: flat(0.64)}, SECOND, growth=1.25)
    assert not memory.covered(1, SECOND)
    memory.update({1: flat(0.5)}, 2 * SECOND)
    assert memory.covered(1, 2 * SECOND)


def test_what_stays_hidden_is_no_longer_believed() -> None:
    """A product out of sight for longer than the limit may have been taken away."""
    memory = DistanceMemory(OcclusionSettings(hidden_for_s=2.0))
    memory.update(SHELF, 0)
    for moment in range(1, 5):
        memory.update(SHELF | {3: flat(0.5)}, moment * SECOND)
    assert memory.covered(3, 3 * SECOND)
    assert not memory.covered(3, 4 * SECOND)


def test_a_hole_in_the_depth_is_no_reason_to_forget() -> None:
    """A hand nearer than the camera can measure leaves no depth at all."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update(SHELF | {3: None}, SECOND)
    assert memory.covered(3, SECOND)
    assert memory.distance(3) == pytest.approx(0.8)


def test_tracks_that_are_gone_are_forgotten() -> None:
    """Ids are not kept for ever."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    memory.update({1: flat(0.8)}, SECOND)
    assert memory.distance(3) is None


def test_what_covers_all_of_a_product_is_told_from_what_covers_a_part() -> None:
    """A pack in the hand stands before it; fingers over a part of it leave its middle at its own distance."""
    memory = DistanceMemory()
    memory.update(SHELF, 0)
    for depths, before in ((flat(0.5), True), (Measured(0.8, 0.55), False), (None, False)):
        memory.update(SHELF | {3: depths}, SECOND)
        assert memory.covered(3, SECOND)
        assert memory.stands_before(3, depths) is before
    assert not memory.stands_before(4, flat(0.8))
