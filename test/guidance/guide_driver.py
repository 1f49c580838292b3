"""Drives a guide as the nodes do, with a clock of its own, and keeps what was said.

The planner is the one whose words are easily foretold; what another plans is tested with that one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, Position, TargetSighting, TrackedProduct

MS = 1_000_000
NAME = "Corn Flakes"
PHRASES = Phrases.load()
#: A product on the shelf and a hand at it; the same held up to the camera.
SHELF, AT_SHELF = (0.1, 0.05, 0.6), (0.1, 0.05, 0.57)
UP, UP_HAND = (0.0, 0.0, 0.35), (0.0, 0.1, 0.34)


def product(xyz, name=NAME, bearing=None, depth=True, size=None):
    """A tracked product at a point of the optical frame."""
    xyz = np.asarray(xyz, float)
    with np.errstate(all="ignore"):
        towards = xyz / np.linalg.norm(xyz) if bearing is None else np.asarray(bearing, float)
    position = Position(xyz, np.eye(3) * 1e-4) if depth else None
    return TrackedProduct(1, np.array([0, 0, 10, 10], np.float32), 0.9, name, name, 0.9, towards, position, size)


def sighting(stamp_ns, decision, seen=None, probability=0.95, runner_up=None, name=NAME, target_id="flakes", **more):
    return TargetSighting(int(stamp_ns), "camera", target_id, name, decision, probability, seen, runner_up, **more)


@dataclass
class Driver:
    guide: Guide = field(default_factory=lambda: Guide(GuidanceSettings(), PHRASES, WorstAxisFirst))
    now_ns: int = 1_000_000_000_000
    said: list[tuple[float, Instruction]] = field(default_factory=list)

    def __post_init__(self):
        self.began_ns = self.now_ns

    @property
    def seconds(self):
        return (self.now_ns - self.began_ns) / 1e9

    @property
    def phase(self):
        return self.guide.phase

    @property
    def texts(self):
        return [instruction.text for _, instruction in self.said]

    def keep(self, instruction):
        if instruction is not None:
            self.said.append((self.seconds, instruction))
        return instruction

    def start(self, name=NAME, target_id=""):
        return self.keep(self.guide.start(name, self.now_ns, target_id))

    def stop(self):
        return self.keep(self.guide.stop(self.now_ns))

    def repeat(self):
        return self.keep(self.guide.repeat(self.now_ns))

    def wait(self, seconds):
        """Time passes with the clock ticking at 20 Hz and nothing else happening."""
        for _ in range(max(1, round(seconds / 0.05))):
            self.now_ns += 50 * MS
            self.keep(self.guide.tick(self.now_ns))

    def see(self, decision=Decision.FOUND, at=None, hand=None, age_ms=60, **more):
        """One frame: the hand, then the sighting."""
        stamp_ns = self.now_ns - int(age_ms * MS)
        if hand is not None:
            self.guide.on_hand(hand, np.eye(3) * 1e-4, stamp_ns)
        seen = more.pop("seen", product(at) if at is not None else None)
        return self.keep(self.guide.on_sighting(sighting(stamp_ns, decision, seen, **more), self.now_ns))

    def take(self, seconds=4.0, at=UP, hand=UP_HAND, **more):
        """The hand rests at the product, and when it was asked to take it, holds it up for so long."""
        self.watch(2.5, at=SHELF, hand=AT_SHELF)
        self.watch(seconds, at=at, hand=hand, **more)

    def watch(self, seconds, decision=Decision.FOUND, at=None, hand=None, **more):
        """The same frame again and again, ten times a second."""
        for _ in range(max(1, round(seconds / 0.1))):
            self.wait(0.1)
            self.see(decision, at, hand, **more)
