"""The speaker: says one text at a time, on a voice that is there, and is silent at once when told to."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.espeak import EspeakVoice
from shelfhelp_ros.feedback.hibari import HibariVoice
from shelfhelp_ros.feedback.speech_dispatcher import DispatcherVoice
from shelfhelp_ros.feedback.voice import TextVoice, Utterance, Voice, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency

Kind = Literal["auto", "speech-dispatcher", "espeak-ng", "hibari", "text"]

#: Opens a voice that takes over from one that gave out. Raises VoiceFailure or ShelfHelpError when there is none.
Substitute = Callable[[VoiceSettings], Voice]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    text: str
    valid: Callable[[], bool]
    urgency: Urgency


class Speaker:
    """Speaks on a thread of its own. Methods may be called from any thread and return at once.

    ``on_started(text)`` and ``on_finished(text, completed)`` are called on the speaker's thread; ``completed`` is False
    when the text was cut off. A voice that gives out is replaced by the first of ``substitutes`` that opens, with one
    warning; the last of them must always open. What it could not say to its end is said again, from the beginning.
    """

    def __init__(
        self,
        voice: Voice,
        settings: VoiceSettings,
        substitutes: Sequence[Substitute],
        on_started: Callable[[str], object] | None = None,
        on_finished: Callable[[str, bool], object] | None = None,
    ) -> None:
        self._voice, self._settings = voice, settings
        self._substitutes = list(substitutes)
        self._gave_out = False
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
            # A voice's name belongs to the program that was asked for it.
            self._settings = replace(settings, voice="") if self._gave_out else settings
            self._voice.change(self._settings)

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
        self._current = utterance = self._begin(waiting.text, waiting.urgency)
        return waiting.text, utterance, self._stops

    def _begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        while True:
            try:
                return self._voice.begin(text, urgency)
            except VoiceFailure as failure:
                self._fall_back(failure)

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
        while True:
            try:
                return utterance.wait()
            except VoiceFailure as failure:
                with self._state:
                    self._fall_back(failure)
                    if self._stops != stops:
                        return False
                    self._current = utterance = self._begin(text)

    def _fall_back(self, failure: VoiceFailure) -> None:
        """Take the next voice, with the lock held."""
        self._voice.close()
        self._gave_out, self._settings = True, replace(self._settings, voice="")
        reasons = [str(failure)]
        while True:
            try:
                self._voice = self._substitutes.pop(0)(self._settings)
            except (VoiceFailure, ShelfHelpError) as error:
                reasons.append(str(error))
            else:
                _log.warning("%s; %s", "; ".join(reasons), _instead(self._voice))
                return


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
    instead of using the sound device. ``write`` is handed each text of the text voice. A voice that gives out is
    replaced by espeak-ng, and where that cannot speak, as without a sound device, by text, with one warning in the log.
    Raises ShelfHelpError for an unknown kind, rate or voice, and when the kind that was asked for is not there.
    """
    if kind not in get_args(Kind):
        raise ShelfHelpError(f"speech is {kind!r}; it has to be one of {', '.join(get_args(Kind))}")
    settings = VoiceSettings(rate_wpm, volume, voice, language)
    substitutes: list[Substitute] = [lambda settings: TextVoice(settings, write)]
    chosen = _open_voice(kind, settings, wav_folder) or TextVoice(settings, write)
    if chosen.kind != EspeakVoice.kind:
        substitutes.insert(0, lambda settings: EspeakVoice(settings, wav_folder))
    return Speaker(chosen, settings, substitutes, on_started, on_finished)


def _instead(voice: Voice) -> str:
    written = voice.kind == TextVoice.kind
    return "what would be spoken is written instead" if written else f"{voice.kind} speaks instead"


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
