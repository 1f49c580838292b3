"""One product per name however it is spelt, and helpful guesses for names that are not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.catalogue.names import clean_name, name_key, nearest_names
from shelfhelp_ros.errors import ShelfHelpError

NAMES = ["Oat Crunch", "Oat Drink", "Tomato soup", "Crème fraîche", "Müsli", "ＣＯＬＡ zero"]


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("oat crunsh", "Oat Crunch"),
        ("soup", "Tomato soup"),
        ("creme fraiche", "Crème fraîche"),
        ("musli", "Müsli"),
        ("cola", "ＣＯＬＡ zero"),
        ("drink oat", "Oat Drink"),
    ],
)
def test_nearest(wanted, first):
    """Misspelt, shortened and unaccented names lead to what was meant."""
    assert nearest_names(wanted, NAMES)[0] == first


def test_nothing_near():
    """What is like nothing gets no guess, and neither does nothing."""
    assert nearest_names("xylophone", NAMES) == ()
    assert nearest_names("  ", NAMES) == ()
    assert nearest_names("oat", []) == ()


@given(st.text(max_size=40))
def test_cleaning_is_final(name):
    """A cleaned name is clean, and two spellings that clean alike are one product."""
    try:
        cleaned = clean_name(name)
    except ShelfHelpError:
        return
    assert clean_name(cleaned) == cleaned
    assert name_key(cleaned) == name_key(name)
    assert name_key(name_key(name)) == name_key(name)


def test_spellings():
    """Composed and decomposed accents, case, width and spacing are one name."""
    assert name_key("Café  NOIR") == name_key("cafe\u0301 noir") == name_key("ｃａｆé noir")
    assert name_key("Straße") == name_key("STRASSE")
