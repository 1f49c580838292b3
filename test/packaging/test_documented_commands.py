"""Commands, options, files and make targets that the documentation names are there."""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import setuptools

from shelfhelp_ros.cli.main import COMMANDS, cli
from shelfhelp_training.cli import EVALUATIONS, EXPORTS, METHODS, MORE_STEPS, STEPS, TOOLS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "docker" / "README.md"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

TRAINING = {"shelfhelp-train": TOOLS, "shelfhelp-export": EXPORTS, "shelfhelp-evaluate": EVALUATIONS}


def shell_lines(page: Path) -> Iterator[list[str]]:
    """The commands of a page's sh blocks, as words, continued lines joined and each part of a && chain by itself."""
    for block in re.findall(r"```(?:sh|bash)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                if words[:end]:
                    yield words[:end]
                words = words[end + 1 :]


def commands_named(name: str) -> list[tuple[str, list[str]]]:
    return [(page.name, words[1:]) for page in PAGES for words in shell_lines(page) if words[0].split("/")[-1] == name]


def test_the_documentation_shows_commands_at_all() -> None:
    """Otherwise the tests below would check nothing."""
    assert len(commands_named("shelfhelp")) > 5
    assert commands_named("make")


def subcommand(words: list[str]) -> tuple[click.Command, list[str]]:
    """The click command that the words lead to, through groups, and the words left for it."""
    found: click.Command = cli
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        assert inner is not None, f"shelfhelp has no command {words[0]}"
        found, words = inner, words[1:]
    return found, words


@pytest.mark.parametrize(("page", "words"), commands_named("shelfhelp"), ids=lambda value: str(value)[:60])
def test_documented_shelfhelp_commands_and_options_exist(page: str, words: list[str]) -> None:
    """A reader copies these lines."""
    command, rest = subcommand(words)
    options = {text for parameter in command.params for text in [*parameter.opts, *parameter.secondary_opts]}
    for word in rest:
        if word.startswith("--"):
            assert word.split("=")[0] in options | {"--help", "--version"}, f"{page}: shelfhelp {' '.join(words)}"


@pytest.mark.parametrize(("page", "words"), commands_named("make"), ids=lambda value: str(value)[:60])
def test_documented_make_targets_exist(page: str, words: list[str]) -> None:
    """A target that was renamed leaves its name behind in the text."""
    assert {word for word in words if "=" not in word and not word.startswith("-")} <= TARGETS, page


def test_every_command_that_help_lists_can_be_loaded() -> None:
    """The group loads a command's file only when it is called."""
    for name in COMMANDS:
        assert cli.get_command(click.Context(cli), name) is not None


def test_documented_training_commands_are_installed() -> None:
    """shelfhelp-train and its sisters come from setup.py."""
    caught: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", caught.update)
        runpy.run_path(str(ROOT / "setup.py"))
    installed = {script.split("=")[0].strip() for script in caught["entry_points"]["console_scripts"]}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"\bshelfhelp-(?:train|export|evaluate)\w*", text)) <= installed


def documented_training() -> list[tuple[str, list[str]]]:
    return [(page, [name, *words]) for name in TRAINING for page, words in commands_named(name)]


@pytest.mark.parametrize(("page", "words"), documented_training(), ids=lambda value: str(value)[:70])
def test_documented_methods_steps_and_configurations_exist(page: str, words: list[str]) -> None:
    """A method or step that was renamed, a configuration that was moved, an option that is no more."""
    program, name, *rest = words
    for word in rest:
        assert not word.startswith("config/") or (ROOT / word).is_file(), f"{page}: {word}"
    if program == "shelfhelp-train" and name in METHODS:
        # Their options are Lightning's.
        assert rest[0] in {*STEPS, *MORE_STEPS}, page
        return
    assert name in TRAINING[program], page
    command: click.Command = importlib.import_module(
        f"shelfhelp_training.commands.{TRAINING[program][name][0]}"
    ).command
    if isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    options = {text for parameter in command.params for text in [*parameter.opts, *parameter.secondary_opts]}
    assert {word for word in rest if word.startswith("--")} <= options | {"--help"}, page


def test_documented_launch_files_and_arguments_exist() -> None:
    """ros2 launch refuses an argument that was not declared."""
    for page, words in commands_named("ros2"):
        if words[:2] == ["launch", "shelfhelp"]:
            text = (ROOT / "launch" / words[2]).read_text(encoding="utf-8")
            for argument in (word.split(":=")[0] for word in words[3:] if ":=" in word):
                assert f'"{argument}"' in text, f"{page}: {words[2]} has no argument {argument}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """A dead link is found by the reader only after they needed it."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target
