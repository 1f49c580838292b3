"""Every published figure again: stages that are commands, their results kept, tables made of them, and a comparison.

A stage is one documented command that prints one JSON object a line. What it printed is kept with a fingerprint of the
models, the code, the settings and the data it rests on; it runs again only when one of them has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import EVALUATIONS

REPOSITORY = Path(__file__).resolve().parents[2]
Row = dict[str, Any]


@dataclass(frozen=True)
class Render:
    """A data set of rendered shelves that stages need, made by ``shelfhelp simulate --coco`` when it is missing."""

    path: str
    seed: int
    frames: int
    products: int
    size: str = "640x480"

    @property
    def command(self) -> str:
        settings = f"--seed {self.seed} --frames {self.frames} --products {self.products} --size {self.size}"
        return f"shelfhelp simulate --coco {self.path} {settings}"


@dataclass(frozen=True)
class Stage:
    """One command. ``needs``: files and folders below the data folder; ``renders``: paths of the renders it reads."""

    name: str
    command: str
    needs: tuple[str, ...] = ()
    renders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A published table: rows of one stage with ``where``'s values, and of them ``columns`` (field → heading)."""

    name: str
    stage: str
    columns: Mapping[str, str]
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """What `make evaluate` runs. ``share`` and ``count``: largest accepted differences, see `differs`."""

    stages: tuple[Stage, ...]
    tables: tuple[Table, ...]
    renders: tuple[Render, ...]
    share: float
    count: float


@dataclass(frozen=True)
class Outcome:
    """What came of a stage: its rows, or why it was skipped or failed. ``kept``: from an earlier run."""

    stage: Stage
    rows: tuple[Row, ...] = ()
    skipped: str = ""
    failed: str = ""
    seconds: float = 0.0
    kept: bool = False


def read_suite(path: Path) -> Suite:
    """The suite of a YAML file. Raises ShelfHelpError when it is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        stages = [_stage(**stage) for stage in raw["stages"]]
        tables = [Table(**table) for table in raw["tables"]]
        renders = [Render(**render) for render in raw["renders"]]
        return Suite(tuple(stages), tuple(tables), tuple(renders), **raw["tolerance"])
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ShelfHelpError(f"{path} is not an evaluation suite: {error}") from error


def _stage(name: str, command: str, needs: Sequence[str] = (), renders: Sequence[str] = ()) -> Stage:
    return Stage(name, command, tuple(needs), tuple(renders))


class Runner:
    """Runs stages and keeps their results in ``output``."""

    def __init__(self, suite: Suite, output: Path, models: Path, data: Path) -> None:
        self.suite, self.output, self.models, self.data = suite, output, models, data

    def run(self, stage: Stage) -> Outcome:
        """The stage's rows, kept or fresh."""
        words = shlex.split(stage.command)
        if reason := self._missing(stage, words):
            return Outcome(stage, skipped=reason)
        for render in self.suite.renders:
            if render.path in stage.renders and (reason := self._render(render)):
                return Outcome(stage, skipped=reason)
        note = self.output / f"{stage.name.replace(' ', '-')}.json"
        fingerprint = self._fingerprint(stage, words)
        if (kept := _read_note(note, fingerprint)) is not None:
            return Outcome(stage, tuple(kept["rows"]), seconds=kept["seconds"], kept=True)
        began = time.monotonic()
        finished = self._call(words)
        seconds = round(time.monotonic() - began, 1)
        if finished.returncode:
            return Outcome(stage, failed=f"`{stage.command}` ended with status {finished.returncode}", seconds=seconds)
        rows = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
        if not rows:
            return Outcome(stage, failed=f"`{stage.command}` printed no figures", seconds=seconds)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"fingerprint": fingerprint, "seconds": seconds, "rows": rows}, indent=1) + "\n")
        return Outcome(stage, tuple(rows), seconds=seconds)

    def _missing(self, stage: Stage, words: Sequence[str]) -> str:
        if words[0] == "shelfhelp-evaluate" and words[1] not in EVALUATIONS:
            return f"this version has no `shelfhelp-evaluate {words[1]}`"
        if words[0] == "python" and not (REPOSITORY / words[1]).is_file():
            return f"{words[1]} is only in a checkout"
        for need in stage.needs:
            if not (self.data / need).exists():
                return f"{self.data / need} is missing; SHELFHELP_DATA names the folder of photographs"
        return ""

    def _render(self, render: Render) -> str:
        """Make the data set unless it is there; why it cannot be made, or an empty text."""
        if Path(render.path, "annotations.json").is_file():
            return ""
        click.echo(f"  {render.command}", err=True)
        failed = self._call(shlex.split(render.command)).returncode
        return f"`{render.command}` failed; the extra 'sim' renders" if failed else ""

    def _call(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        entry = {
            "shelfhelp": "from shelfhelp_ros.cli.main import main; main()",
            "shelfhelp-evaluate": "from shelfhelp_training.cli import evaluate_main; evaluate_main()",
        }
        arguments = [word.replace("{data}", str(self.data)) for word in words[1:]]
        start = ["-c", entry[words[0]]] if words[0] in entry else [str(REPOSITORY / arguments.pop(0))]
        environment = {
            **os.environ,
            "SHELFHELP_MODELS": str(self.models.absolute()),
            "SHELFHELP_DATA": str(self.data),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
        }
        command = [sys.executable, *start, *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)

    def _fingerprint(self, stage: Stage, words: Sequence[str]) -> str:
        """A hash of all that the stage's figures rest on."""
        digest = hashlib.sha256(stage.command.encode())
        code = [p for folder in ("shelfhelp_ros", "shelfhelp_training") for p in (REPOSITORY / folder).rglob("*.py")]
        settings = [Path(word) for word in words[1:] if Path(word).is_file()]
        renders = [Path(path, "annotations.json") for path in stage.renders]
        data = [self.data / need for need in stage.needs if (self.data / need).is_file()]
        models = [p for p in self.models.glob("*") if p.suffix in (".onnx", ".json")]
        for path in sorted({*code, *settings, *renders, *data, *models}):
            digest.update(str(path.name).encode() + path.read_bytes())
        return digest.hexdigest()


def _read_note(path: Path, fingerprint: str) -> Row | None:
    try:
        note: Row = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return note if note.get("fingerprint") == fingerprint else None


def cells(table: Table, rows: Sequence[Row]) -> list[list[str]]:
    """The table as texts, headings first; rows that lack every figure are left out."""
    chosen = [row for row in rows if all(row.get(key) == value for key, value in table.where.items())]
    body = [[_text(row.get(key)) for key in table.columns] for row in chosen]
    return [list(table.columns.values()), *(line for line in body if any(line[1:]))]


def _text(value: Any) -> str:
    if value is None or value != value:
        return "–" if value is not None else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    whole = isinstance(value, int) or (value == int(value) and abs(value) > 1)
    return str(int(value)) if whole else f"{value:.3f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of lines of cells, the first of which are headings."""
    head, *body = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *body])


