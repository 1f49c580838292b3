"""`shelfhelp-train`, `shelfhelp-export`, `shelfhelp-evaluate`: what a user meets when something is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from small_runs import command

from shelfhelp_training.cli import (
    EVALUATIONS,
    EXPORTS,
    METHODS,
    MORE_STEPS,
    STEPS,
    TOOLS,
    LazyGroup,
    evaluate_main,
    export_main,
    load_class,
    train_main,
)

REPOSITORY = Path(__file__).resolve().parents[2]


# The command, and whether torch was loaded for it as the last line.
CODE = """
import sys
from shelfhelp_training.cli import {name}_main
try:
    {name}_main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize("name", ["train", "export", "evaluate"])
def test_help_names_the_subcommands_without_loading_torch(name: str) -> None:
    """Help is quick and complete."""
    finished = subprocess.run(
        [sys.executable, "-c", CODE.format(name=name), "--help"], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0
    expected = {"train": "detector", "export": "encoder", "evaluate": "retrieval"}[name]
    assert expected in finished.stdout
    assert finished.stdout.splitlines()[-1] == "False"


def test_an_unknown_method_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The methods there are are named."""
    assert command(train_main, "dectector", "fit") == 2
    said = capsys.readouterr().err
    assert "classifier" in said
    assert "detector" in said


def test_missing_photos_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training without the data says which folder is missing and which variable names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHELFHELP_DATA", str(tmp_path))
    config = REPOSITORY / "config" / "training" / "detector.yaml"
    assert command(train_main, "detector", "fit", "--config", str(config), "--model.pretrained=false") == 1
    said = capsys.readouterr().err
    assert "SHELFHELP_DATA" in said
    assert "Traceback" not in said


def test_missing_annotations_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluation of nothing names the file."""
    monkeypatch.chdir(tmp_path)
    assert command(evaluate_main, "detection", "--annotations", "nowhere.json") == 1
    said = capsys.readouterr().err
    assert "nowhere.json" in said
    assert "Traceback" not in said


# Every subcommand beside the methods, with the command it belongs to.
SUBCOMMANDS = [
    *[("shelfhelp-train", train_main, (tool,)) for tool in TOOLS],
    *[("shelfhelp-train", train_main, ("classifier", step)) for step in MORE_STEPS],
    *[("shelfhelp-export", export_main, (name,)) for name in EXPORTS],
    *[("shelfhelp-evaluate", evaluate_main, (name,)) for name in EVALUATIONS],
]


def explained(capsys: pytest.CaptureFixture[str], main: Callable[[], object], *arguments: str) -> str:
    """What ``--help`` prints; every configuration that it names is one we ship."""
    assert command(main, *arguments, "--help") == 0
    text = capsys.readouterr().out
    for name in re.findall(r"config/training/[\w/]+\.yaml", text):
        assert (REPOSITORY / name).is_file(), name
    return text


@pytest.mark.parametrize("method", METHODS)
def test_each_method_explains_itself(
    method: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it is for, its steps, its configurations, and examples that can be copied."""
    monkeypatch.chdir(REPOSITORY)
    text = explained(capsys, train_main, method)
    assert METHODS[method].text in text
    for step in (*STEPS, *MORE_STEPS, "--resume"):
        assert step in text
    example = re.search(rf"shelfhelp-train {method} fit --config (\S+)", text)
    assert example is not None
    assert (REPOSITORY / example[1]).is_file()


@pytest.mark.parametrize("method", METHODS)
def test_each_method_lists_its_settings(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what its class says of itself, of the data, and of the trainer."""
    text = explained(capsys, train_main, method, "fit")
    assert text.startswith(f"usage: shelfhelp-train {method} ")
    summary = (load_class(METHODS[method].module).__doc__ or "").split("\n")[0]
    if not METHODS[method].choice:
        assert summary[:60].rstrip(".") in text
    for flag in ("--model", "--data", "--trainer.max_epochs", "--seed_everything", "--resume", "--name"):
        assert re.search(rf"^  {flag}\b", text, re.MULTILINE), flag


@pytest.mark.parametrize(
    ("program", "main", "path"), SUBCOMMANDS, ids=[" ".join([name, *path]) for name, _, path in SUBCOMMANDS]
)
def test_each_subcommand_explains_itself(
    program: str, main: Callable[[], object], path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What it does, what each option means, and an example to copy, all of whose options there are."""
    group = {"shelfhelp-export": EXPORTS, "shelfhelp-evaluate": EVALUATIONS}.get(program, {**TOOLS, **MORE_STEPS})
    subcommand = LazyGroup(program, group, "").get_command(click.Context(click.Command(program)), path[-1])
    steps = list(subcommand.commands.values()) if isinstance(subcommand, click.Group) else [subcommand]
    for step in steps:
        assert step is not None
        of_group = isinstance(subcommand, click.Group)
        text = explained(capsys, main, *path, *([str(step.name)] if of_group else []))
        options = [option for option in step.params if isinstance(option, click.Option)]
        assert not [option.opts for option in options if not option.help]
        examples = text.partition("\n\n")[2].partition("Options:")[0]
        assert " ".join([program, *path]) in examples
        known = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
        of_this = [
            text for text in re.split(r"(?=shelfhelp-\w+ )", examples) if text.startswith(" ".join([program, *path]))
        ]
        if not step.context_settings.get("ignore_unknown_options"):
            assert set(re.findall(r"(?<=\s)--[\w-]+", " ".join(of_this))) <= known
