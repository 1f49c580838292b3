"""Settings: every one with a range and a description, and none out of it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.settings import GuidanceSettings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "guidance.md"
FIELDS = dataclasses.fields(GuidanceSettings)


@pytest.mark.parametrize("entry", FIELDS, ids=lambda entry: entry.name)
def test_every_setting_can_be_declared_as_a_parameter(entry):
    """A node declares its parameters from these facts."""
    assert entry.metadata["help"]
    named = entry.metadata.get("choices") or entry.metadata.get("pattern")
    assert named or entry.metadata["low"] <= entry.default <= entry.metadata["high"]


@pytest.mark.parametrize("entry", FIELDS, ids=lambda entry: entry.name)
def test_values_out_of_range_are_refused_by_name(entry):
    """Too low, too high, not a number, or of the wrong kind."""
    if "choices" in entry.metadata:
        wrong = ["furlongs", 3]
    elif "pattern" in entry.metadata:
        wrong = ["../me", "a/b", ".hidden", "a b", 3, None]
    else:
        wrong = [entry.metadata["low"] - 1, entry.metadata["high"] + 1, math.nan, math.inf, "1", None, True]
    for value in wrong:
        with pytest.raises(ShelfHelpError, match=entry.name):
            GuidanceSettings(**{entry.name: value})


@pytest.mark.parametrize("entry", FIELDS, ids=lambda entry: entry.name)
def test_the_docs_list_it_as_it_is(entry):
    """Default and meaning in the docs are the code's."""
    row = next(line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{entry.name}` |"))
    assert row.startswith(f"| `{entry.name}` | {entry.default} |")
    assert row.endswith(f"| {entry.metadata['help']} |")
