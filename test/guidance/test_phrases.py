"""The phrase file: complete, checked, and naming what is wrong with it."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.distances import Amount, spoken_amount
from shelfhelp_ros.guidance.phrases import PLURALS, REQUIRED, Phrases
from shelfhelp_ros.resources import config_folder

ENGLISH = yaml.safe_load((config_folder() / "phrases" / "en.yaml").read_text(encoding="utf-8"))
PHRASES = Phrases(ENGLISH)


def with_text(key, text):
    """The English file with one text replaced, or removed when ``text`` is None."""
    raw = copy.deepcopy(ENGLISH)
    *sections, last = key.split(".")
    place = raw
    for section in sections:
        place = place[section]
    last = int(last) if last.isdigit() else last
    if text is None:
        del place[last]
    else:
        place[last] = text
    return raw


@pytest.mark.parametrize("key", [*REQUIRED, *(f"{key}.{form}" for key in PLURALS for form in ("one", "other"))])
@pytest.mark.parametrize("text", [None, "", "  ", "lost {brace", "odd {field}", "bare {}", 3])
def test_a_faulty_phrase_is_named(key, text):
    """Whatever is wrong with a phrase, the error names file and key."""
    with pytest.raises(ShelfHelpError, match=rf"here\.yaml: {key.replace('.', '[.]')} "):
        Phrases(with_text(key, text), "here.yaml")


@pytest.mark.parametrize("key", [key for key, fields in REQUIRED.items() if fields])
def test_a_lost_placeholder_is_named(key):
    """A sentence that forgot the product's name or the distance does not get through."""
    with pytest.raises(ShelfHelpError, match=r"lacks \{"):
        Phrases(with_text(key, "Well."))


def test_a_misspelt_key_is_named():
    """An extra key is most likely a slip."""
    with pytest.raises(ShelfHelpError, match="hand_lots is not a phrase"):
        Phrases({**ENGLISH, "hand_lots": "Where is it?"})


@pytest.mark.parametrize("language", ["", "xx_yy_zz", "klingon!", None])
def test_a_language_has_to_exist(language):
    """The plural rules come with the language."""
    with pytest.raises(ShelfHelpError, match="language"):
        Phrases({**ENGLISH, "language": language})


def test_plural_forms_are_those_of_the_language():
    """Polish counts inches in four forms, and a file that lacks one of them is refused by its name."""
    raw = {**copy.deepcopy(ENGLISH), "language": "pl"}
    with pytest.raises(ShelfHelpError, match=r"distance\.\w+\.(few|many) is missing"):
        Phrases(raw)
    forms = {form: f"{{count}} {form}" for form in ("one", "few", "many", "other")}
    for key in PLURALS:
        section, name = key.split(".")
        raw[section][name] = forms
    raw["distance"]["inches"] = {**forms, 2: "two of its own"}
    polish = Phrases(raw)
    counted = [polish.distance(Amount("inches", count, 0.1)) for count in (1, 2, 3, 5, 22)]
    assert counted == ["1 one", "two of its own", "3 few", "5 many", "22 few"]


@pytest.mark.parametrize(
    ("text", "match"),
    [("[1, 2]", "has to hold keys"), ("a: [", "cannot be read"), ("", "has to hold keys"), ("\x00", "cannot be read")],
)
def test_a_file_that_is_no_phrase_file(tmp_path, text, match):
    """Wrong files are one clear line, not a traceback of the YAML library."""
    path = tmp_path / "phrases.yaml"
    path.write_text(text)
    with pytest.raises(ShelfHelpError, match=match) as caught:
        Phrases.load(path=path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_languages(tmp_path):
    """The error names the file that was looked for."""
    with pytest.raises(ShelfHelpError, match=r"tlh\.yaml is missing"):
        Phrases.load("tlh")
    with pytest.raises(ShelfHelpError, match="cannot be read"):
        Phrases.load(path=tmp_path)


@given(st.floats(0.0, 20.0), st.sampled_from(["imperial", "metric"]))
def test_every_amount_has_words(metres, units):
    """No distance is left without words, and none shows a brace or a fraction."""
    words = PHRASES.distance(spoken_amount(metres, units))
    assert words.strip()
    assert not set(words) & set("{}.")


def test_one_is_not_plural():
    """A foot, but two feet."""
    said = [PHRASES.distance(Amount("feet", count, 0.3)) for count in (1, 2)]
    assert said == ["about a foot", "about 2 feet"]


def test_a_sentence_begins_with_a_capital():
    """Also where it begins with a distance."""
    assert PHRASES.say("move.left.known", distance="about a foot") == "About a foot to the left."


@given(st.text(max_size=40))
def test_any_product_name_can_be_said(name):
    """Braces or other marks in a name are the shopper's business."""
    assert name in PHRASES.say("done", name=name)
