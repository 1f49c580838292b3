"""The speaker: says one text at a time, on a voice that is there, and is silent at once when told to."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.espeak import EspeakVoice
from shelfhelp_ros.feedback.hibari import HibariVoice
from shelfhelp_ros.feedback.speech_dispatcher import DispatcherVoice
from shelfhelp_ros.feedback.voice import TextVoice, Utterance, Voice, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

Kind = Literal["auto", "speech-dispatcher", "espeak-ng", "hibari", "text"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    text: str
    valid: Callable[[], bool]
    urgency: Urgency


class Speaker:
    """Speaks on a thread of its own. Methods may be called from any thread and return at once.

    ``on_started(text)`` and ``on_finished(text, completed)`` are called on the speaker's thread; ``completed`` is False
    when the text was cut off. A voice that gives out is replaced by text, with one warning.
    """

    def __init__(
        self,
        voice: Voice,
        fallback: Voice,
        on_started: Callable[[str], object] | None = None,
        on_finished: Callable[[str, bool], object] | None = None,
    ) -> None:
        self._voice, self._fallback = voice, fallback
        self._on_started = on_started or (lambda text: None)
        self._on_finished = on_finished or (lambda text, completed: None)
        self._state = threading.Condition()
        self._waiting: _Waiting | None = None
        self._current: Utterance | None = None
        self._stops = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    @property
    def kind(self) -> str:
        """Which voice speaks: speech-dispatcher, espeak-ng or text."""
        return self._voice.kind

    @property
    def speaking(self) -> bool:
        """Whether something is being said, or about to be."""
        with self._state:
            return self._current is not None or self._waiting is not None

    def say(self, text: str, valid: Callable[[], bool] = lambda: True, urgency: Urgency = Urgency.NORMAL) -> None:
        """Say ``text`` when the voice is free, in place of a text that still waits, unless that one is more urgent.

        From Urgency.HIGH on it cuts off what is being said. ``valid`` is asked at the moment before the first word; the
        text is dropped when it answers False. A blank text is nothing to say.
        """
        with self._state:
            if self._closed:
                raise ShelfHelpError("the speaker is closed; open another one")
            if urgency >= Urgency.HIGH:
                self.stop()
            if text.strip() and (self._waiting is None or urgency >= self._waiting.urgency):
                self._waiting = _Waiting(text, valid, urgency)
                self._state.notify_all()

    def change(self, settings: VoiceSettings) -> None:
        """Speak like this from the next text on."""
        with self._state:
            self._voice.change(settings)
            self._fallback.change(settings)

    def stop(self) -> None:
        """Be silent at once and forget what waits. When this returns nothing sounds any more."""
        with self._state:
            self._waiting = None
            self._stops += 1
            if self._current is not None:
                with contextlib.suppress(VoiceFailure):
                    self._current.cut()

    def wait(self, seconds: float | None = None) -> bool:
        """Block until nothing is being said; False when that takes longer than ``seconds``."""
        with self._state:
            return self._state.wait_for(lambda: self._current is None and self._waiting is None, seconds)

    def close(self) -> None:
        """Be silent, for good."""
        self.stop()
        with self._state:
            self._closed = True
            self._state.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._voice.close()

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._waiting is not None or self._closed)
                if self._closed:
                    return
                started = self._begin_next()
            if started is not None:
                self._attend(*started)

    def _begin_next(self) -> tuple[str, Utterance, int] | None:
        """Begin the text that waits, with the lock held."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or not waiting.valid():
            self._state.notify_all()
            return None
        try:
            self._current = self._voice.begin(waiting.text, waiting.urgency)
        except VoiceFailure as failure:
            self._fall_back(failure)
            self._current = self._voice.begin(waiting.text, waiting.urgency)
        return waiting.text, self._current, self._stops

    def _attend(self, text: str, utterance: Utterance, stops: int) -> None:
        """Follow one utterance to its end; ``stops`` is how often the speaker was stopped before it."""
        self._on_started(text)
        completed = self._finish(text, utterance, stops)
        with self._state:
            self._current = None
        self._on_finished(text, completed)
        with self._state:
            self._state.notify_all()

    def _finish(self, text: str, utterance: Utterance, stops: int) -> bool:
        try:
            return utterance.wait()
        except VoiceFailure as failure:
            with self._state:
                self._fall_back(failure)
                if self._stops != stops:
                    return False
                self._current = utterance = self._voice.begin(text)
        return utterance.wait()

    def _fall_back(self, failure: VoiceFailure) -> None:
        _log.warning("%s; what would be spoken is written instead", failure)
        self._voice.close()
        self._voice = self._fallback


def open_speaker(
    kind: str = "auto",
    rate_wpm: int | None = None,
    voice: str = "",
    *,
    volume: int | None = None,
    language: str = "",
    wav_folder: Path | None = None,
    write: Callable[[str], object] = print,
    on_started: Callable[[str], object] | None = None,
    on_finished: Callable[[str, bool], object] | None = None,
) -> Speaker:
    """A speaker on the best voice there is: a running speech-dispatcher, else espeak-ng, else text only.

    ``rate_wpm`` is words a minute, 80 to 600; None leaves a person's own setting in speech-dispatcher and means 175
    elsewhere. ``voice`` is a voice's name in the chosen program, ``language`` a code such as en or en-gb, ``volume`` 1
    to 100 %; without them the program's, or the person's own, apply. ``wav_folder`` makes a program write WAV files
    instead of using the sound device. ``write`` is handed each text of the text voice. Without a sound device the text
    voice takes over, with one warning in the log. Raises ShelfHelpError for an unknown kind, rate or voice, and when
    the kind that was asked for is not there.
    """
    if kind not in get_args(Kind):
        raise ShelfHelpError(f"speech is {kind!r}; it has to be one of {', '.join(get_args(Kind))}")
    settings = VoiceSettings(rate_wpm, volume, voice, language)
    text = TextVoice(settings, write)
    chosen = _open_voice(kind, settings, wav_folder) or text
    return Speaker(chosen, text, on_started, on_finished)


def _open_voice(kind: str, settings: VoiceSettings, wav_folder: Path | None) -> Voice | None:
    """The voice of ``kind``; None means text."""
    if kind == "text":
        return None
    if kind == "speech-dispatcher" or (kind == "auto" and wav_folder is None):
        try:
            return DispatcherVoice(settings)
        except VoiceFailure as failure:
            if kind == "speech-dispatcher":
                raise ShelfHelpError(f"{failure}; start it with: speech-dispatcher --spawn") from failure
    try:
        return HibariVoice(settings, wav_folder) if kind == "hibari" else EspeakVoice(settings, wav_folder)
    except VoiceFailure as failure:
        _log.warning("%s; what would be spoken is written instead", failure)
    except ShelfHelpError as error:
        if kind in ("espeak-ng", "hibari") or settings.voice or settings.language:
            raise
        _log.warning("%s. What would be spoken is written instead", error)
    return None
