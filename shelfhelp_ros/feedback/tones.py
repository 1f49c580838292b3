"""The way as sound, beside or between the words: pitch for up and down, side for left and right, tempo for how near.

A beep is higher the higher the product is, an octave at the ends of the range, and 440 Hz level with the hand; it comes
from the side of the product (equal-power panning); and beeps follow each other faster the nearer the hand is.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.feedback.sound import PLAYER_SECONDS, Outlet, Samples
from shelfhelp_ros.feedback.voice import VoiceFailure
from shelfhelp_ros.feedback.way import Heading, rate
from shelfhelp_ros.guidance.planner import Offset

SAMPLE_HZ = 22_050
LEVEL_HZ = 440.0

#: Beeps a second far off and near.
SLOWEST_HZ, FASTEST_HZ = 2.0, 8.0

#: Offsets at which pitch and side are at their ends and the tempo is slowest, and at which the tempo is fastest.
FAR_METRES, FAR_DEGREES, NEAR_METRES, NEAR_DEGREES = 0.6, 30.0, 0.05, 3.0

_LOUDNESS = 0.3
_DUCKED = 0.12
_BEEP_SECONDS, _RAMP_SECONDS = 0.07, 0.008
_BLOCK_SECONDS = 0.02

#: A player that takes nothing for this long is closed while the thread still writes to it.
_STUCK_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tone:
    """``hertz`` of the beep, ``pan`` from -1 (left) to 1 (right), ``beats`` a second."""

    hertz: float
    pan: float
    beats: float


def tone(offset: Offset) -> Tone:
    """How an offset sounds: ``hertz = 440 · 2^(-y/far)``, ``pan = x/far``, clipped at ``far``; tempo as in `rate`."""
    by_hand = offset.reference == "hand"
    near, far = (NEAR_METRES, FAR_METRES) if by_hand else (NEAR_DEGREES, FAR_DEGREES)
    right, up = (min(1.0, max(-1.0, value / far)) for value in (offset.x, -offset.y))
    depth = offset.z if by_hand and math.isfinite(offset.z) else 0.0
    beats = rate(math.hypot(offset.x, offset.y, depth), near, far, SLOWEST_HZ, FASTEST_HZ)
    return Tone(LEVEL_HZ * 2.0**up, right, beats)


class Synthesiser:
    """Renders beeps block by block. Each beep keeps the tone it began with, and tells when the next one comes."""

    def __init__(self) -> None:
        self._beep: Tone | None = None
        self._age = 0.0
        self._wait = 0.0
        self._gain = 0.0

    def render(self, samples: int, wanted: Tone | None, loudness: float = 1.0) -> Samples:
        """The next samples (N, 2). Without a tone they fade to silence, as they do to another loudness (0..1)."""
        seconds = np.arange(samples) / SAMPLE_HZ
        sound = np.zeros((samples, 2))
        at = 0.0
        while at < samples / SAMPLE_HZ:
            if self._beep is None and self._wait <= 0.0 and wanted is not None:
                self._beep, self._age, self._wait = wanted, 0.0, 1.0 / wanted.beats
            left = samples / SAMPLE_HZ - at
            step = min(left, _BEEP_SECONDS - self._age if self._beep is not None else max(self._wait, 0.0) or left)
            if self._beep is not None:
                within = (seconds >= at) & (seconds < at + step)
                sound[within] += _wave(self._beep, self._age + seconds[within] - at)
                self._age += step
                if self._age >= _BEEP_SECONDS - 1e-9:
                    self._beep = None
            self._wait -= step
            at += step
        target = loudness if wanted is not None else 0.0
        gains = np.linspace(self._gain, target, samples, endpoint=False)
        self._gain = target
        return np.rint(sound * gains[:, None] * _LOUDNESS * 32767).astype(np.int16)


def _wave(beep: Tone, age: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Both channels (N, 2) of a beep at ``age`` seconds from its beginning, with raised-cosine ramps at both ends."""
    edge = np.minimum(age, _BEEP_SECONDS - age) / _RAMP_SECONDS
    envelope = 0.5 - 0.5 * np.cos(math.pi * np.clip(edge, 0.0, 1.0))
    angle = math.pi / 4 * (1.0 + beep.pan)
    mono = envelope * np.sin(2 * math.pi * beep.hertz * age)
    return np.asarray(mono[:, None] * np.array([math.cos(angle), math.sin(angle)]), np.float64)


class Tones:
    """Plays the way on a thread of its own until it is closed.

    ``heading(ahead_ns)`` tells the way as it will be known ``ahead_ns`` from now, which is when the sound that is made
    now has been heard; so nothing sounds that rests on data older than 300 ms. ``duck`` makes room for speech.
    """

    def __init__(self, outlet: Outlet, heading: Callable[[int], Heading | None]) -> None:
        self._outlet = outlet
        self._heading = heading
        self._synthesiser = Synthesiser()
        self._ducked = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tones", daemon=True)
        self._thread.start()

    def duck(self, ducked: bool) -> None:
        """Be quiet while somebody speaks."""
        self._ducked = ducked

    def close(self) -> None:
        self._closing.set()
        self._thread.join(_STUCK_SECONDS)
        self._outlet.close()
        self._thread.join()

    def _run(self) -> None:
        samples = round(_BLOCK_SECONDS * SAMPLE_HZ)
        ahead_ns = round((PLAYER_SECONDS + _BLOCK_SECONDS) * 1e9)
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            heading = self._heading(ahead_ns)
            wanted = None if heading is None else tone(heading.offset)
            try:
                self._outlet.write(self._synthesiser.render(samples, wanted, _DUCKED if self._ducked else 1.0))
            except VoiceFailure as failure:
                if not self._closing.is_set():
                    _log.warning("%s; there are no tones any more", failure)
                return
            # A machine that was busy for long goes on from now: blocks in a burst would sound late.
            due = max(due + _BLOCK_SECONDS, time.monotonic() - _BLOCK_SECONDS)
