"""The package, really installed: by pip from a wheel, and by colcon in a workspace."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = [
    "guidance_node",
    "hand_node",
    "haptics_node",
    "perception_node",
    "recorder_node",
    "simulation_node",
    "speech_node",
]
COMMANDS = ["shelfhelp", "shelfhelp-train", "shelfhelp-export", "shelfhelp-evaluate", *NODES]


def run(*command: str | Path, **options: object) -> str:
    """Run a command that has to succeed; its standard output."""
    answer = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert answer.returncode == 0, f"{command}\n{answer.stdout[-4000:]}\n{answer.stderr[-4000:]}"
    return str(answer.stdout)


def sources() -> list[str]:
    """The files a clone would hold, and new ones that are not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the package is unknown")
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def copy_sources(target: Path) -> Path:
    for name in sources():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_sources(tmp_path_factory.mktemp("source"))
    target = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", target, source)
    return next(target.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Models, templates and SQL lie beside the code and are easily forgotten."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {name for name in sources() if name.startswith(("shelfhelp_ros/", "shelfhelp_training/"))}
    assert {name for name in wanted if not name.endswith(".md")} <= inside


def test_a_pip_installation_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Commands go to bin, not to ROS's lib/shelfhelp, and the settings are found under the prefix."""
    options = ["--no-deps", "--no-index", "--quiet", "--no-warn-script-location"]
    run(sys.executable, "-m", "pip", "install", *options, "--ignore-installed", "--prefix", tmp_path, wheel)
    for name in COMMANDS:
        assert os.access(tmp_path / "bin" / name, os.X_OK), name
    assert not (tmp_path / "lib" / "shelfhelp").exists()

    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path), "platbase": str(tmp_path)}))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    assert run(tmp_path / "bin" / "shelfhelp", "--version", env=environment, cwd=tmp_path).startswith(
        "shelfhelp, version"
    )
    program = "import shelfhelp_ros.resources as r; print(r.config_folder(), r.launch_folder())"
    found = run(sys.executable, "-c", program, env=environment, cwd=tmp_path).split()
    assert found == [str(tmp_path / "share" / "shelfhelp" / name) for name in ("config", "launch")]


def workspace_command() -> list[str]:
    """The colcon line of the README."""
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("colcon build"):
            return shlex.split(line)
    raise AssertionError("the README does not say how to build in a workspace")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROS workspace with both packages, built by the README's own line."""
    if importlib.util.find_spec("colcon_core") is None or importlib.util.find_spec("rclpy") is None:
        pytest.skip("needs colcon and ROS 2")
    folder = tmp_path_factory.mktemp("workspace")
    copy_sources(folder / "src" / "shelfhelp")
    environment = runpy.run_path(str(ROOT / "scripts" / "build_interfaces.py"))["build_environment"]()
    cmake = ["--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}"]
    program, *arguments = workspace_command()
    run(sys.executable, "-m", program, *arguments, *cmake, cwd=folder, env=environment)
    return folder


def sourced(workspace: Path, command: str) -> str:
    """Run a line of shell with the workspace's setup.bash sourced."""
    inside = f"set -e; . {shlex.quote(str(workspace / 'install' / 'setup.bash'))}; {command}"
    return run("bash", "-c", inside, cwd=workspace)


@pytest.mark.timeout(1500)  # the first one builds the messages, half a minute on two idle cores
def test_a_workspace_holds_what_ros2_run_and_launch_look_for(workspace: Path) -> None:
    """ros2 finds executables in lib/shelfhelp and everything else by the ament index under share."""
    install = workspace / "install" / "shelfhelp"
    for name in COMMANDS:
        assert os.access(install / "lib" / "shelfhelp" / name, os.X_OK), name
    share, source = install / "share", workspace / "src" / "shelfhelp"
    assert (share / "ament_index" / "resource_index" / "packages" / "shelfhelp").is_file()
    for name in sources():
        if name.startswith(("launch/", "config/")) and not Path(name).name.startswith("."):
            assert (share / "shelfhelp" / name).read_bytes() == (source / name).read_bytes()
    assert (share / "shelfhelp" / "package.xml").is_file()
    for name in ("detector.onnx", "detector.json", "encoder.onnx", "encoder.json"):
        assert (share / "shelfhelp" / "models" / name).is_file(), name


@pytest.mark.timeout(1500)
def test_a_sourced_workspace_runs(workspace: Path) -> None:
    """Commands, settings, messages and package index all come from the workspace."""
    assert sourced(workspace, "install/shelfhelp/lib/shelfhelp/shelfhelp --version").startswith("shelfhelp, version")
    program = (
        "from ament_index_python import get_package_share_directory as share\n"
        "from shelfhelp_interfaces.srv import SetTarget\n"
        "from rclpy.type_support import check_for_type_support\n"
        "from shelfhelp_ros.resources import config_folder\n"
        "import shelfhelp_interfaces, shelfhelp_ros\n"
        "check_for_type_support(SetTarget)\n"
        "print(share('shelfhelp'), config_folder(), shelfhelp_ros.__file__, shelfhelp_interfaces.__file__)"
    )
    places = sourced(workspace, f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}").split()
    assert len(places) == 4
    assert all(Path(place).is_relative_to(workspace / "install") for place in places), places
