"""Whose turn it is: the voice's, the person's, or free for the next instruction."""

from __future__ import annotations

import math

#: A speech reported as running for this much longer than reckoned counts as over: the report of its end is lost.
_OVERDUE = 5.0


class Stopwatch:
    """Seconds that a clock has gone forward. A clock that jumps back adds nothing, so no waiting time grows by it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last_ns: int | None = None

    def read(self, now_ns: int) -> float:
        if self._last_ns is not None and now_ns > self._last_ns:
            self.seconds += (now_ns - self._last_ns) / 1e9
        self._last_ns = now_ns
        return self.seconds


class Pacing:
    """Follows one instruction from its first word to the end of the movement it asks for.

    Times are seconds of a ``Stopwatch``. The end of speech is the reckoned one until the voice reports that it began or
    ended.
    """

    def __init__(self) -> None:
        self._reports = False
        self._on = False
        self._begun = False
        self._length = 0.0
        self._pause = 0.0
        self._speech_end = 0.0
        self._begins_by = math.inf

    def begin(self, length: float, pause: float, now: float, begins_within: float = math.inf) -> None:
        """An instruction goes out.

        It takes ``length`` to say, the person needs ``pause`` after the last word, and a voice that has not begun
        ``begins_within`` seconds from now has dropped it.
        """
        self._length, self._pause = length, pause
        self._begun = False
        self._speech_end = now + length
        self._begins_by = now + begins_within

    def cut(self, now: float) -> None:
        """Nothing of the instruction is, or will be, spoken."""
        self._length = self._pause = 0.0
        self._on = False
        self._speech_end = now
        self._begins_by = math.inf

    def voice(self, on: bool, now: float) -> None:
        """The voice reports that it began or ended. An end without a beginning belongs to an earlier speech."""
        if on:
            self._reports = self._begun = True
            self._speech_end = max(self._speech_end, now + self._length)
        elif self._on and self._begun:
            self._speech_end = now
        self._on = on

    def dropped(self, now: float) -> bool:
        """Whether a voice that reports when it speaks should have begun by now, and has not."""
        return self._reports and not self._begun and not self._on and now > self._begins_by

    def speech_over(self, now: float) -> bool:
        """Nothing is being said."""
        return now >= self._speech_end + (_OVERDUE if self._on else 0.0)

    def since_speech(self, now: float) -> float:
        """Seconds since the last word was said; less than 0 before."""
        return now - self._speech_end

    def free(self, now: float) -> bool:
        """Nothing is being said, and the person has had the time to act."""
        return self.speech_over(now) and now >= self._speech_end + self._pause
