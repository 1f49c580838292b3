"""The language of the phrases, for the voice that speaks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

#: The language that every voice speaks unless it is told another.
USUAL = "en"


def voice_language(config: Path, chosen: str = "") -> str:
    """The language to give the voice: the ``chosen`` one, or the one that the parameter file has for the phrases.

    Empty, so that the voice keeps its own: where the file names a language for the voice itself, where the phrases are
    English and nothing was chosen, and where the file cannot be read (its reader says why).
    """
    if chosen:
        return chosen
    try:
        parameters = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    language = _parameter(parameters, "guidance", "language")
    return "" if language == USUAL or _parameter(parameters, "speech", "language") else language


def _parameter(parameters: Any, node: str, name: str) -> str:
    """A text of one node, whatever namespace the file gives it; empty when it is not there."""
    sections = parameters.items() if isinstance(parameters, dict) else ()
    for key, section in sections:
        values = section.get("ros__parameters") if isinstance(section, dict) else None
        if str(key).split("/")[-1] == node and isinstance(values, dict) and isinstance(values.get(name), str):
            return str(values[name])
    return ""
