"""The speech-dispatcher voice against a real server, whose module takes two seconds for each message."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.speech import open_speaker
from shelfhelp_ros.feedback.speech_dispatcher import dispatcher_rate
from shelfhelp_ros.feedback.voice import VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

needs_server = pytest.mark.skipif(
    shutil.which("speech-dispatcher") is None, reason="speech-dispatcher is not installed"
)

SERVER = """
LogLevel 3
DefaultVolume 70
DefaultRate -20
AudioOutputMethod "libao"
AddModule "paced" "sd_generic" "paced.conf"
DefaultModule paced
"""

MODULE = r"""
GenericExecuteSynth "echo rate=$RATE volume=$VOLUME text=\'$DATA\' >> {spoken} && sleep 2"
GenericRateAdd 0
GenericRateMultiply 100
GenericVolumeAdd 0
GenericVolumeMultiply 100
GenericLanguage "en" "en" "utf-8"
AddVoice "en" "MALE1" "en"
DefaultVoice "en"
"""


class Server:
    """A speech-dispatcher of its own in a folder of its own (the path of its socket has to be short)."""

    def __init__(self, folder: Path) -> None:
        self.socket, self.spoken = folder / "s.sock", folder / "spoken.txt"
        (folder / "config" / "modules").mkdir(parents=True)
        (folder / "config" / "speechd.conf").write_text(SERVER)
        (folder / "config" / "modules" / "paced.conf").write_text(MODULE.replace("{spoken}", str(self.spoken)))
        places = ["-S", self.socket, "-C", folder / "config", "-L", folder / "log", "-P", folder / "pid"]
        self.process = subprocess.Popen(
            ["speech-dispatcher", "-s", "-t", "0", "-c", "unix_socket", *map(str, places)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="spd") as folder:
        server = Server(Path(folder))
        deadline = time.monotonic() + 20
        while not server.ready():
            assert time.monotonic() < deadline, "speech-dispatcher did not start"
            time.sleep(0.05)
        monkeypatch.setenv("SPEECHD_ADDRESS", f"unix_socket:{server.socket}")
        yield server
        server.stop()


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
def test_a_server_that_dies_is_replaced(server, caplog):
    """In the middle of a sentence: it is written instead, with a warning."""
    written: list[str] = []
    speaker = open_speaker("auto", 600, write=written.append)
    speaker.say("Hold still.")
    time.sleep(0.3)
    server.stop()
    assert speaker.wait(10)
    assert speaker.kind == "text"
    assert written == ["Hold still."]
    assert "speech-dispatcher is gone" in caplog.text
    speaker.close()


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
