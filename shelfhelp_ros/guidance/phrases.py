"""The phrase file: every spoken text of a language, checked as a whole when it is loaded."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.distances import Amount
from shelfhelp_ros.resources import config_folder

_SIDES = ("left", "right", "up", "down")

#: Every key with the words in braces that it has to hold.
REQUIRED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("start", "done", "found_before", "absent"), frozenset({"name"})),
    **dict.fromkeys(("contact", "no_target", "stopped", "stale", "hand_lost", "waiting_for_camera"), frozenset()),
    **{f"turn.{side}.{size}": frozenset() for side in _SIDES for size in ("little", "plain", "far")},
    **{f"move.{way}.known": frozenset({"distance"}) for way in (*_SIDES, "forward", "back")},
    **{f"move.{way}.unknown": frozenset() for way in (*_SIDES, "forward", "back")},
    **dict.fromkeys(("ahead.known", "ahead.walk"), frozenset({"distance"})),
    "ahead.unknown": frozenset(),
    **{f"move.{way}.far": frozenset() for way in ("left", "right")},
    **{f"part.{way}": frozenset({"distance"}) for way in (*_SIDES, "forward", "back")},
    **dict.fromkeys(("pair.together", "pair.after"), frozenset({"first", "second"})),
    **{f"scan.{side}": frozenset() for side in _SIDES},
    **dict.fromkeys(("confirm.lift", "confirm.turn", "confirm.closer"), frozenset()),
    "confirm.untold": frozenset({"name"}),
    **{f"wrong.{side}": frozenset() for side in (*_SIDES, "unknown")},
    **dict.fromkeys(("blocked.hand", "blocked.obstacle", "blocked.reach"), frozenset()),
    **dict.fromkeys(("lost.first", "lost.again", "ambiguous.closer", "ambiguous.try"), frozenset()),
    **dict.fromkeys(("ambiguous.sides", "ambiguous.stacked"), frozenset({"first", "second"})),
    **dict.fromkeys(("ambiguous.twins", "ambiguous.unsure"), frozenset({"name"})),
    **{f"distance.{key}": frozenset() for key in ("little", "foot_and_half", "metre_and_half")},
}

#: Keys with one text for each plural form of the language; ``{count}`` may be left out where one number has the form.
PLURALS = ("distance.inches", "distance.feet", "distance.centimetres", "distance.metres")


class Phrases:
    """The texts of one language. ``say`` fills one in; ``distance`` words an amount."""

    def __init__(self, raw: Mapping[str, Any], origin: str = "phrase file") -> None:
        """Check ``raw``, the nested mapping of a phrase file. Raises ShelfHelpError naming ``origin`` and key."""
        self.language = str(raw.get("language", ""))
        try:
            self._locale = Locale.parse(self.language)
        except (ValueError, TypeError, UnknownLocaleError) as error:
            raise ShelfHelpError(f"{origin}: language is {self.language!r}; give a code such as en or pt_BR") from error
        self._texts = _flatten(raw)
        forms = self._locale.plural_form.tags | {"other"}
        for key, fields in REQUIRED.items():
            _check_text(self._texts, key, fields, fields, origin)
        for key in PLURALS:
            for form in sorted(forms):
                _check_text(self._texts, f"{key}.{form}", frozenset(), frozenset({"count"}), origin)
        known = {*REQUIRED, "language", *(f"{key}.{form}" for key in PLURALS for form in forms)}
        for key in self._texts:
            if key not in known:
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

    def say(self, key: str, **values: object) -> str:
        """The text of ``key`` with its words filled in, beginning with a capital letter."""
        text = self.part(key, **values)
        return text[:1].upper() + text[1:]

    def part(self, key: str, **values: object) -> str:
        """The text of ``key`` with its words filled in, to be put into another text."""
        return self._texts[key].format(**values)

    def distance(self, amount: Amount) -> str:
        """An amount in words, to be put into another text."""
        if f"distance.{amount.key}" in self._texts:
            return self._texts[f"distance.{amount.key}"]
        form = self._locale.plural_form(amount.count)
        return self._texts[f"distance.{amount.key}.{form}"].format(count=amount.count)


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
