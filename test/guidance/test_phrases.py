"""The phrase file: complete, checked, and naming what is wrong with it."""

from __future__ import annotations

import copy
import re
import shutil
import string
import subprocess
import wave

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.distances import UNITS, Amount, spoken_amount
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phrases import PLURALS, REQUIRED, VERBOSITIES, Phrases
from shelfhelp_ros.resources import config_folder

ENGLISH = yaml.safe_load((config_folder() / "phrases" / "en.yaml").read_text(encoding="utf-8"))
PHRASES = Phrases(ENGLISH)
LANGUAGES = sorted(path.stem for path in (config_folder() / "phrases").glob("*.yaml"))


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
def test_a_faulty_phrase_is_named(key):
    """Whatever is wrong with a phrase, the error names file and key."""
    for text in (None, "", "  ", "lost {brace", "odd {field}", "bare {}", 3):
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


@pytest.mark.parametrize(
    ("voice", "language"), [("de", "de"), ("pt-br", "pt"), ("en-gb", "en"), ("", "en"), ("tlh", "en"), ("../de", "en")]
)
def test_the_phrases_of_a_voice(voice, language):
    """A voice has more languages than there are phrase files."""
    assert Phrases.of_voice(voice).language == language


def test_missing_files_and_languages(tmp_path):
    """The error names the file that was looked for."""
    with pytest.raises(ShelfHelpError, match=r"tlh\.yaml is missing"):
        Phrases.load("tlh")
    with pytest.raises(ShelfHelpError, match="cannot be read"):
        Phrases.load(path=tmp_path)


@given(st.floats(0.0, 20.0), st.sampled_from(UNITS))
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


def test_units_have_to_be_known():
    """A language without usual units would leave the person with somebody else's."""
    with pytest.raises(ShelfHelpError, match=r"units is 'cubits'"):
        Phrases({**ENGLISH, "units": "cubits"})


def test_verbosity_replaces_some_texts_and_keeps_the_others():
    """Less, more and the usual, from one file; asked for twice it is the same object, which plans are kept by."""
    key = "move.left.known"
    said = [PHRASES.at(verbosity).say(key, distance="3 inches") for verbosity in ("brief", "normal", "full")]
    assert said == ["Left 3 inches.", "3 inches to the left.", "Move your hand 3 inches to the left."]
    assert PHRASES.at("brief").say("no_target") == PHRASES.say("no_target")
    assert PHRASES.at("brief") is PHRASES.at("brief")
    assert PHRASES.at("normal") is PHRASES
    with pytest.raises(ShelfHelpError, match=r"brief\.move\.left\.known lacks \{distance\}"):
        Phrases({**ENGLISH, "brief": {"move": {"left": {"known": "Left."}}}})


# Every language


def texts_of(node, prefix=""):
    """Key and text of everything in a phrase file."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from texts_of(value, f"{prefix}{key}.")
        elif prefix or key not in ("language", "units"):
            yield f"{prefix}{key}", value


def file_of(language):
    return dict(
        texts_of(yaml.safe_load((config_folder() / "phrases" / f"{language}.yaml").read_text(encoding="utf-8")))
    )


def spoken(language):
    """Every text of a language with words of that language filled in."""
    phrases = Phrases.load(language)
    little = phrases.distance(Amount("little", 1, 0.1))
    words = dict.fromkeys(("name", "names", "first", "second", "distance", "way", "side", "height"), little)
    return [text.format(**words, hour=phrases.hour(2), count=3) for text in file_of(language).values()]


def test_there_are_enough_languages():
    """Ten besides English, and some that count in more than two forms."""
    assert len(LANGUAGES) >= 11
    assert {"cs", "pl", "ru"} < set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_says_everything_that_english_says(language):
    """Loaded means that every phrase and plural form is there; less and more is said of the same things too."""
    phrases = Phrases.load(language)
    assert phrases.language == language
    english, ours = file_of("en"), file_of(language)
    for verbosity in VERBOSITIES:
        assert {key for key in ours if key.startswith(verbosity)} == {
            key for key in english if key.startswith(verbosity)
        }
    for key in REQUIRED:
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english[key], ours[key])
        ]
        assert fields[0] == fields[1], key
        assert english[key].endswith(".") == ours[key].endswith("."), key
    if language != "en":
        copied = [key for key in REQUIRED if ours[key] == english[key] and "}" not in english[key]]
        assert not copied, "left in English"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_tells_the_ways_apart(language):
    """Left and right, up and down, forward and back are never the same words: the commonest slip of a copied line."""
    texts = file_of(language)
    opposite = {"left": "right", "up": "down", "forward": "back", "above": "below"}
    ways = [key for key in texts if set(key.split(".")) & set(opposite)]
    assert len(ways) > 30
    for key in ways:
        other = ".".join(opposite.get(word, word) for word in key.split("."))
        assert texts[key] != texts[other], key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_numbers_of_a_language(language):
    """Every amount that is ever spoken has words, and different amounts have different ones."""
    phrases = Phrases.load(language)
    for units in UNITS:
        amounts = {spoken_amount(0.005 * step, units) for step in range(1800)}
        words = [phrases.distance(amount) for amount in amounts]
        assert len(set(words)) == len(words)
        assert not any(set(text) & set("{}") for text in words)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("language", LANGUAGES)
def test_espeak_speaks_every_phrase_of_a_language(tmp_path, language):
    """It has the voice, reads every text, none of it as words of another language; and it is heard."""
    texts = spoken(language)
    command = ["espeak-ng", "-b", "1", "-v", language, "-s", "600"]
    given = "\n\n".join(texts).encode()
    read = subprocess.run([*command, "-q", "-x"], input=given, capture_output=True, check=True, timeout=120)
    phonemes = [line for line in read.stdout.decode().splitlines() if line.strip()]
    assert len(phonemes) >= len(texts)
    assert not re.findall(r"\(\w\w\)", read.stdout.decode()), "read as another language"
    for number, text in enumerate([max(texts, key=len), *texts[:: len(texts) // 4]]):
        path = tmp_path / f"{number}.wav"
        subprocess.run([*command, "-w", str(path), "--stdin"], input=text.encode(), check=True, timeout=60)
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
            seconds = len(samples) / file.getframerate()
        assert 0.4 < seconds / speech_seconds(text, 600) < 2.5, text
        assert np.sqrt(np.mean(samples**2)) > 0.01, text
