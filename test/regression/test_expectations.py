"""Expectations of a bag are read strictly, and each of them can fail."""

from __future__ import annotations

import copy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.regression.expectations import Search, beside, check, load_expectations
from shelfhelp_ros.regression.junit import write_junit

SUMMARY = {
    "frames": 30,
    "frames_worked_on": 20,
    "decisions": [
        {"seconds": 0.2, "decision": "searching", "probability": 0.1},
        {"seconds": 2.5, "decision": "found", "probability": 0.9},
        {"seconds": 4.0, "decision": "lost", "probability": 0.0},
    ],
    "named": ["Oat drink"],
    "spoken": [
        {"seconds": 0.1, "phase": "search", "text": "Looking for Oat drink.", "age_ms": None},
        {"seconds": 3.0, "phase": "aim", "text": "To the left.", "age_ms": 180.0},
        {"seconds": 3.9, "phase": "reach", "text": "Reach forward.", "age_ms": 250.0},
    ],
    "latency_ms": {"p50": 100.0, "p95": 220.0},
}


def written(folder: Path, text: str) -> Path:
    path = folder / "expectations.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_expectations(tmp_path: Path) -> None:
    """Targets and photos, which lie beside the file; a search without a name takes that of what it looks for."""
    text = """
    searches:
      - {target: Oat drink, found_within: 6, most_instructions: 6, never_names: [Rice drink], phases: [search, aim]}
      - {name: by photo, references: [photos/front.jpg], never_found: true, ends_as: absent}
    """
    first, second = load_expectations(written(tmp_path, text))
    assert (first.name, first.found_within, first.never_names) == ("Oat drink", 6, ("Rice drink",))
    assert (second.name, second.references, second.never_found) == ("by photo", (tmp_path / "photos/front.jpg",), True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no list of searches"),
        ("searches: []", "no list of searches"),
        ("searches: [3]", "search 1 is not a mapping"),
        ("searches: [{target: a, foundwithin: 3}]", "known are"),
        ("searches: [{target: a, found_within: soon}]", "found_within is 'soon'; it has to be a number"),
        ("searches: [{target: a, most_instructions: true}]", "it has to be a whole number"),
        ("searches: [{target: a, never_names: oats}]", "it has to be a list of texts"),
        ("searches: [{found_within: 3}]", "needs either a target or references"),
        ("searches: [{target: a, references: [b.jpg]}]", "needs either a target or references"),
        ("searches: [{target: a, found_within: 3, never_found: true}]", "at once"),
        ("searches: [{target: a, found_within: 3}, {target: a}]", "2 searches called 'a'; give each a name"),
        ("searches: [{references: [one/front.jpg]}, {references: [two/front.jpg]}]", "2 searches called 'front'"),
        ("searches: [", "cannot be read"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    """A misspelt key would else be an expectation that nobody checks."""
    with pytest.raises(ShelfHelpError, match=reason):
        load_expectations(written(tmp_path, text))


def test_a_missing_file_says_where_it_belongs(tmp_path: Path) -> None:
    """In the folder of a bag, or beside a bag that is one file."""
    assert beside(tmp_path) == tmp_path / "expectations.yaml"
    assert beside(tmp_path / "walk.mcap").name == "walk.expectations.yaml"
    with pytest.raises(ShelfHelpError, match="is missing; write what is expected"):
        load_expectations(beside(tmp_path))


KEPT = Search(
    "oats",
    "Oat drink",
    found_within=3.0,
    never_names=("Rice drink",),
    ends_as="lost",
    phases=("search", "reach"),
    most_instructions=3,
    latency_p95_ms=250.0,
)


def test_what_came_true() -> None:
    """A run that does all that is expected."""
    assert all(found.kept for found in check(KEPT, SUMMARY))


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"frames_worked_on": 0}, "frames are worked on"),
        ({"decisions": []}, "found within 3 s"),
        ({"named": ["Oat drink", "Rice drink"]}, "never names Rice drink"),
        ({"decisions": SUMMARY["decisions"][:2]}, "ends as lost"),
        ({"spoken": SUMMARY["spoken"][::-1]}, "phases search, reach"),
        ({"spoken": SUMMARY["spoken"] * 2}, "at most 3 instructions"),
        ({"latency_ms": {"p50": 100.0, "p95": 260.0}}, "p95 of the latency at most 250 ms"),
        ({"latency_ms": None}, "p95 of the latency at most 250 ms"),
        ({"spoken": [{**SUMMARY["spoken"][1], "age_ms": 310.0}]}, "no direction older than 300 ms"),
    ],
)
def test_what_did_not_come_true(change: dict, failing: str) -> None:
    """Each expectation fails by itself, and says what was seen."""
    summary = {**copy.deepcopy(SUMMARY), **change}
    failed = {found.expected for found in check(KEPT, summary) if not found.kept}
    assert failing in failed


def test_never_found() -> None:
    """A product that is not there must not be found."""
    assert [found.kept for found in check(Search("x", "x", never_found=True), SUMMARY)][1] is False


def test_junit(tmp_path: Path) -> None:
    """A test case for each check, its failure with what was seen, whatever the names hold."""
    checks = check(Search("x", "x", never_found=True), SUMMARY)
    write_junit(tmp_path / "junit.xml", "bag\x00 <1>", {"oats & \x1b more": (1.5, checks)})
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(checks)), "1")
    failures = [case.find("failure") for case in suite if case.find("failure") is not None]
    assert failures[0].get("message") == "never found; seen: found after 2.5 s"
    with pytest.raises(ShelfHelpError, match="cannot be written"):
        write_junit(tmp_path / "nowhere" / "junit.xml", "bag", {})
