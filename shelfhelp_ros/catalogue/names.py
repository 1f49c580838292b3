"""Product names: one spelling for comparison, and the nearest ones to a name that is unknown."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from shelfhelp_ros.errors import ShelfHelpError

MAX_LENGTH = 200
# What turns the direction of the text round it: a name would not read as it is stored.
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
# Below it two names share letters by chance.
_LEAST_LIKENESS = 0.6


def clean_name(name: str) -> str:
    """A name as it is stored: Unicode NFC, single spaces. Raises ShelfHelpError when nothing sayable is left."""
    if any(_is_unreadable(char) for char in name):
        raise ShelfHelpError("the name holds control or undefined characters; type it again with letters and digits")
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not any(char.isalnum() for char in cleaned):
        raise ShelfHelpError("the name has no letter or digit in it; give a name that can be spoken")
    if len(cleaned) > MAX_LENGTH:
        raise ShelfHelpError(f"the name is longer than {MAX_LENGTH} characters; shorten it")
    return cleaned


def _is_unreadable(char: str) -> bool:
    control = unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and char not in "\t\n\r"
    return control or unicodedata.bidirectional(char) in _TURNING


def name_key(name: str) -> str:
    """What two spellings of one name share: case, compatibility forms (full width, ligatures) and spacing fold away."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def nearest_names(wanted: str, names: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Names most like ``wanted``, best first: spelt alike as a whole, or sharing words spelt alike, accents aside."""
    key = _without_accents(wanted)
    if not key:
        return ()
    scored = sorted((-_likeness(key, _without_accents(name)), name) for name in names)
    return tuple(name for score, name in scored[:limit] if score <= -_LEAST_LIKENESS)


def _likeness(wanted: str, name: str) -> float:
    """0..1: the ratio of matching letters, of the whole names or as the mean over the wanted words."""
    whole = difflib.SequenceMatcher(None, wanted, name).ratio()
    by_word = [
        max(difflib.SequenceMatcher(None, word, other).ratio() for other in name.split()) for word in wanted.split()
    ]
    # A name that shares one word of several is worth naming, after those that share them all.
    return max(whole, sum(by_word) / len(by_word), 0.7 * max(by_word))


def _without_accents(name: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", name_key(name)) if not unicodedata.combining(char))
