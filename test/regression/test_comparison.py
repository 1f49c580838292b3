"""Two replays side by side: what changed is marked, and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shelfhelp_ros.cli.compare import command
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image

BEFORE = {
    "frames_worked_on": 20,
    "products_in_view": {"median": 8.0, "most": 9},
    "decisions": [{"seconds": 2.5, "decision": "found", "probability": 0.9}],
    "named": ["Oat drink"],
    "spoken": [{"seconds": 0.1, "phase": "search", "text": "Looking.", "age_ms": None}],
    "timeline": {
        "seconds": [0.2, 2.5],
        "decision": ["searching", "found"],
        "probability": [0.2, 0.9],
        "latency_ms": [90.0, None],
    },
    "latency_ms": {"p50": 90.0, "p95": 120.0},
}
AFTER = {**BEFORE, "decisions": [], "named": [], "latency_ms": None}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for name, summary in (("before", BEFORE), ("after", AFTER)):
        paths.append(str(tmp_path / f"{name}.json"))
        Path(paths[-1]).write_text(json.dumps(summary), encoding="utf-8")
    return paths


def test_what_changed_is_marked(files: list[str]) -> None:
    """The product that is no longer found stands out; what stayed does not."""
    lines = CliRunner().invoke(command, files, catch_exceptions=False).output.splitlines()
    assert "| first found, s | 2.5 | – | changed |" in lines
    assert "| frames worked on | 20 | 20 |  |" in lines


def test_as_json_and_as_a_picture(files: list[str], tmp_path: Path) -> None:
    """The figures for a program, and both runs drawn over time."""
    picture = tmp_path / "changes.png"
    done = CliRunner().invoke(command, [*files, "--json", "--picture", str(picture)], catch_exceptions=False)
    assert json.loads(done.output)["named"] == {"name": "named", "before": "Oat drink", "after": None}
    assert load_image(picture).std() > 10


def test_one_of_several_searches(files: list[str]) -> None:
    """A check prints a line for each search: the one that is named is compared, and without a name they are listed."""
    for path, summaries in zip(files, ((AFTER, BEFORE), (BEFORE, AFTER)), strict=True):
        lines = [json.dumps({"search": name, **of}) for name, of in zip(("oats", "rice"), summaries, strict=True)]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = CliRunner().invoke(command, [*files, "--search", "rice"], catch_exceptions=False)
    assert "| first found, s | 2.5 | – | changed |" in done.output.splitlines()
    for wrong in ([], ["--search", "tea"]):
        done = CliRunner().invoke(command, [*files, *wrong])
        assert isinstance(done.exception, ShelfHelpError)
        assert "holds these searches: oats, rice; name one with --search" in str(done.exception)


@pytest.mark.parametrize("text", ["", "[]", '{"frames": 3}', None])
def test_what_is_no_summary(files: list[str], text: str | None) -> None:
    """One sentence that says how to make one."""
    Path(files[1]).unlink() if text is None else Path(files[1]).write_text(text, encoding="utf-8")
    done = CliRunner().invoke(command, files)
    assert isinstance(done.exception, ShelfHelpError)
    assert "replay" in str(done.exception)
