"""Where sound goes: a player's process on the sound device, or a WAV file. 16-bit PCM either way.

The players come with the sound systems of Linux, so that no binding to one of them has to be installed: ``paplay``
(PulseAudio, PipeWire), else ``aplay`` (ALSA).
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import time
import wave
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.feedback.voice import VoiceFailure

Samples = npt.NDArray[np.int16]

#: What a player holds before it is heard, seconds, and the size of the pipe to it, bytes.
PLAYER_SECONDS = 0.06
_PIPE_BYTES = 4096

#: A player that finds no device has ended by then, seconds.
_TRIAL_SECONDS = 0.4


class Outlet(Protocol):
    """Takes samples (N, channels) in the order they are to be heard."""

    def write(self, samples: Samples) -> None:
        """Raises VoiceFailure when the sound can go nowhere any more."""

    def finish(self) -> None:
        """Let all that was written be heard, then close."""

    def close(self) -> None:
        """Be silent at once."""


class WavOutlet:
    """Writes a WAV file."""

    def __init__(self, path: Path, hertz: int, channels: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = wave.open(str(path), "wb")  # noqa: SIM115
        self._file.setnchannels(channels)
        self._file.setsampwidth(2)
        self._file.setframerate(hertz)

    def write(self, samples: Samples) -> None:
        self._file.writeframes(samples.astype("<i2").tobytes())

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()


class PlayerOutlet:
    """A player's process; killing it is silence."""

    def __init__(self, command: list[str]) -> None:
        # In a session of its own: Ctrl-C is ours to answer, or the player would be gone before it is closed.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def write(self, samples: Samples) -> None:
        try:
            self._pipe.write(samples.astype("<i2").tobytes())
            self._pipe.flush()
        except (OSError, ValueError) as error:
            raise VoiceFailure("the sound device is gone") from error

    def lives(self, seconds: float) -> bool:
        """Whether it still runs after ``seconds``."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._pipe.close()


def players(hertz: int, channels: int) -> list[list[str]]:
    """The commands that play raw 16-bit samples from standard input, of those that are installed, best first."""
    milliseconds, microseconds = round(PLAYER_SECONDS * 1e3), round(PLAYER_SECONDS * 1e6)
    commands = [
        [
            "paplay",
            "--raw",
            "--format=s16le",
            f"--rate={hertz}",
            f"--channels={channels}",
            f"--latency-msec={milliseconds}",
        ],
        [
            "aplay",
            "-q",
            "-t",
            "raw",
            "-f",
            "S16_LE",
            "-r",
            f"{hertz}",
            "-c",
            f"{channels}",
            f"--buffer-time={microseconds}",
        ],
    ]
    return [[program, *command[1:]] for command in commands if (program := shutil.which(command[0]))]


def open_player(hertz: int, channels: int) -> PlayerOutlet:
    """The first player that finds a sound device. Raises VoiceFailure when none does."""
    return PlayerOutlet(find_player(hertz, channels))


def find_player(hertz: int, channels: int) -> list[str]:
    """The command of the first player that finds a sound device. Raises VoiceFailure when none does."""
    for command in players(hertz, channels):
        outlet = PlayerOutlet(command)
        began = time.monotonic()
        with contextlib.suppress(VoiceFailure):
            while time.monotonic() < began + _TRIAL_SECONDS:
                outlet.write(np.zeros((hertz // 50, channels), np.int16))
                if not outlet.lives(0.02):
                    break
            else:
                outlet.close()
                return command
        outlet.close()
    raise VoiceFailure("no sound device (neither paplay nor aplay can play)")
