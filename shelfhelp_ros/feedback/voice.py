"""What every voice can do, and the voice that only writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.instruction import Urgency
from shelfhelp_ros.guidance.listener import speech_seconds

SLOWEST_WPM, FASTEST_WPM, USUAL_WPM = 80, 600, 175


class VoiceFailure(Exception):
    """The voice cannot speak any more, with the reason in words."""


@dataclass(frozen=True)
class VoiceSettings:
    """How to speak: ``rate_wpm`` 80 to 600 words a minute, ``volume`` 1 to 100 %.

    None and empty texts leave what the program, or the person's own configuration of it, has. A number out of range
    raises ShelfHelpError.
    """

    rate_wpm: int | None = None
    volume: int | None = None
    voice: str = ""
    language: str = ""

    def __post_init__(self) -> None:
        if self.rate_wpm is not None and not SLOWEST_WPM <= self.rate_wpm <= FASTEST_WPM:
            raise ShelfHelpError(
                f"the speaking rate is {self.rate_wpm}; it has to be {SLOWEST_WPM} to {FASTEST_WPM} words a minute"
            )
        if self.volume is not None and not 1 <= self.volume <= 100:
            raise ShelfHelpError(f"the volume is {self.volume}; it has to be 1 to 100 %")
        for name in (self.voice, self.language):
            if not name.isprintable():
                raise ShelfHelpError(f"{name!r} is the name of no voice and no language")


class Utterance(Protocol):
    """One text on its way out. ``wait`` and ``cut`` may be called from different threads."""

    def wait(self) -> bool:
        """Block until it has been spoken (True) or cut off (False). Raises VoiceFailure when the voice gave out."""

    def cut(self) -> None:
        """Silence it at once; when this returns nothing of it sounds any more."""


class Voice(Protocol):
    """Something that speaks. ``begin`` returns as soon as the text is on its way; one utterance at a time."""

    kind: str

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        """Start to speak. Raises VoiceFailure when the voice gave out."""

    def change(self, settings: VoiceSettings) -> None:
        """Speak like this from the next utterance on. Not while ``begin`` runs."""

    def close(self) -> None: ...


class TextVoice:
    """Writes each text, and takes as long over it as a voice would."""

    kind = "text"

    def __init__(self, settings: VoiceSettings, write: Callable[[str], object]) -> None:
        self._settings = settings
        self._write = write

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        self._write(text)
        return _Silence(speech_seconds(text, self._settings.rate_wpm or USUAL_WPM))

    def change(self, settings: VoiceSettings) -> None:
        self._settings = settings

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
