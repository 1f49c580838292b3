"""What the cards of the shipped models say of their origin can be checked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
UNPUBLISHED = "before the published history"


def commits(value: Any) -> Iterator[str]:
    """Every ``commit`` of a record and of the records inside it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "commit":
                yield inner
            yield from commits(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from commits(inner)


@pytest.fixture(scope="module")
def history() -> Path:
    """The repository with all of its commits, or a skip."""
    asked = ["git", "-C", str(REPOSITORY), "rev-parse", "--is-shallow-repository"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if answer.returncode or answer.stdout.strip() != "false":
        pytest.skip("this is a source archive or a shallow clone: its commits cannot be looked up")
    return REPOSITORY


@pytest.mark.parametrize("name", ["detector"])
def test_commits_of_a_card_exist(history, name):
    """A card names commits that anyone can check out, or says that there are none."""
    card = json.loads((REPOSITORY / "shelfhelp_ros" / "models" / f"{name}.json").read_text(encoding="utf-8"))
    named = list(commits(card["training"]))
    assert named
    for commit in named:
        if commit != UNPUBLISHED:
            # A trailing + says that files had been changed since that commit.
            wanted = f"{commit.removesuffix('+')}^{{commit}}"
            found = subprocess.run(
                ["git", "-C", str(history), "cat-file", "-e", wanted], capture_output=True, check=False
            )
            assert found.returncode == 0, f"{name}.json names {commit}, which is no commit of this repository"
