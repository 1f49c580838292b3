"""What a wristband with four motors does: one motor at a time, on the side to which the hand has to go.

*Pull*: the motor on the side of the product pulses, faster the nearer the hand is to being in line (pull and push are
compared by Günther et al., "TactileGlove", PETRA 2018). In line to both sides nothing pulses; the voice says how far to
reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from shelfhelp_ros.feedback.way import Heading, Way, rate
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.planner import WorstAxisFirst

#: Pulses a second far off and just out of line.
SLOWEST_HZ, FASTEST_HZ = 1.5, 8.0

#: An offset from which on the pulses are slowest: metres for a hand, degrees for a camera.
FAR_METRES, FAR_DEGREES = 0.6, 30.0

#: How long one pulse lasts, seconds: a small eccentric motor needs most of it to come up to speed.
PULSE_SECONDS = 0.06


class Motor(IntEnum):
    """The values of ``Haptic.msg``."""

    NONE = 0
    LEFT = 1
    RIGHT = 2
    UP = 3
    DOWN = 4


@dataclass(frozen=True)
class Pulse:
    """What the motors do until ``valid_until_ns``; mirrors ``Haptic.msg``.

    ``motor`` runs ``duty`` (0..1) of every period of ``rate_hz``; at 0 Hz it is one pulse until ``valid_until_ns``.
    ``stamp_ns`` and ``frame_id`` are those of the data that it rests on.
    """

    motor: Motor
    rate_hz: float
    duty: float
    valid_until_ns: int
    stamp_ns: int
    frame_id: str = ""


@dataclass(frozen=True)
class Step:
    """One motor for some seconds, as part of a pattern."""

    motor: Motor
    seconds: float


#: Twice round the wrist: the product is found.
ARRIVED = (Step(Motor.LEFT, 0.12), Step(Motor.UP, 0.12), Step(Motor.RIGHT, 0.12), Step(Motor.DOWN, 0.12)) * 2

#: A pause, then a tap on either side: stop was understood.
STOPPED = (Step(Motor.NONE, 0.2), Step(Motor.LEFT, 0.1), Step(Motor.NONE, 0.1), Step(Motor.RIGHT, 0.1))

_PATTERNS = {Phase.DONE: ARRIVED, Phase.STOPPED: STOPPED}


class Wristband:
    """Tells at any moment what the motors do: a pattern that was begun, else the pull of the way, else nothing.

    The pull ends with the data that it rests on, 300 ms after their stamp, and at once when the guide stops.
    """

    def __init__(self, way: Way) -> None:
        self.way = way
        self._axes = WorstAxisFirst(way.settings)
        self._pattern: tuple[Step, ...] = ()
        self._pattern_began_ns = 0

    def on_phase(self, phase: Phase, now_ns: int) -> None:
        """The guide is in ``phase``; arriving and stopping begin their patterns, a search ends them."""
        if phase is not self.way.phase:
            self._pattern, self._pattern_began_ns = _PATTERNS.get(phase, ()), now_ns
            self._axes.reset()
        self.way.on_phase(phase)

    def pulse(self, now_ns: int) -> Pulse:
        """What the motors do at ``now_ns``."""
        if self._pattern:
            return self._step(now_ns)
        heading = self.way.heading(now_ns)
        return silence(now_ns) if heading is None else self._pull(heading, now_ns)

    def _step(self, now_ns: int) -> Pulse:
        ends_ns = self._pattern_began_ns
        for step in self._pattern:
            ends_ns += round(step.seconds * 1e9)
            if self._pattern_began_ns <= now_ns < ends_ns:
                on = step.motor is not Motor.NONE
                return Pulse(step.motor, 0.0, float(on), ends_ns, now_ns)
        self._pattern = ()
        return silence(now_ns)

    def _pull(self, heading: Heading, now_ns: int) -> Pulse:
        offset, settings = heading.offset, self.way.settings
        move = self._axes.choose(offset)
        if move is None or move.axis == "z":
            return silence(now_ns)
        sides = {"x": (Motor.LEFT, Motor.RIGHT), "y": (Motor.UP, Motor.DOWN)}[move.axis]
        near, far = (
            (settings.side_tolerance, FAR_METRES)
            if offset.reference == "hand"
            else (settings.aim_tolerance, FAR_DEGREES)
        )
        hertz = rate(move.size, near, far, SLOWEST_HZ, FASTEST_HZ)
        motor = sides[1] if move.positive else sides[0]
        return Pulse(motor, hertz, PULSE_SECONDS * hertz, heading.valid_until_ns, heading.stamp_ns, heading.frame_id)


def silence(now_ns: int) -> Pulse:
    """No motor runs."""
    return Pulse(Motor.NONE, 0.0, 0.0, now_ns, now_ns)
