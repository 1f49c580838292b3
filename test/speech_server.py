"""A real speech-dispatcher for tests, whose module takes two seconds for each message."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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

    def words(self) -> str:
        """What it has begun to say by now, a line for each message."""
        return self.spoken.read_text() if self.spoken.is_file() else ""

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def speech_server() -> Iterator[Server]:
    """A server that answers; SPEECHD_ADDRESS names it for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="spd") as folder, pytest.MonkeyPatch.context() as patch:
        server = Server(Path(folder))
        deadline = time.monotonic() + 20
        while not server.ready():
            assert time.monotonic() < deadline, "speech-dispatcher did not start"
            time.sleep(0.05)
        patch.setenv("SPEECHD_ADDRESS", f"unix_socket:{server.socket}")
        yield server
        server.stop()
