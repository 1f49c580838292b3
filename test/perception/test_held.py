"""What stands clear of the shelf."""

from __future__ import annotations

from shelfhelp_ros.perception.held import clear_of_shelf


def test_what_somebody_holds_up_is_clear_of_the_shelf() -> None:
    """Packs that stand a little before or behind the others are on the shelf."""
    assert clear_of_shelf({1: 0.7, 2: 0.72, 3: 0.66, 4: 0.42, 5: 0.85}) == {4}


def test_a_pack_that_hides_most_of_the_shelf_is_clear_of_the_rest() -> None:
    assert clear_of_shelf({1: 0.7, 2: 0.4}) == {2}


def test_a_thing_alone_may_be_the_shelf() -> None:
    assert clear_of_shelf({1: 0.4}) == set()
    assert clear_of_shelf({}) == set()
