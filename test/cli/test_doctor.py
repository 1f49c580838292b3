"""The doctor names what is broken, on installations that really are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shelfhelp_ros.cli.doctor import Finding, checks
from shelfhelp_ros.inference.models import default_model_folder


def ask(name: str, models: Path | None = None) -> Finding:
    """The answer of one check."""
    return next(check for check in checks(models) if check.name == name).run()


def run_doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shelfhelp_ros", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        cwd=Path(__file__).resolve().parents[2],
    )


def by_name(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {finding["name"]: finding for finding in report["findings"]}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the shipped models, to be damaged."""
    folder = tmp_path / "models"
    shutil.copytree(default_model_folder(), folder)
    return folder


def test_intact_models_are_ok(models: Path) -> None:
    """Otherwise the tests of damaged ones would prove nothing."""
    assert ask("Model: detector", models).status == "ok"
    assert ask("Model: encoder", models).status == "ok"


def test_a_missing_model_is_named_with_a_way_to_get_it(models: Path) -> None:
    """Without a detector nothing works, and the person has to learn which file is not there."""
    (models / "detector.onnx").unlink()
    finding = ask("Model: detector", models)
    assert finding.status == "missing"
    assert "detector.onnx is missing" in finding.detail
    assert finding.mend
    assert ask("Model: encoder", models).status == "ok"


def test_a_truncated_model_is_found_by_its_hash(models: Path) -> None:
    """An interrupted copy often still opens: only the hash tells."""
    encoder = models / "encoder.onnx"
    encoder.write_bytes(encoder.read_bytes()[:-1000])
    finding = ask("Model: encoder", models)
    assert finding.status == "missing"
    assert "SHA-256 differs" in finding.detail


def test_a_card_that_is_no_json_is_named(models: Path) -> None:
    """A damaged card must not end the report."""
    (models / "encoder.json").write_text("{", encoding="utf-8")
    finding = ask("Model: encoder", models)
    assert finding.status == "missing"
    assert "encoder.json" in finding.detail


def test_a_catalogue_where_nothing_can_be_written_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc takes no files, not even from root."""
    monkeypatch.setenv("SHELFHELP_CATALOGUE", "/proc/shelfhelp/catalogue.db")
    finding = ask("Catalogue")
    assert finding.status == "missing"
    assert "/proc/shelfhelp/catalogue.db cannot be written" in finding.detail


def test_a_catalogue_that_is_no_database_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor looks into the file and leaves it as it is."""
    file = tmp_path / "catalogue.db"
    file.write_bytes(b"shopping list" * 100)
    monkeypatch.setenv("SHELFHELP_CATALOGUE", str(file))
    finding = ask("Catalogue")
    assert finding.status == "missing"
    assert "not a usable catalogue" in finding.detail
    assert file.read_bytes() == b"shopping list" * 100


def test_a_catalogue_not_made_yet_is_ok_and_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking changes nothing."""
    monkeypatch.setenv("SHELFHELP_CATALOGUE", str(tmp_path / "new" / "catalogue.db"))
    assert ask("Catalogue").status == "ok"
    assert list(tmp_path.iterdir()) == []


def test_no_voice_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any speech program instructions are still published and written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SPEECHD_ADDRESS", f"unix_socket:{tmp_path / 'speechd.sock'}")
    finding = ask("Speech")
    assert finding.status == "optional"
    assert "espeak-ng" in finding.mend


def test_a_wrong_rmw_is_one_missing_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """rcl ends the process on a wrong RMW_IMPLEMENTATION: the doctor has to outlive that and say it once."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
    finding = ask("ROS middleware")
    assert finding.status == "missing"
    assert "rmw_of_nobody" in finding.detail
    assert "RMW_IMPLEMENTATION" in finding.mend
    assert ask("ROS 2").status == "ok"
    assert ask("ROS messages").status == "ok"


def test_ros_libraries_that_do_not_load_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python side of rclpy alone is no ROS."""
    pytest.importorskip("ros_wheels_bootstrapper", reason="a ROS installation finds its libraries another way")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    finding = ask("ROS 2")
    assert finding.status == "missing"
    assert ".so" in finding.detail
    assert ask("ROS messages").status == "missing"


def test_opengl_that_does_not_start_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the simulation draws."""
    pytest.importorskip("mujoco", reason="needs the extra sim")
    monkeypatch.setenv("MUJOCO_GL", "abacus")
    finding = ask("OpenGL rendering")
    assert finding.status == "optional"
    assert "abacus" in finding.detail


def test_the_command_fails_and_keeps_the_report_whole(tmp_path: Path) -> None:
    """Scripts read the JSON and the exit status; a broken part must not cut either short."""
    answer = run_doctor("--json", "--models", str(tmp_path))
    report = json.loads(answer.stdout)
    assert answer.returncode == 1
    assert report["ready"] is False
    findings = by_name(report)
    assert set(findings) == {check.name for check in checks(None)}
    assert findings["Model: detector"]["status"] == findings["Model: encoder"]["status"] == "missing"
    assert all(finding["mend"] for finding in findings.values() if finding["status"] != "ok")
    assert "Traceback" not in answer.stderr


def test_the_command_succeeds_on_this_machine(tmp_path: Path) -> None:
    """What make test has set up is what the assistant needs; lines for people end in one sentence."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    answer = run_doctor(SHELFHELP_CATALOGUE=str(tmp_path / "catalogue.db"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.rstrip().endswith("The assistant can run.")
    assert len(answer.stdout.splitlines()) >= len(list(checks(None)))
