"""The set-up scripts: what they refuse, and what they mend."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["tset"], {}, "unknown purpose 'tset'"),
        ([], {"ROS_DISTRO": "foxy"}, "use Jazzy or Humble"),
        ([], {"ROS_DISTRO": "", "PYTHON": "/bin/false"}, "PYTHON=/bin/false is not a CPython"),
    ],
)
def test_setup_refuses_in_one_line_and_installs_nothing(
    arguments: list[str], variables: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    """Whoever started it with the wrong ROS or Python learns it before gigabytes are loaded."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    answer = subprocess.run(
        [tmp_path / "scripts" / "setup", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("setup: error: ")
    assert complaint in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert not (tmp_path / ".venv").exists()


def test_setup_sets_up_nothing_twice(tmp_path: Path) -> None:
    """make calls it before every command: when all is there it says so and changes no stamp."""
    stamps = ROOT / ".venv" / ".shelfhelp"
    if not (stamps / "packages-test").is_file() or not (stamps / "interfaces").is_file():
        pytest.skip("this environment was not made by scripts/setup test")
    before = {path.name: path.stat().st_mtime_ns for path in stamps.iterdir() if path.name != "packages-run"}
    answer = subprocess.run([ROOT / "scripts" / "setup", "test"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == "setup: ready: .venv/bin/shelfhelp\n"
    assert {path.name: path.stat().st_mtime_ns for path in stamps.iterdir() if path.name != "packages-run"} == before


def test_wheel_cmake_files_name_this_machines_headers(tmp_path: Path) -> None:
    """The wheels name folders of the container they were built in, for any Python they were built for."""
    mend = runpy.run_path(str(ROOT / "scripts" / "build_interfaces.py"))["mend_wheel_cmake_files"]
    file = tmp_path / "std_msgs" / "cmake" / "export_std_msgs__rosidl_generator_pyExport.cmake"
    file.parent.mkdir(parents=True)
    inside = "/opt/python/cp312-cp312/include/python3.12;/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy"
    file.write_text(f'DIRECTORIES "{inside}/_core/include"\n', encoding="utf-8")
    assert mend(tmp_path, "/headers", "/numpy/headers") == 1
    assert file.read_text(encoding="utf-8") == 'DIRECTORIES "/headers;/numpy/headers"\n'
    assert mend(tmp_path, "/headers", "/numpy/headers") == 0
