"""A neural voice: hibari-tts, English, whose network comes with its package and runs on ONNX Runtime, offline."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.sound import PLAYER_SECONDS, Outlet, PlayerOutlet, Samples, WavOutlet, find_player
from shelfhelp_ros.feedback.voice import USUAL_WPM, Utterance, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

SAMPLE_HZ = 24_000

#: The speeds that the network was made for; at 1 it speaks about 175 words a minute.
_SLOWEST, _FASTEST = 0.5, 2.0

_BLOCK = SAMPLE_HZ // 50


class HibariVoice:
    """Speaks through the sound device or, with ``wav_folder``, into 0001.wav, 0002.wav, … there, at the pace of speech.

    It has one voice, and rates from 88 to 350 words a minute; others are the nearest of these. Raises ShelfHelpError
    when it is not installed or another voice or language is asked for, VoiceFailure for a missing sound device.
    """

    kind = "hibari"

    def __init__(self, settings: VoiceSettings, wav_folder: Path | None = None) -> None:
        try:
            module = importlib.import_module("hibari")
        except ImportError as error:
            raise ShelfHelpError("hibari is not installed; install it with: pip install hibari-tts") from error
        self.change(settings)
        self._synthesise = module.Hibari()
        self._wav_folder, self._count = wav_folder, 0
        self._player = [] if wav_folder else find_player(SAMPLE_HZ, 1)

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        self._count += 1
        settings = self._settings
        return _Neural(lambda: self._samples(text, settings), self._outlet)

    def change(self, settings: VoiceSettings) -> None:
        if settings.voice or (settings.language or "en").split("-")[0] != "en":
            raise ShelfHelpError("hibari has one voice, which speaks English; leave out voice and language")
        self._settings = settings

    def close(self) -> None:
        pass

    def _outlet(self) -> Outlet:
        if self._wav_folder is None:
            return PlayerOutlet(self._player)
        return WavOutlet(self._wav_folder / f"{self._count:04d}.wav", SAMPLE_HZ, 1)

    def _samples(self, text: str, settings: VoiceSettings) -> Samples:
        speed = min(_FASTEST, max(_SLOWEST, (settings.rate_wpm or USUAL_WPM) / USUAL_WPM))
        sound = np.asarray(self._synthesise(text, speed=speed), np.float64) * (settings.volume or 100) / 100
        return np.rint(np.clip(sound, -1.0, 1.0) * 32767).astype(np.int16)[:, None]


class _Neural:
    """One text: made, and then handed out at the pace at which it is heard."""

    def __init__(self, make: Callable[[], Samples], open_outlet: Callable[[], Outlet]) -> None:
        self._make, self._open_outlet = make, open_outlet
        self._outlet: Outlet | None = None
        self._lock = threading.Lock()
        self._cut = threading.Event()

    def wait(self) -> bool:
        samples = self._make()
        with self._lock:
            if self._cut.is_set():
                return False
            self._outlet = outlet = self._open_outlet()
        began = time.monotonic()
        try:
            for start in range(0, len(samples), _BLOCK):
                if self._cut.wait(max(0.0, began + start / SAMPLE_HZ - PLAYER_SECONDS - time.monotonic())):
                    return False
                with self._lock:
                    if self._cut.is_set():
                        return False
                    outlet.write(samples[start : start + _BLOCK])
            if self._cut.wait(max(0.0, began + len(samples) / SAMPLE_HZ - time.monotonic())):
                return False
            outlet.finish()
        except VoiceFailure:
            if not self._cut.is_set():
                raise
        return not self._cut.is_set()

    def cut(self) -> None:
        self._cut.set()
        with self._lock:
            if self._outlet is not None:
                self._outlet.close()
