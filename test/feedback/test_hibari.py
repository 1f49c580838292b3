"""The neural voice, where it is installed: heard by length and energy, cut off at once."""

from __future__ import annotations

import time
import wave
from pathlib import Path

import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.speech import open_speaker

TEXT = "Two products look alike. Hold still while I compare them."


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")


def heard(path: Path) -> tuple[float, float]:
    """Seconds, and root mean square of full scale."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        return len(samples) / file.getframerate(), float(np.sqrt(np.mean(samples**2)))


def test_it_speaks_at_the_rate_and_volume_that_are_asked_for(tmp_path):
    """Twice the rate is about half the time; half the volume half the amplitude."""
    found = {}
    for rate, volume in ((175, 100), (350, 50)):
        speaker = open_speaker("hibari", rate, volume=volume, wav_folder=tmp_path / str(rate))
        assert speaker.kind == "hibari"
        speaker.say(TEXT)
        assert speaker.wait(30)
        speaker.close()
        found[rate] = heard(tmp_path / str(rate) / "0001.wav")
    assert found[175][0] == pytest.approx(len(TEXT.split()) / 175 * 60, rel=0.35)
    assert found[350][0] == pytest.approx(0.55 * found[175][0], rel=0.2)
    assert found[175][1] > 0.02
    assert found[350][1] == pytest.approx(0.5 * found[175][1], rel=0.3)


def test_a_cut_ends_it(tmp_path):
    """The file holds what was heard until the stop, and the next text is spoken as ever."""
    completed: list[bool] = []
    speaker = open_speaker("hibari", 175, wav_folder=tmp_path, on_finished=lambda text, whole: completed.append(whole))
    speaker.say(TEXT * 3)
    deadline = time.monotonic() + 30
    while not (tmp_path / "0001.wav").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    speaker.stop()
    assert speaker.wait(10)
    speaker.say("Up.")
    assert speaker.wait(30)
    speaker.close()
    assert completed == [False, True]
    assert heard(tmp_path / "0001.wav")[0] < 5.0
    assert heard(tmp_path / "0002.wav")[1] > 0.01


def test_another_language_is_refused(tmp_path):
    """It speaks English only, and says so."""
    with pytest.raises(ShelfHelpError, match="English"):
        open_speaker("hibari", language="de", wav_folder=tmp_path)
