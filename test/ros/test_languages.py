"""One choice of a language reaches the words and the voice."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from shelfhelp_ros.nodes.assistant import AssistOptions
from shelfhelp_ros.nodes.languages import voice_language
from shelfhelp_ros.resources import config_folder

ASSIST = config_folder() / "assist.yaml"


@pytest.fixture
def german(tmp_path: Path) -> Path:
    """A parameter file with German phrases, and nothing said of the voice."""
    path = tmp_path / "assist.yaml"
    path.write_text(
        ASSIST.read_text(encoding="utf-8").replace("    language: en", "    language: de"), encoding="utf-8"
    )
    return path


def test_the_voice_speaks_the_language_of_the_phrases(german: Path, tmp_path: Path) -> None:
    """Chosen on the command line, or in the file; a language that the file gives the voice stays."""
    assert voice_language(ASSIST) == ""
    assert voice_language(ASSIST, "fr") == "fr"
    assert voice_language(german) == "de"
    assert voice_language(german, "fr") == "fr"
    austrian = tmp_path / "austrian.yaml"
    austrian.write_text(
        "/**/guidance: {ros__parameters: {language: de}}\nspeech: {ros__parameters: {language: de-at}}\n"
    )
    assert voice_language(austrian) == ""


@pytest.mark.parametrize("content", [None, "", "[", "guidance: 3", "guidance: {ros__parameters: {language: 3}}"])
def test_a_file_that_says_nothing_leaves_the_voice_alone(tmp_path: Path, content: str | None) -> None:
    """Who reads the file for the nodes tells what is wrong with it."""
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_text(content)
    assert voice_language(path) == ""


def test_both_nodes_get_the_language(german: Path) -> None:
    """`--language` is one option for both; without it neither is told anything that the file does not say."""
    chosen = AssistOptions(language="de")
    assert "language:=de" in chosen.arguments("guidance")
    assert "language:=de" in chosen.arguments("speech")
    assert not [text for text in AssistOptions().arguments("speech") if text.startswith("language")]
    assert "language:=de" in AssistOptions(config=german).arguments("speech")
