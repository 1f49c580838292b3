"""The speech-dispatcher voice against a real server, whose module takes two seconds for each message."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator

import pytest
from speech_server import Server, needs_server, speech_server

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.speech import open_speaker
from shelfhelp_ros.feedback.speech_dispatcher import dispatcher_rate
from shelfhelp_ros.feedback.voice import VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture
def server() -> Iterator[Server]:
    with speech_server() as server:
        yield server


@needs_server
def test_it_is_preferred_and_speaks_to_the_end(server):
    """A running server is used by itself; the end is the server's report, two seconds later."""
    finished: list[tuple[str, bool]] = []
    speaker = open_speaker("auto", 175, on_finished=lambda *report: finished.append(report))
    assert speaker.kind == "speech-dispatcher"
    began = time.monotonic()
    speaker.say("Reach forward.")
    assert speaker.wait(20)
    assert time.monotonic() - began >= 2
    speaker.close()
    assert finished == [("Reach forward.", True)]
    assert "Reach forward" in server.spoken.read_text()


@needs_server
def test_a_cut_is_at_once_and_the_next_text_is_heard(server):
    """The server is told to stop, and the connection is in step afterwards."""
    finished: list[bool] = []
    speaker = open_speaker("speech-dispatcher", on_finished=lambda text, completed: finished.append(completed))
    for text, urgency in (("One to be cut.", Urgency.NORMAL), ("Another to be cut.", Urgency.HIGH)):
        speaker.say(text, urgency=urgency)
        time.sleep(0.5)
        speaker.stop()
        assert speaker.wait(1)
    speaker.say(".A line that begins with a dot.")
    assert speaker.wait(20)
    speaker.close()
    assert finished == [False, False, True]
    assert "A line that begins with a dot" in server.spoken.read_text()


@needs_server
def test_a_server_that_dies_is_replaced(server, caplog, monkeypatch, tmp_path):
    """In the middle of a sentence, without a sound device: it is written instead, with one warning."""
    (tmp_path / "asound.conf").write_text("pcm.!default { type hw card 77 }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    written: list[str] = []
    speaker = open_speaker("auto", 600, write=written.append)
    speaker.say("Hold still.")
    time.sleep(0.3)
    server.stop()
    assert speaker.wait(10)
    assert speaker.kind == "text"
    assert written == ["Hold still."]
    assert "speech-dispatcher is gone" in caplog.text
    assert len(caplog.records) == 1
    speaker.close()


@needs_server
@needs_espeak
def test_another_voice_takes_over_with_what_was_set(server, caplog, tmp_path):
    """espeak-ng says again what was broken off; a voice that only the server had is not asked of it, then or later."""
    finished: list[tuple[str, bool]] = []
    speaker = open_speaker(
        "speech-dispatcher",
        300,
        "Paced+male1",
        wav_folder=tmp_path,
        on_finished=lambda *report: finished.append(report),
    )
    speaker.say("Hold still.")
    time.sleep(0.3)
    server.kill()
    assert speaker.wait(10)
    speaker.change(VoiceSettings(600, voice="MALE1"))
    speaker.say("Hold still.")
    assert speaker.wait(10)
    assert speaker.kind == "espeak-ng"
    speaker.close()
    assert finished == [("Hold still.", True)] * 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0001.wav", "0002.wav"]
    assert len(caplog.records) == 1
    assert "espeak-ng speaks instead" in caplog.text


@needs_server
def test_rate_and_volume_are_the_persons_own_until_they_are_set(server):
    """Nothing is sent for what was not asked for; what is set later holds from the next text on."""
    speaker = open_speaker("speech-dispatcher")
    for settings in (None, VoiceSettings(310, 80)):
        if settings is not None:
            speaker.change(settings)
        speaker.say("Up.", urgency=Urgency.HIGH)
        assert speaker.wait(20)
    speaker.close()
    own, ours = server.spoken.read_text().splitlines()
    assert own.startswith("rate=-20.00 volume=70.00 ")
    assert ours.startswith("rate=50.00 volume=60.00 ")


def test_asked_for_but_not_there(monkeypatch, tmp_path):
    """The message says how to start it."""
    monkeypatch.setenv("SPEECHD_ADDRESS", f"unix_socket:{tmp_path}/none")
    with pytest.raises(ShelfHelpError, match=r"does not run.*start it with"):
        open_speaker("speech-dispatcher")


def test_a_server_that_does_not_answer_is_no_server(monkeypatch, tmp_path):
    """Something listens there but says nothing: given up within seconds."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{folder}/s")
        deaf.listen()
        monkeypatch.setenv("SPEECHD_ADDRESS", f"unix_socket:{folder}/s")
        with pytest.raises(ShelfHelpError, match="does not answer"):
            open_speaker("speech-dispatcher")


@pytest.mark.parametrize(("wpm", "rate"), [(80, -100), (170, 0), (449, 100), (600, 100), (125, -50), (310, 50)])
def test_rates(wpm, rate):
    """Words a minute on the server's scale from -100 to 100."""
    assert dispatcher_rate(wpm) == rate
