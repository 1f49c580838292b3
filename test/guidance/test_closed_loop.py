"""A hand that listens to the words alone is led to the product.

The person is a point: they hear a sentence to its end, wait, and move as people did in the ShelfHelp study, with a gain
and a spread of their own. Perception is late and noisy, and loses a frame now and then. No camera and no ROS.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from guide_driver import NAME, PHRASES, UP_HAND, product, sighting

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction, Urgency
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision
from shelfhelp_ros.simulation.hearing import movements_asked_for

STEP = 0.04


def understood(text: str) -> np.ndarray | None:
    """The movement, metres in the optical frame, that a person makes of a sentence; None when it asks for none."""
    asked = movements_asked_for(text)
    if not asked:
        return None
    move = np.zeros(3)
    for half in asked:
        move[half.axis] += half.sign * half.metres
    return move


@dataclass
class Listener:
    """Hears one sentence at a time, reacts, and moves along a straight line; who takes something feels for it."""

    seed: int
    hand: np.ndarray
    rate_wpm: float = 175.0
    speaks_until: float = -1.0
    heard: Instruction | None = None
    front: float = np.inf
    taking: bool = False
    taken: bool = False
    moves_at: float = np.inf
    goal: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.gain = self.random.lognormal(0.0, 0.2)
        self.reaction = self.random.uniform(0.2, 0.6)
        self.speed = self.random.uniform(0.25, 0.5)
        self.goal = self.hand.copy()

    def listen(self, instruction: Instruction, now: float) -> None:
        assert now >= self.speaks_until or instruction.urgency >= Urgency.HIGH, "two sentences at once"
        self.heard = instruction
        self.speaks_until = now + speech_seconds(instruction.text, self.rate_wpm) * self.random.uniform(0.85, 1.15)
        self.moves_at = self.speaks_until + self.reaction

    def live(self, now: float) -> bool:
        """Move for one step; whether the voice still sounds."""
        if self.heard is not None and now >= self.moves_at:
            move = understood(self.heard.text)
            self.taking = "take it" in self.heard.text.lower()
            if move is not None:
                self.goal = self.hand + move * self.gain * self.random.lognormal(0.0, 0.15)
            if self.taking:
                self.goal[2] = min(self.goal[2] + 0.2, self.front)
            self.heard = None
        way = self.goal - self.hand
        length = float(np.linalg.norm(way))
        if length > 0:
            self.hand = self.hand + way * min(1.0, self.speed * STEP / length)
        elif self.taking:
            self.taking, self.taken, self.goal = False, True, np.array(UP_HAND)
        return now < self.speaks_until


@dataclass
class Episode:
    """One search: the world, the perception with its delay, the guide, the voice's reports."""

    seed: int
    units: str = "imperial"
    depth: bool = True

    def run(self, limit: float = 90.0) -> Episode:
        random = np.random.default_rng(self.seed + 10_000)
        target = random.uniform((-0.25, -0.25, 0.5), (0.25, 0.25, 0.8))
        shelf = target
        self.listener = Listener(self.seed, random.uniform((-0.3, 0.0, 0.15), (0.3, 0.3, 0.4)), front=shelf[2] - 0.01)
        # Its frames come at random: gaps of half a second are no lost camera here.
        self.guide = Guide(GuidanceSettings(units=self.units, stale_after=1.0), PHRASES)
        self.said: list[tuple[float, Instruction, np.ndarray]] = []
        began_ns, now, sounds = 10**15, 0.0, False
        late: list[tuple[float, np.ndarray, np.ndarray, Decision, int]] = []
        self.offset = lambda: shelf - [0, 0, 0.03] - self.listener.hand
        self.miss = np.inf
        self.hear(self.guide.start(NAME, began_ns), now)
        while now < limit and self.guide.phase is not Phase.DONE:
            now += STEP
            now_ns = began_ns + int(now * 1e9)
            was, sounds = sounds, self.listener.live(now)
            if self.listener.taken and not np.isfinite(self.miss):
                self.miss = float(np.abs(self.offset()).max())
            if self.listener.taken:
                # The pack goes with the hand that took it.
                target = self.listener.hand - [0, 0.08, 0]
            if was != sounds:
                self.guide.on_speaking(sounds, now_ns)
            if random.random() < STEP / 0.125:
                verdict = Decision.FOUND if random.random() > 0.05 else Decision.LOST
                noise = random.normal(0, 0.006, (2, 3))
                late.append(
                    (
                        now + random.uniform(0.06, 0.18),
                        target + noise[0],
                        self.listener.hand + noise[1],
                        verdict,
                        now_ns,
                    )
                )
            for due, at, hand, verdict, stamp_ns in [frame for frame in late if frame[0] <= now]:
                late = [frame for frame in late if frame[0] != due]
                self.guide.on_hand(hand, np.eye(3) * 0.006**2, stamp_ns)
                seen = product(at, depth=self.depth) if verdict is Decision.FOUND else None
                self.hear(self.guide.on_sighting(sighting(stamp_ns, verdict, seen), now_ns), now)
            self.hear(self.guide.tick(now_ns), now)
        self.seconds = now
        return self

    def hear(self, instruction: Instruction | None, now: float) -> None:
        if instruction is not None:
            self.said.append((now, instruction, self.offset()))
            self.listener.listen(instruction, now)

    @property
    def directions(self) -> list[tuple[Instruction, np.ndarray]]:
        return [(instruction, offset) for _, instruction, offset in self.said if instruction.is_direction]


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return [Episode(seed).run() for seed in range(40)]


def test_every_hand_arrives(episodes):
    """Whatever the person's gain and the noise: done within a minute and a half, with the hand at the product."""
    assert [episode.seed for episode in episodes if episode.guide.phase is not Phase.DONE] == []
    assert max(episode.miss for episode in episodes) < 0.10


def test_few_instructions_are_enough(episodes):
    """Half the people need no more than six directions, nobody more than sixteen."""
    counts = [len(episode.directions) for episode in episodes]
    assert np.median(counts) <= 6
    assert max(counts) <= 16


def test_half_arrive_within_half_a_minute(episodes):
    """Time in the simulated world, speech at 175 words a minute included."""
    assert np.median([episode.seconds for episode in episodes]) <= 30


def test_never_the_wrong_way(episodes):
    """When it is said, the product really lies that way (but for the noise at its edge)."""
    for episode in episodes:
        turns = [i.text for i, _ in episode.directions if understood(i.text) is None]
        assert all(text.startswith(("Turn", "Point the camera")) for text in turns), turns
        assert len(turns) <= 2, "this camera stands still"
        for instruction, offset in episode.directions:
            move = understood(instruction.text)
            if move is None:
                continue
            axis = "xyz".index(instruction.axis)
            assert np.sign(move[axis]) == np.sign(offset[axis]) or abs(offset[axis]) < 0.02, instruction.text
            assert instruction.distance == pytest.approx(offset[axis], abs=0.12)


@pytest.mark.parametrize("seed", range(5))
def test_metric_words_lead_there_too(seed):
    """The same in centimetres."""
    episode = Episode(seed, units="metric").run()
    assert episode.guide.phase is Phase.DONE
    assert any("centimetre" in instruction.text for instruction, _ in episode.directions)


def test_without_depth_nobody_is_told_that_they_arrived():
    """Directions without distance, and no confirmation, since nobody knows how far the hand still is."""
    episode = Episode(1, depth=False).run(limit=30.0)
    assert episode.guide.phase is not Phase.DONE
    assert episode.directions
    assert all(np.isnan(instruction.distance) for instruction, _ in episode.directions)
