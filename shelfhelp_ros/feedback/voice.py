"""What every voice can do, and the voice that only writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from shelfhelp_ros.guidance.listener import speech_seconds


class VoiceFailure(Exception):
    """The voice cannot speak any more, with the reason in words."""


class Utterance(Protocol):
    """One text on its way out. ``wait`` and ``cut`` may be called from different threads."""

    def wait(self) -> bool:
        """Block until it has been spoken (True) or cut off (False). Raises VoiceFailure when the voice gave out."""

    def cut(self) -> None:
        """Silence it at once; when this returns nothing of it sounds any more."""


class Voice(Protocol):
    """Something that speaks. ``begin`` returns as soon as the text is on its way; one utterance at a time."""

    kind: str

    def begin(self, text: str) -> Utterance:
        """Start to speak. Raises VoiceFailure when the voice gave out."""

    def close(self) -> None: ...


class TextVoice:
    """Writes each text, and takes as long over it as a voice would."""

    kind = "text"

    def __init__(self, rate_wpm: int, write: Callable[[str], object]) -> None:
        self._rate_wpm = rate_wpm
        self._write = write

    def begin(self, text: str) -> Utterance:
        self._write(text)
        return _Silence(speech_seconds(text, self._rate_wpm))

    def close(self) -> None:
        pass


class _Silence:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._cut = threading.Event()

    def wait(self) -> bool:
        return not self._cut.wait(self._seconds)

    def cut(self) -> None:
        self._cut.set()
