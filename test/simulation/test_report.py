"""The report is what a visitor reads: it must be whole, self-contained and true to the recording."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the report needs the extra `sim` (matplotlib)")
pytest.importorskip("jinja2", reason="the report needs the extra `sim` (jinja2)")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.recording import HandDistance, Recording, Utterance, Verdict
from shelfhelp_ros.simulation.report import write_report


def jpeg(value: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((120, 160, 3), value, np.uint8))[1])


@pytest.fixture
def recording() -> Recording:
    return Recording(
        product="Oat <Drink> Vanilla",
        packshot=np.full((60, 40, 3), 90, np.uint8),
        outcome="done",
        seconds=6.0,
        touched="Oat Drink Vanilla",
        utterances=[
            Utterance(0.5, "search", "Hold still, I am looking.", float("nan")),
            Utterance(2.0, "aim", "About a foot to the right.", 180.0),
            Utterance(5.0, "done", "That's it.", 120.0),
        ],
        verdicts=[Verdict(0.25 * k, "found", 0.9, 0.7, 100.0 + k) for k in range(21)],
        distances=[HandDistance(0.5 * k, 0.6 - 0.05 * k) for k in range(12)],
        video=[(0.2 * k, jpeg(10 * k)) for k in range(25)],
        facts={"seed": "7"},
    )


def test_page_is_self_contained_and_escaped(recording: Recording, tmp_path: Path) -> None:
    """One file that opens anywhere: nothing is loaded from outside, and names cannot inject markup."""
    page = write_report(recording, tmp_path).read_text(encoding="utf-8")
    assert "About a foot to the right." in page
    assert "Oat &lt;Drink&gt; Vanilla" in page
    assert "<Drink>" not in page
    assert page.count("data:image/svg+xml;base64,") == 4
    assert "data:video/webm;base64," in page
    assert 'src="http' not in page


def test_video_plays_for_as_long_as_the_episode(recording: Recording, tmp_path: Path) -> None:
    """The video decodes, and shows the caption bar beneath each frame."""
    write_report(recording, tmp_path)
    video = cv2.VideoCapture(str(tmp_path / "video.webm"))
    count = 0
    while True:
        ok, frame = video.read()
        if not ok:
            break
        count += 1
        assert frame.shape == (164, 160, 3)
    assert count == pytest.approx(68, abs=2)


def test_figures_follow_from_the_events(recording: Recording, tmp_path: Path) -> None:
    """Latency and rate are computed from the verdicts, and an instruction without an image has no age."""
    write_report(recording, tmp_path)
    episode = json.loads((tmp_path / "episode.json").read_text())
    assert episode["figures"]["target_updates_per_second"] == 4.0
    assert episode["figures"]["target_latency_p50_ms"] == 110.0
    assert episode["figures"]["instruction_age_max_ms"] == 180.0
    assert [said["phase"] for said in episode["transcript"]] == ["search", "aim", "done"]


def test_an_episode_without_frames_still_reports(tmp_path: Path) -> None:
    """A camera that never delivered is the case in which a report is needed most."""
    empty = Recording(product="Tea", packshot=np.zeros((8, 8, 3), np.uint8), outcome="timeout")
    page = write_report(empty, tmp_path).read_text(encoding="utf-8")
    assert "No annotated frames were recorded." in page


def test_unwritable_folder_is_one_clear_error(recording: Recording, tmp_path: Path) -> None:
    """A path below a file cannot become a folder; the message names it."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ShelfHelpError, match="cannot be written"):
        write_report(recording, blocked / "report")
