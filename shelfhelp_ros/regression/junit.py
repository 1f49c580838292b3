"""Checked replays as a JUnit file, which every continuous integration can show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.regression.expectations import Check

# What XML 1.0 cannot hold.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, suite: str, results: Mapping[str, tuple[float, Sequence[Check]]]) -> None:
    """Write a test case for each check; ``results`` holds the seconds and checks of each search by its name.

    Raises ShelfHelpError when the file cannot be written.
    """
    checks = [found for _, of_search in results.values() for found in of_search]
    failures = sum(not found.kept for found in checks)
    seconds = sum(taken for taken, _ in results.values())
    root = ElementTree.Element("testsuites")
    node = ElementTree.SubElement(
        root, "testsuite", name=_clean(suite), tests=str(len(checks)), failures=str(failures), time=f"{seconds:.3f}"
    )
    for search, (taken, of_search) in results.items():
        for found in of_search:
            share = f"{taken / len(of_search):.3f}"
            case = ElementTree.SubElement(
                node, "testcase", classname=_clean(search), name=_clean(found.expected), time=share
            )
            if not found.kept:
                ElementTree.SubElement(case, "failure", message=_clean(f"{found.expected}; seen: {found.seen}"))
    ElementTree.indent(root)
    try:
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror or error}") from error


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)
