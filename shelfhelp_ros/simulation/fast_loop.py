"""One search without pictures: the real guide, a clock of its own, measured perception and a person who listens.

Nothing is rendered: see ``fast_perception`` for what perception says. A hand is seen ten times a second, 80 ms late and
with an error of 1 cm, which is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction, Urgency
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Planner
from shelfhelp_ros.guidance.settings import FRESH_NS, GuidanceSettings
from shelfhelp_ros.sightings import TargetSighting
from shelfhelp_ros.simulation.fast_perception import NAME, Perception
from shelfhelp_ros.simulation.hearing import Gesture, movements_asked_for
from shelfhelp_ros.simulation.listeners import Hand, Person, rotation
from shelfhelp_ros.simulation.perception_noise import PerceptionNoise
from shelfhelp_ros.simulation.racks import HALF_VIEW, WANTED, Scene, Vector
from shelfhelp_ros.simulation.shopper import turn_asked_for

TICK = 0.05
START_NS = 10**15
LIMIT = 90.0
#: Seconds that it takes to say what is said first, and how it begins.
YES, THATS_IT = 0.6, "That's it"
HAND_PERIOD, HAND_LATENCY, HAND_ERROR, HAND_HIDDEN = 0.1, 0.08, 0.01, 1.5
#: Where a hand is held that is to be shown, that shows a pack, and that shows it otherwise, in the optical frame.
SHOWN = {
    Gesture.SHOW_HAND: np.array([0.0, 0.05, 0.4]),
    Gesture.TAKE: np.array([0.0, 0.1, 0.42]),
    Gesture.CLOSER: np.array([0.0, 0.09, 0.3]),
    Gesture.AT_TOP: np.array([0.0, -0.06, 0.36]),
}
VOICE_DELAY = 0.03
TURN_SPEED, TURN_LIMIT = 25.0, 45.0


@dataclass(frozen=True)
class Outcome:
    """What came of one search. ``success``: the wanted product is in the hand when "That's it" is said, or it is not
    there and the person was told so. ``instructions`` are sentences after the opening one; ``seconds`` run to the end
    of those words. ``wrong_item``: it was said of another product. ``stale`` counts directions that began on data older
    than 300 ms, ``overlaps`` those that began while another was spoken, ``neighbours`` touches of other products on the
    way, ``put_back`` other products that were taken and found out.
    """

    outcome: str
    success: bool
    cause: str
    seconds: float
    instructions: int
    wrong_item: bool
    stale: int
    overlaps: int
    neighbours: int
    put_back: int
    path: float
    straight: float
    said: tuple[tuple[float, str], ...] = ()


@dataclass
class _Voice:
    """The sentence that is being said."""

    begins: float = -1.0
    ends: float = -1.0
    sounding: bool = False
    instruction: Instruction | None = None


@dataclass
class _Camera:
    """Where the camera is and looks: sways, and turns when it is asked to."""

    turn: Vector
    goal: Vector
    sway: float
    waves: Vector
    time: float = 0.0
    rotation: Vector = field(default_factory=lambda: np.eye(3))
    position: Vector = field(default_factory=lambda: np.zeros(3))

    def look(self, now: float) -> None:
        """Take the pose of the moment."""
        limit = math.radians(TURN_SPEED) * (now - self.time)
        self.time = now
        self.turn = self.turn + (self.goal - self.turn).clip(-limit, limit)
        wave = np.sin(now * np.array([1.3, 1.9, 1.1, 0.7, 1.6, 0.9]) + self.waves)
        self.position = self.sway * wave[:3]
        yaw, pitch = self.turn + self.sway * wave[3:5]
        self.rotation = rotation(-pitch, yaw, self.sway * float(wave[5]))

    def ask(self, degrees: tuple[float, float]) -> None:
        """Turn by degrees to the right and up."""
        limit = math.radians(TURN_LIMIT)
        self.goal = np.clip(self.goal + np.radians([degrees[0], -degrees[1]]), -limit, limit)

    def sees(self, point: Vector) -> Vector:
        """A point of the world in the optical frame."""
        return np.asarray(self.rotation.T @ (point - self.position))


class FastEpisode:
    """One search. ``run`` it once."""

    def __init__(
        self,
        scene: Scene,
        person: Person,
        noise: PerceptionNoise,
        planner: Callable[[GuidanceSettings, Phrases], Planner],
        settings: GuidanceSettings,
        phrases: Phrases,
        seed: tuple[int, ...],
    ) -> None:
        self._scene, self._rack, self._person = scene, scene.rack, person
        self._rng = np.random.default_rng([*seed, 1])
        heavy = scene.situation.weight
        tired = replace(
            person, speed=person.speed / heavy,
            population=replace(person.population, drift=person.population.drift * heavy),
        )  # fmt: skip
        self._hand = Hand(tired, scene.hand, np.random.default_rng([*seed, 2]))
        waves = self._rng.uniform(0, 2 * np.pi, 6)
        self._camera = _Camera(scene.turn.copy(), scene.turn.copy(), person.population.sway, waves)
        measured = noise.draw(scene.situation.perception, scene.distance, self._rng)
        self._perception = Perception(noise, measured, self._rng)
        self._noise = noise
        self._settings = settings
        self._guide = Guide(settings, phrases, planner)
        self._voice = _Voice()
        self._now = 0.0
        self._sightings: list[tuple[float, TargetSighting]] = []
        self._hands: list[tuple[float, Vector, int]] = []
        self._newest = {"sighting": -math.inf, "hand": -math.inf}
        self._hidden_until = -1.0
        self._heard_with = -math.inf
        self._said: list[tuple[float, str]] = []
        self._stale = self._overlaps = self._neighbours = self._put_back = 0
        self._touching: int | None = None
        self._holding: int | None = None
        self._done_at: float | None = None

    def run(self) -> Outcome:
        straight = self._straight()
        self._hear(self._guide.start(NAME, self._now_ns))
        next_hand = 0.0
        while self._now < LIMIT:
            self._deliver(self._now + TICK)
            self._live()
            if not self._sightings or self._now >= next_hand:
                self._turn()
            if not self._sightings:
                self._look()
            if self._now >= next_hand:
                next_hand = self._now + HAND_PERIOD
                self._look_at_hand()
            self._hear(self._guide.tick(self._now_ns))
            if self._done_at is not None and self._now >= self._done_at:
                break
            if self._told_absent() and not self._voice.sounding:
                break
        return self._outcome(self._done_at is not None, straight)

    @property
    def _now_ns(self) -> int:
        return START_NS + round(self._now * 1e9)

    def _straight(self) -> float:
        points = self._rack.points(WANTED)
        return float(np.linalg.norm(points - self._hand.position, axis=1).min()) if len(points) else math.nan

    def _live(self) -> None:
        """The world moves on by one tick."""
        if self._scene.moves is not None and self._now - TICK < self._scene.moves[0] <= self._now:
            self._rack = self._rack.moved(self._scene.moves[1])
        self._hand.step(self._now, TICK, self._rack)
        touched, held = self._product(self._hand.touched), self._product(self._hand.held)
        self._neighbours += touched not in (None, self._touching, WANTED)
        self._put_back += held is None and self._holding not in (None, WANTED)
        self._touching, self._holding = touched, held
        voice = self._voice
        if voice.sounding and self._now >= voice.ends:
            voice.sounding = False
            self._guide.on_speaking(False, self._now_ns)
        elif voice.instruction is not None and self._now >= voice.begins:
            self._begin_to_speak(voice.instruction)

    def _product(self, pack: int | None) -> int | None:
        return None if pack is None else int(self._rack.products[pack])

    def _hear(self, instruction: Instruction | None) -> None:
        """An instruction goes to the voice; it begins a moment later."""
        if instruction is None:
            return
        voice = self._voice
        busy = voice.sounding or voice.instruction is not None
        if busy and instruction.urgency < Urgency.HIGH:
            self._overlaps += 1
        if busy and instruction.urgency >= Urgency.HIGH:
            self._hand.cut()
        voice.instruction, voice.begins, voice.sounding = instruction, self._now + VOICE_DELAY, False
        self._heard_with = min(self._newest.values()) if self._hand_seen(instruction) else self._newest["sighting"]

    def _hand_seen(self, instruction: Instruction) -> bool:
        """Whether a direction is for the hand: it rests on the newest hand position too."""
        return bool(instruction.is_direction and movements_asked_for(instruction.text)) and (
            "straight ahead" not in instruction.text
        )

    def _begin_to_speak(self, instruction: Instruction) -> None:
        voice = self._voice
        voice.instruction = None
        begins_ns = START_NS + round(voice.begins * 1e9)
        if begins_ns >= instruction.valid_until_ns:
            return
        self._check_fresh(instruction, begins_ns)
        length = self._person.voice * speech_seconds(instruction.text, self._settings.speech_rate_wpm)
        voice.sounding, voice.ends = True, voice.begins + length
        self._guide.on_speaking(True, self._now_ns)
        self._said.append((round(self._now, 2), instruction.text))
        if (turn := turn_asked_for(instruction.text)) is not None:
            self._camera.ask(turn)
            return
        if instruction.phase is Phase.DONE:
            self._done_at = self._now + (YES if instruction.text.startswith(THATS_IT) else length)
        camera = self._camera
        shown = {gesture: camera.position + camera.rotation @ point for gesture, point in SHOWN.items()}
        ends = self._now + length
        self._hand.hear(instruction.text, instruction.phase.value, camera.rotation, self._now, ends, shown)

    def _check_fresh(self, instruction: Instruction, begins_ns: int) -> None:
        """By our own books: how old is what a direction can rest on at best, and what it says it rests on."""
        if not instruction.is_direction:
            return
        claimed = begins_ns - instruction.stamp_ns >= FRESH_NS
        # Of what had arrived; a picture of 300 ms that came since makes an older direction no fresher.
        self._stale += claimed or self._voice.begins - self._heard_with >= FRESH_NS / 1e9

    def _turn(self) -> None:
        """The camera is worn: who turns takes the hand along, unless it is at the shelf."""
        before = self._camera.turn
        self._camera.look(self._now)
        yaw, pitch = self._camera.turn - before
        if (yaw or pitch) and self._hand.position[2] < self._scene.distance - 0.1:
            self._hand.position = rotation(-pitch, yaw, 0.0) @ self._hand.position

    def _look(self) -> None:
        """A picture is taken as soon as perception is done with the one before; its verdict comes a while later."""
        camera = self._camera
        sighting = self._perception.sight(self._scene, self._rack, camera.sees, camera.turn, self._hand, self._now)
        due = self._now + self._perception.latency()
        self._sightings.append((due, replace(sighting, stamp_ns=self._now_ns)))

    def _look_at_hand(self) -> None:
        if self._now < self._hidden_until:
            return
        if self._rng.random() < self._person.population.hidden * HAND_PERIOD:
            self._hidden_until = self._now + HAND_HIDDEN
        seen = self._camera.sees(self._hand.position)
        if seen[2] > 0.05 and (np.abs(seen[:2]) < HALF_VIEW * seen[2]).all():
            measured = seen + HAND_ERROR * self._rng.standard_normal(3)
            self._hands.append((self._now + HAND_LATENCY, measured, self._now_ns))

    def _deliver(self, until: float) -> None:
        """Let time pass, and every message arrive when it is due."""
        while self._hands and self._hands[0][0] <= until:
            due, position, stamp_ns = self._hands.pop(0)
            self._now = max(self._now, due)
            self._newest["hand"] = (stamp_ns - START_NS) / 1e9
            self._guide.on_hand(position, np.eye(3) * HAND_ERROR**2, stamp_ns)
        while self._sightings and self._sightings[0][0] <= until:
            due, sighting = self._sightings.pop(0)
            self._now = max(self._now, due)
            self._newest["sighting"] = (sighting.stamp_ns - START_NS) / 1e9
            self._hear(self._guide.on_sighting(sighting, self._now_ns))
        self._now = until

    def _told_absent(self) -> bool:
        return not self._scene.present and any("not on this shelf" in text for _, text in self._said)

    def _outcome(self, confirmed: bool, straight: float) -> Outcome:
        right = confirmed and self._holding == WANTED
        told_absent = self._told_absent() and not confirmed
        success = told_absent or right
        outcome = "absent" if told_absent else "done" if right else "wrong product" if confirmed else "timeout"
        return Outcome(
            outcome=outcome,
            success=success,
            cause="" if success else self._cause(outcome),
            seconds=round(self._now, 2),
            instructions=len(self._said) - 1,
            wrong_item=confirmed and not right,
            stale=self._stale,
            overlaps=self._overlaps,
            neighbours=self._neighbours,
            put_back=self._put_back,
            path=round(self._hand.path, 3),
            straight=round(straight, 3),
            said=tuple(self._said),
        )

    def _cause(self, outcome: str) -> str:
        perception = self._perception
        if outcome == "wrong product":
            return "another product was taken for it"
        if not self._scene.present:
            return "never called absent"
        if self._untold:
            return "could not tell what was in the hand"
        if perception.found_at is None:
            return "asked which of two look-alikes" if perception.doubted else "never found"
        return "not in the hand in time"

    @property
    def _untold(self) -> bool:
        return any("cannot tell" in text for _, text in self._said)
