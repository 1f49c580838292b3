"""Words on packs: how they are compared, and that they are read."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception import text
from shelfhelp_ros.perception.text import TextReader, Word, agreement, words_of

needs_text = pytest.mark.skipif(not text.available(), reason="the extra `text` is not installed")


def words(line: str, height: float = 0.1) -> list[Word]:
    return [Word(word, height) for word in words_of(line)]


def test_words_of_a_line():
    """Accents, case, digits and scraps of the artwork must not make two words of one."""
    assert list(words_of("Nestlé CRÈME, 375g la 100% x Nüsse")) == ["nestle", "creme", "nusse"]


@needs_text
def test_another_flavour_contradicts():
    """A word of the reference that stands there in another word is the mark of a sibling."""
    reference = words("Lipton green tea lemon")
    same = agreement(reference, words("LIPTON greentea lemcn"))
    sibling = agreement(reference, words("Lipton green tea mint"))
    assert (same.replaced, same.other) == (0.0, 0.0)
    assert same.both == 1.0
    assert sibling.replaced == pytest.approx(0.25, abs=0.01)


@needs_text
def test_what_is_hidden_does_not_contradict():
    """A price rail hides the flavour, a neighbour adds a word: neither alone is another product."""
    reference = words("Lipton green tea lemon")
    assert agreement(reference, words("Lipton green tea")).replaced == 0.0
    assert agreement(reference, words("Lipton green tea lemon Twinings")).replaced == 0.0


@needs_text
def test_large_words_count_most():
    """The flavour in letters a hand high weighs more than the small print."""
    reference = [*words("chocolate", 0.2), *words("ingredients wheat sugar", 0.05)]
    crop = [*words("hazelnut", 0.2), *words("ingredients wheat sugar", 0.05)]
    assert agreement(reference, crop).replaced > 0.8


@needs_text
def test_small_print_is_not_asked_of_a_distant_pack():
    """What the crop is too small to show is not missing from it."""
    reference = [*words("chocolate", 0.2), *words("ingredients wheat sugar", 0.03)]
    found = agreement(reference, words("chocolate", 0.2))
    assert (found.missing, found.asked) == (0.0, 1)


@needs_text
def test_nothing_to_read():
    """Without words on either side nothing is said."""
    assert not agreement([], words("Lipton")).telling
    assert not agreement(words("Lipton"), []).telling


@needs_text
def test_print_is_read():
    """The reader itself, on letters as they stand on a pack."""
    picture = np.full((300, 240, 3), (40, 150, 240), np.uint8)
    for line, y in (("HAZEL", 90), ("MUESLI", 180)):
        cv2.putText(picture, line, (20, y), cv2.FONT_HERSHEY_DUPLEX, 1.6, (255, 255, 255), 4)
    reader = TextReader(threads=1)
    read = reader.read(picture)
    assert [word.text for word in read] == ["hazel", "muesli"]
    assert 0.08 < read[0].height < 0.25
    assert reader.read(np.full((60, 40, 3), 128, np.uint8)) == ()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    """A missing extra is a sentence with the way to mend it."""
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ShelfHelpError, match="pip install"):
        TextReader()
