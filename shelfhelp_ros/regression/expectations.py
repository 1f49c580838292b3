"""What is expected of a bag, in YAML beside it, and whether a replay's summary keeps to it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shelfhelp_ros.errors import ShelfHelpError

FILE_NAME = "expectations.yaml"


@dataclass(frozen=True)
class Search:
    """One search in a bag and what is to come of it; what is not given is not checked.

    ``target`` is a product of the catalogue, or ``references`` are photos of it. Times are seconds since the beginning
    of what is played. ``never_names``: products that are never called *found*. ``phases`` have to be spoken in this
    order, whatever comes between.
    """

    name: str
    target: str = ""
    references: tuple[Path, ...] = ()
    found_within: float | None = None
    never_found: bool = False
    never_names: tuple[str, ...] = ()
    ends_as: str = ""
    phases: tuple[str, ...] = ()
    most_instructions: int | None = None
    latency_p95_ms: float | None = None
    oldest_direction_ms: float = 300.0


@dataclass(frozen=True)
class Check:
    """One expectation: what was asked for, whether it came true, and what was seen instead."""

    expected: str
    kept: bool
    seen: str = ""


def beside(bag: Path) -> Path:
    """Where the expectations of a bag lie: in its folder, or for a single file next to it."""
    return bag / FILE_NAME if bag.is_dir() else bag.with_suffix(".expectations.yaml")


def load_expectations(path: Path) -> tuple[Search, ...]:
    """The searches of a file: a list under ``searches``. Raises ShelfHelpError that names the entry."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ShelfHelpError(
            f"{path} is missing; write what is expected of the bag there (docs/replay.md), or name another file"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ShelfHelpError(f"{path} cannot be read as expectations: {' '.join(str(error).split())}") from error
    entries = raw.get("searches") if isinstance(raw, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ShelfHelpError(f"{path} has no list of searches")
    searches = tuple(_search(entry, number, path) for number, entry in enumerate(entries, 1))
    for name, count in Counter(search.name for search in searches).items():
        if count > 1:
            raise ShelfHelpError(f"{path} has {count} searches called {name!r}; give each a name of its own")
    return searches


def _search(entry: Any, number: int, path: Path) -> Search:
    where = f"{path}: search {number}"
    if not isinstance(entry, Mapping):
        raise ShelfHelpError(f"{where} is not a mapping of keys and values")
    known = {field.name: field for field in dataclasses.fields(Search)}
    for key in entry:
        if key not in known:
            raise ShelfHelpError(f"{where} has {key!r}; known are {', '.join(known)}")
    values: dict[str, Any] = {key: _value(key, value, where) for key, value in entry.items()}
    references = tuple(path.parent / reference for reference in values.get("references", ()))
    if bool(values.get("target")) == bool(references):
        raise ShelfHelpError(f"{where} needs either a target or references")
    if values.get("never_found") and values.get("found_within") is not None:
        raise ShelfHelpError(f"{where} cannot ask for found_within and never_found at once")
    name = values.get("name") or values.get("target") or references[0].stem
    return Search(**{**values, "name": name, "references": references})


_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "target", "ends_as"), (str,)),
    **dict.fromkeys(("references", "never_names", "phases"), (list,)),
    **dict.fromkeys(("found_within", "latency_p95_ms", "oldest_direction_ms"), (int, float)),
    "most_instructions": (int,),
    "never_found": (bool,),
}


def _value(key: str, value: Any, where: str) -> Any:
    kinds = _KINDS[key]
    if not _fits(value, kinds):
        raise ShelfHelpError(f"{where}: {key} is {value!r}; it has to be {_IN_WORDS[kinds]}")
    return tuple(value) if kinds == (list,) else value


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, list):
        return list in kinds and all(isinstance(item, str) for item in value)
    return isinstance(value, kinds)


_IN_WORDS: Mapping[tuple[type, ...], str] = {
    (str,): "a text",
    (list,): "a list of texts",
    (int, float): "a number",
    (int,): "a whole number",
    (bool,): "true or false",
}


def check(search: Search, summary: Mapping[str, Any]) -> tuple[Check, ...]:
    """Hold the summary of a replay (`shelfhelp replay --json`) against what is expected of the search."""
    checks = [_worked(summary), *_found(search, summary), *_named(search, summary)]
    if search.ends_as:
        last = summary["decisions"][-1]["decision"] if summary["decisions"] else "nothing"
        checks.append(Check(f"ends as {search.ends_as}", last == search.ends_as, last))
    if search.phases:
        spoken = [said["phase"] for said in summary["spoken"]]
        checks.append(Check(f"phases {', '.join(search.phases)}", _in_order(search.phases, spoken), ", ".join(spoken)))
    if search.most_instructions is not None:
        count = len(summary["spoken"])
        checks.append(
            Check(f"at most {search.most_instructions} instructions", count <= search.most_instructions, str(count))
        )
    if search.latency_p95_ms is not None:
        late = summary["latency_ms"]["p95"] if summary["latency_ms"] else None
        kept = late is not None and late <= search.latency_p95_ms
        checks.append(Check(f"p95 of the latency at most {search.latency_p95_ms:g} ms", kept, f"{late} ms"))
    oldest = max((said["age_ms"] for said in summary["spoken"] if said["age_ms"] is not None), default=0.0)
    kept = oldest <= search.oldest_direction_ms
    checks.append(Check(f"no direction older than {search.oldest_direction_ms:g} ms", kept, f"{oldest:g} ms"))
    return tuple(checks)


def _worked(summary: Mapping[str, Any]) -> Check:
    return Check("frames are worked on", summary["frames_worked_on"] > 0, str(summary["frames_worked_on"]))


def _found(search: Search, summary: Mapping[str, Any]) -> list[Check]:
    found = next((entry["seconds"] for entry in summary["decisions"] if entry["decision"] == "found"), None)
    seen = "never found" if found is None else f"found after {found:.1f} s"
    if search.never_found:
        return [Check("never found", found is None, seen)]
    if search.found_within is None:
        return []
    return [Check(f"found within {search.found_within:g} s", found is not None and found <= search.found_within, seen)]


def _named(search: Search, summary: Mapping[str, Any]) -> list[Check]:
    named = set(summary["named"])
    return [
        Check(f"never names {product}", product not in named, f"named: {', '.join(sorted(named))}")
        for product in search.never_names
    ]


def _in_order(wanted: tuple[str, ...], spoken: list[str]) -> bool:
    rest = iter(spoken)
    return all(phase in rest for phase in wanted)
