"""The measurement of how long speech is heard after a stop: what it says where it cannot measure."""

from __future__ import annotations

from click.testing import CliRunner

from shelfhelp_ros.benchmark import speech_stop


def test_without_a_recorder_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = CliRunner().invoke(speech_stop.main, ["--count", "1"])
    assert ended.exit_code == 1
    assert ended.output == "Error: parec is not installed; install it with: apt-get install pulseaudio-utils\n"