def marks(name: str) -> tuple[str, str]:
    """What stands before and after a published table in a page."""
    return f"<!-- figures: {name} -->", "<!-- end of figures -->"


def published(page: str, name: str) -> list[list[str]] | None:
    """The cells of a table that a page publishes under a name; None when it does not."""
    begin, end = marks(name)
    if begin not in page:
        return None
    block = page.split(begin, 1)[1].split(end, 1)[0]
    lines = [line.strip().strip("|") for line in block.strip().splitlines() if line.strip().startswith("|")]
    found = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [line for line in found if not all(set(cell) <= {"-", ":"} for cell in line)]


def replaced(page: str, name: str, lines: Sequence[Sequence[str]]) -> str:
    """The page with this table under the name; unchanged when it publishes none."""
    begin, end = marks(name)
    if begin not in page:
        return page
    before, rest = page.split(begin, 1)
    return f"{before}{begin}\n{markdown(lines)}\n{end}{rest.split(end, 1)[1]}"


def compare_tables(
    name: str, said: Sequence[Sequence[str]], measured: Sequence[Sequence[str]], suite: Suite
) -> Iterator[str]:
    """A line for each published cell that is not what was measured."""
    if [line[0] for line in said] != [line[0] for line in measured] or list(said[0]) != list(measured[0]):
        yield f"{name}: the published table has other rows or columns; publish it again"
        return
    for old, new in zip(said[1:], measured[1:], strict=True):
        for heading, was, now in zip(said[0], old, new, strict=True):
            if was != now and differs(was, now, suite):
                yield f"{name}: {old[0]}, {heading}: published {was}, measured {now}"


def compare_card(figures: Sequence[Mapping[str, Any]], rows: Sequence[Row], suite: Suite) -> Iterator[str]:
    """A line for each figure of a model's card that is not what was measured on the test set of the same name."""
    measured = {row["test_set"]: row for row in rows if "test_set" in row}
    for figure in figures:
        now = measured.get(figure["test_set"], {}).get(figure["metric"])
        if now is not None and differs(str(figure["value"]), str(now), suite):
            yield f"card, {figure['test_set']}: {figure['metric']}: published {figure['value']}, measured {now}"


def differs(was: str, now: str, suite: Suite) -> bool:
    """Whether two texts differ: numbers up to one by more than ``share``, larger ones by more than ``count`` of them
    and by more than one, all other texts at all."""
    try:
        first, second = float(was), float(now)
    except ValueError:
        return was != now
    if max(abs(first), abs(second)) <= 1:
        return abs(first - second) > suite.share
    return abs(first - second) > max(1.0, suite.count * abs(first))
