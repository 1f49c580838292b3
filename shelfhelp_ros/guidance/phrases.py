"""The phrase file: every spoken text of a language, checked as a whole when it is loaded."""

from __future__ import annotations

import copy
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.distances import UNITS, Amount, Units
from shelfhelp_ros.resources import config_folder

_SIDES = ("left", "right", "up", "down")

#: Every key with the words in braces that it has to hold.
REQUIRED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("start", "done", "found_before", "absent"), frozenset({"name"})),
    **{f"done_{like}": frozenset({"name"}) for like in ("alike", "larger", "smaller")},
    **dict.fromkeys(("contact", "no_target", "stopped", "stale", "hand_lost", "waiting_for_camera"), frozenset()),
    "restarting": frozenset(),
    **{f"turn.{side}.{size}": frozenset() for side in _SIDES for size in ("little", "plain", "far")},
    **{f"move.{way}.known": frozenset({"distance"}) for way in (*_SIDES, "forward", "back")},
    **{f"move.{way}.unknown": frozenset() for way in (*_SIDES, "forward", "back")},
    **dict.fromkeys(("ahead.known", "ahead.walk"), frozenset({"distance"})),
    "ahead.unknown": frozenset(),
    **{f"move.{way}.far": frozenset() for way in ("left", "right")},
    **{f"part.{way}": frozenset({"distance"}) for way in (*_SIDES, "forward", "back")},
    **dict.fromkeys(("pair.together", "pair.after", "take.two"), frozenset({"first", "second"})),
    "take.one": frozenset({"first"}),
    **{f"{how}.{side}": frozenset() for how in ("scan", "sweep") for side in _SIDES},
    **dict.fromkeys(("confirm.lift", "confirm.turn", "confirm.closer", "confirm.top"), frozenset()),
    "confirm.untold": frozenset({"name"}),
    **{f"wrong.{side}": frozenset() for side in (*_SIDES, "unknown")},
    **dict.fromkeys(("blocked.hand", "blocked.obstacle", "blocked.reach"), frozenset()),
    **dict.fromkeys(("lost.first", "lost.again", "ambiguous.closer"), frozenset()),
    **{f"ambiguous.{key}": frozenset() for key in ("try", "try_larger", "try_smaller", "try_it")},
    **dict.fromkeys(("ambiguous.sides", "ambiguous.stacked"), frozenset({"first", "second"})),
    **dict.fromkeys(("ambiguous.twins", "ambiguous.unsure"), frozenset({"name"})),
    **{f"distance.{key}": frozenset() for key in ("little", "foot_and_half", "metre_and_half")},
    **{f"hour.{hour}": frozenset() for hour in range(1, 13)},
    **dict.fromkeys(("clock.known", "clock.part"), frozenset({"distance", "hour"})),
    **dict.fromkeys(("clock.unknown", "clock.far", "clock.turn", "body.clock"), frozenset({"hour"})),
    **dict.fromkeys(("body.ahead", "body.left", "body.right", "body.level"), frozenset()),
    **dict.fromkeys(("body.above", "body.below"), frozenset({"distance"})),
    "body.place": frozenset({"side", "distance", "height"}),
    **dict.fromkeys(("where.looking", "where.seen"), frozenset({"name"})),
    **dict.fromkeys(("where.at", "where.no_hand", "where.nothing"), frozenset()),
    "where.from_hand": frozenset({"way"}),
    "where.known": frozenset({"names"}),
}

#: Keys with one text for each plural form of the language; ``{count}`` may be left out where one number has the form.
#: A number may have a text of its own beside them, where the noun changes it.
PLURALS = (
    *(f"distance.{key}" for key in ("inches", "feet", "centimetres", "metres", "fingers", "hands", "steps")),
    "where.products",
)

#: Every plural form there is (CLDR). A file may hold more of them than the language's own.
_FORMS = ("zero", "one", "two", "few", "many", "other")

#: Sections that replace texts where a person wants to hear less, or more.
VERBOSITIES = ("brief", "full")


