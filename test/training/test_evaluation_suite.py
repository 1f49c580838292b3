"""Published figures are measured again: a kept result is used only while nothing changed, a difference is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="SciPy is not installed")

from click.testing import CliRunner

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.commands.evaluate_all import command
from shelfhelp_training.evaluation.suite import (
    REPOSITORY,
    Runner,
    Stage,
    Suite,
    Table,
    cells,
    compare_card,
    compare_tables,
    differs,
    markdown,
    marks,
    published,
    read_suite,
    replaced,
)

CONFIG = REPOSITORY / "config" / "training" / "evaluate.yaml"
SUITE = Suite((), (), (), share=0.02, count=0.05)
TABLE = Table("recall", "retrieval", {"test_set": "Set", "queries": "queries", "recall": "recall"})
ROWS = [
    {"test_set": "shop", "queries": 132.0, "recall": 0.79551},
    {"test_set": "other", "queries": 40.0, "recall": 1.0},
]


def test_the_shipped_suite_names_what_there_is() -> None:
    """Tables are made of stages that exist, and renders that a stage names are described."""
    suite = read_suite(CONFIG)
    stages = {stage.name for stage in suite.stages}
    assert {table.stage for table in suite.tables} <= stages
    assert {path for stage in suite.stages for path in stage.renders} <= {render.path for render in suite.renders}
    for stage in suite.stages:
        for word in stage.command.split():
            if word.startswith(("config/", "test/")):
                assert (REPOSITORY / word).is_file(), word


def test_every_table_of_the_models_page_is_in_the_suite() -> None:
    """A table that is marked as measured but that no stage gives would never be checked."""
    page = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    names = {
        line[len("<!-- figures: ") : -len(" -->")] for line in page.splitlines() if line.startswith("<!-- figures: ")
    }
    assert names
    assert names <= {table.name for table in read_suite(CONFIG).tables}


def test_a_published_table_is_read_back() -> None:
    """What was published is what is compared; the text round it stays."""
    begin, end = marks("recall")
    page = f"before\n{begin}\n{end}\nafter\n"
    lines = cells(TABLE, ROWS)
    written = replaced(page, "recall", lines)
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "| shop | 132 | 0.796 |" in written
    assert published(written, "recall") == lines
    assert published(written, "precision") is None
    assert replaced(written, "precision", lines) == written


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("0.796", "0.78", False),
        ("0.796", "0.77", True),
        ("132", "133", False),
        ("132", "150", True),
        ("3", "4", False),
        ("–", "–", False),
        ("0.5", "–", True),
        ("shop", "other shop", True),
    ],
)
def test_what_counts_as_a_difference(was: str, now: str, expected: bool) -> None:
    """Another processor's rounding is none."""
    assert differs(was, now, SUITE) is expected


def test_differences_are_named() -> None:
    """Row, column and both values; a table of another shape is one difference."""
    lines = cells(TABLE, ROWS)
    worse = [[*line] for line in lines]
    worse[1][2] = "0.900"
    assert list(compare_tables("recall", lines, lines, SUITE)) == []
    assert list(compare_tables("recall", worse, lines, SUITE)) == [
        "recall: shop, recall: published 0.900, measured 0.796"
    ]
    assert len(list(compare_tables("recall", lines[:-1], lines, SUITE))) == 1
    card = [
        {"test_set": "shop", "metric": "recall", "value": 0.9},
        {"test_set": "old", "metric": "recall", "value": 0.1},
    ]
    assert list(compare_card(card, ROWS, SUITE)) == ["card, shop: recall: published 0.9, measured 0.79551"]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage whose command counts how often it ran."""
    script = tmp_path / "count.py"
    script.write_text(
        "import json, pathlib, sys\n"
        "note = pathlib.Path(sys.argv[1]) / 'runs'\n"
        "note.write_text(str(int(note.read_text()) + 1 if note.exists() else 1))\n"
        "print('noise'); print(json.dumps({'test_set': 'counted', 'runs': int(note.read_text())}))\n"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "photos.json").write_text("{}")
    return Stage("counting", f"python {script} {tmp_path}", ("photos.json",))


def test_results_are_kept_until_something_changes(stage: Stage, tmp_path: Path) -> None:
    """A second run is not made while models and data are the same."""
    runner = Runner(SUITE, tmp_path / "output", tmp_path / "models", tmp_path / "data")
    assert runner.run(stage).rows == ({"test_set": "counted", "runs": 1},)
    again = runner.run(stage)
    assert again.kept
    assert again.rows == ({"test_set": "counted", "runs": 1},)
    (tmp_path / "models" / "encoder.onnx").write_bytes(b"another")
    assert runner.run(stage).rows[0]["runs"] == 2
    (tmp_path / "data" / "photos.json").write_text("[]")
    assert runner.run(stage).rows[0]["runs"] == 3


def test_what_is_missing_is_said(stage: Stage, tmp_path: Path) -> None:
    """A stage without its data or its command is skipped with the reason; one that fails says so."""
    runner = Runner(SUITE, tmp_path / "output", tmp_path / "models", tmp_path / "nowhere")
    assert "SHELFHELP_DATA" in runner.run(stage).skipped
    assert "shelfhelp-evaluate lottery" in runner.run(Stage("x", "shelfhelp-evaluate lottery")).skipped
    (tmp_path / "bad.py").write_text("raise SystemExit(3)\n")
    assert "status 3" in runner.run(Stage("bad", f"python {tmp_path / 'bad.py'}")).failed
    (tmp_path / "mute.py").write_text("print('nothing')\n")
    assert "no figures" in runner.run(Stage("mute", f"python {tmp_path / 'mute.py'}")).failed


def test_the_command_fails_when_a_published_figure_differs(
    stage: Stage, tmp_path: Path, shipped_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that says something else than what was measured is an error; publishing mends it."""
    monkeypatch.setenv("SHELFHELP_DATA", str(tmp_path / "data"))
    suite = {
        "stages": [{"name": stage.name, "command": stage.command, "needs": list(stage.needs)}],
        "tables": [{"name": "runs", "stage": stage.name, "columns": {"test_set": "Set", "runs": "runs"}}],
        "renders": [],
        "tolerance": {"share": 0.02, "count": 0.05},
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    page = tmp_path / "page.md"
    begin, end = marks("runs")
    page.write_text(f"{begin}\n{markdown([['Set', 'runs'], ['counted', '9']])}\n{end}\n")
    arguments = ["--config", str(tmp_path / "suite.yaml"), "--page", str(page), "--output", str(tmp_path / "output")]
    arguments += ["--models", str(shipped_models)]
    different = CliRunner().invoke(command, arguments)
    assert isinstance(different.exception, ShelfHelpError)
    assert "DIFFERS runs: counted, runs: published 9, measured 1" in different.output
    assert CliRunner().invoke(command, [*arguments, "--publish"]).exit_code == 0
    assert "| counted | 1 |" in page.read_text()
    assert CliRunner().invoke(command, arguments).exit_code == 0
