"""The espeak-ng voice: one process for each utterance, so that killing it is silence."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
import wave
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.voice import USUAL_WPM, Utterance, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

PROGRAM = "espeak-ng"

_PROBE_SECONDS = 5.0


class EspeakVoice:
    """Speaks through the sound device or, with ``wav_folder``, into 0001.wav, 0002.wav, … there, at the pace of speech.

    Raises ShelfHelpError for a missing program or an unknown voice, VoiceFailure for a missing sound device.
    """

    kind = "espeak-ng"

    def __init__(self, settings: VoiceSettings, wav_folder: Path | None = None) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise ShelfHelpError(f"{PROGRAM} is not installed; install it with: apt-get install {PROGRAM}")
        self._program = program
        self._wav_folder = wav_folder
        self._count = 0
        self.change(settings)
        self._check_voice(settings.voice or settings.language)
        if wav_folder is None:
            self._check_device()
        else:
            wav_folder.mkdir(parents=True, exist_ok=True)

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        if self._wav_folder is None:
            return _Spoken(self._command, text)
        self._count += 1
        return _Written(self._command, text, self._wav_folder / f"{self._count:04d}.wav")

    def change(self, settings: VoiceSettings) -> None:
        self._command = [self._program, "-b", "1", "-s", str(settings.rate_wpm or USUAL_WPM)]
        if settings.volume is not None:
            self._command += ["-a", str(settings.volume)]
        if voice := settings.voice or settings.language:
            self._command += ["-v", voice]
        self._command.append("--stdin")

    def close(self) -> None:
        pass

    def _check_voice(self, voice: str) -> None:
        """Synthesis without sound: any failure here is the voice's."""
        probe = self._probe([*self._command, "-w", "/dev/null"], "a")
        if probe.returncode != 0:
            raise ShelfHelpError(
                f"{PROGRAM} has no voice {voice!r}; `{PROGRAM} --voices` lists those it has"
                if voice
                else f"{PROGRAM} does not work: {_first_error(probe.stderr) or f'exit status {probe.returncode}'}"
            )

    def _check_device(self) -> None:
        error = _first_error(self._probe(self._command, " ").stderr)
        if error:
            raise VoiceFailure(f"no sound device ({error})")

    def _probe(self, command: list[str], text: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                command, input=text.encode(), capture_output=True, timeout=_PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise VoiceFailure("the sound device does not answer") from error
        except OSError as error:
            raise ShelfHelpError(f"{PROGRAM} cannot be run: {error}") from error


class _Spoken:
    """One run of espeak-ng on the sound device."""

    def __init__(self, command: list[str], text: str) -> None:
        self._text = text
        self._cut = threading.Event()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to answer
        )

    def wait(self) -> bool:
        _, errors = self.process.communicate(self._text.encode())
        if self._cut.is_set():
            return False
        error = _first_error(errors)
        if error or self.process.returncode != 0:
            raise VoiceFailure(f"{PROGRAM} cannot speak ({error or f'exit status {self.process.returncode}'})")
        return True

    def cut(self) -> None:
        self._cut.set()
        self.process.kill()
        self.process.wait()


class _Written(_Spoken):
    """One run of espeak-ng into a WAV file, which then lasts as long as it would sound; a cut shortens the file."""

    def __init__(self, command: list[str], text: str, path: Path) -> None:
        self._path = path
        super().__init__([*command, "-w", str(path)], text)

    def wait(self) -> bool:
        if not super().wait():
            self._path.unlink(missing_ok=True)
            return False
        with wave.open(str(self._path)) as file:
            seconds = file.getnframes() / file.getframerate()
        began = time.monotonic()
        if not self._cut.wait(seconds):
            return True
        _shorten(self._path, time.monotonic() - began)
        return False


def _shorten(path: Path, seconds: float) -> None:
    """Keep the first ``seconds`` of a WAV file."""
    with wave.open(str(path)) as file:
        parameters = file.getparams()
        frames = file.readframes(int(seconds * file.getframerate()))
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes(frames)


def _first_error(output: bytes) -> str:
    """The text of espeak-ng's first ``error:`` line; it reports a missing device there, with exit status 0."""
    for line in output.decode(errors="replace").splitlines():
        if line.lower().startswith("error:"):
            return line.split(":", 1)[1].strip()
    return ""