class Phrases:
    """The texts of one language. ``say`` fills one in; ``distance`` words an amount.

    ``units`` are those that are usual where the language is spoken.
    """

    def __init__(self, raw: Mapping[str, Any], origin: str = "phrase file") -> None:
        """Check ``raw``, the nested mapping of a phrase file. Raises ShelfHelpError naming ``origin`` and key."""
        self.language = str(raw.get("language", ""))
        try:
            self._locale = Locale.parse(self.language)
        except (ValueError, TypeError, UnknownLocaleError) as error:
            raise ShelfHelpError(f"{origin}: language is {self.language!r}; give a code such as en or pt_BR") from error
        if raw.get("units") not in UNITS:
            raise ShelfHelpError(f"{origin}: units is {raw.get('units')!r}; it has to be one of {', '.join(UNITS)}")
        self.units: Units = raw["units"]
        self._texts = _flatten(raw)
        self._check(origin)
        self._versions: dict[str, Phrases] = {"normal": self}

    def _check(self, origin: str) -> None:
        forms = self._locale.plural_form.tags | {"other"}
        for key, fields in REQUIRED.items():
            _check_text(self._texts, key, fields, fields, origin)
        for key in PLURALS:
            for form in sorted(forms):
                _check_text(self._texts, f"{key}.{form}", frozenset(), frozenset({"count"}), origin)
        known = {*REQUIRED, "language", "units", *(f"{key}.{form}" for key in PLURALS for form in _FORMS)}
        for key in self._texts:
            section, _, phrase = key.partition(".")
            counted, _, number = key.rpartition(".")
            if section in VERBOSITIES and phrase in REQUIRED:
                fields = REQUIRED[phrase]
                _check_text(self._texts, key, fields - {"name"}, fields, origin)
            elif counted in PLURALS and number.isdigit():
                _check_text(self._texts, key, frozenset(), frozenset({"count"}), origin)
            elif key not in known:
                raise ShelfHelpError(f"{origin}: {key} is not a phrase that is ever spoken; remove or rename it")

    @classmethod
    def load(cls, language: str = "en", path: Path | None = None) -> Phrases:
        """The phrase file of ``language`` that is installed, or the one at ``path``. Raises ShelfHelpError."""
        file = path if path is not None else config_folder() / "phrases" / f"{language}.yaml"
        try:
            raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ShelfHelpError(f"{file} is missing; choose another language or give a phrase file") from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ShelfHelpError(f"{file} cannot be read as a phrase file: {' '.join(str(error).split())}") from error
        if not isinstance(raw, dict):
            raise ShelfHelpError(f"{file} is not a phrase file: it has to hold keys with texts")
        return cls(raw, str(file))

    @classmethod
    def of_voice(cls, language: str) -> Phrases:
        """The phrases for a voice of ``language``, such as pt-br; English where there are none."""
        spoken = language.lower().split("-")[0]
        installed = (config_folder() / "phrases" / f"{spoken}.yaml").is_file()
        return cls.load(spoken if installed else "en")

    def say(self, key: str, **values: object) -> str:
        """The text of ``key`` with its words filled in, beginning with a capital letter."""
        text = self.part(key, **values)
        return text[:1].upper() + text[1:]

    def part(self, key: str, **values: object) -> str:
        """The text of ``key`` with its words filled in, to be put into another text."""
        return self._texts[key].format(**values)

    def at(self, verbosity: str) -> Phrases:
        """The language as it is spoken to who wants to hear less (*brief*) or more (*full*); always the same object."""
        if verbosity not in self._versions:
            version = copy.copy(self)
            section = f"{verbosity}."
            replaced = {key.removeprefix(section): text for key, text in self._texts.items() if key.startswith(section)}
            version._texts = {**self._texts, **replaced}
            self._versions[verbosity] = version
        return self._versions[verbosity]

    def distance(self, amount: Amount) -> str:
        """An amount in words, to be put into another text."""
        key = f"distance.{amount.key}"
        return self._texts[key] if key in self._texts else self.counted(key, amount.count)

    def counted(self, key: str, count: int) -> str:
        """The text of a key of PLURALS for so many, to be put into another text."""
        form = self._locale.plural_form(count)
        text = self._texts.get(f"{key}.{count}") or self._texts[f"{key}.{form}"]
        return text.format(count=count)

    def hour(self, hour: int) -> str:
        """An hour of the clock's face, 1 to 12, in words, to be put into another text."""
        return self._texts[f"hour.{hour}"]


def _flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            texts.update(_flatten(value, f"{prefix}{key}."))
        else:
            texts[f"{prefix}{key}"] = value if isinstance(value, str) else ""
    return texts


def _check_text(
    texts: Mapping[str, str], key: str, needed: frozenset[str], allowed: frozenset[str], origin: str
) -> None:
    text = texts.get(key, "")
    if not text.strip():
        raise ShelfHelpError(f"{origin}: {key} is missing or empty; every phrase needs a text")
    try:
        found = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise ShelfHelpError(f"{origin}: {key} has an unmatched brace: {text!r}") from error
    for field in sorted(needed - found):
        raise ShelfHelpError(f"{origin}: {key} lacks {{{field}}}: {text!r}")
    for field in sorted(found - allowed):
        raise ShelfHelpError(f"{origin}: {key} has {{{field}}}, which is never filled in: {text!r}")
