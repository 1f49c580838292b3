"""One search without pictures: the real guide, a clock of its own, measured perception and a person who listens.

Nothing is rendered. What perception would say comes from the truth and from the errors that were measured on rendered
frames (``perception_noise``). There is no hand tracker to measure yet: a hand is seen ten times a second, 80 ms late
and with an error of 1 cm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction, Urgency
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Planner
from shelfhelp_ros.guidance.settings import FRESH_NS, GuidanceSettings
from shelfhelp_ros.sightings import Decision, Position, TargetSighting, TrackedProduct
from shelfhelp_ros.simulation.hearing import movements_asked_for
from shelfhelp_ros.simulation.listeners import Hand, Person, rotation
from shelfhelp_ros.simulation.perception_noise import PerceptionNoise, PerceptionRun
from shelfhelp_ros.simulation.racks import HALF_VIEW, TWIN, WANTED, Rack, Scene, Vector
from shelfhelp_ros.simulation.shopper import turn_asked_for

TICK = 0.05
START_NS = 10**15
NAME = "Oat drink"
LIMIT = 90.0
#: Seconds that a hand has after "That's it" to touch something.
TOUCH = 6.0
HAND_PERIOD, HAND_LATENCY, HAND_ERROR, HAND_HIDDEN = 0.1, 0.08, 0.01, 1.5
#: Where a hand is held that is asked to be held in front of the camera, in the optical frame.
SHOWN = np.array([0.0, 0.05, 0.4])
VOICE_DELAY = 0.03
#: Half the picture as tangents, less a margin for a product that is cut off.
VIEW = HALF_VIEW - 0.05
TURN_SPEED, TURN_LIMIT = 25.0, 45.0
#: A slow turn goes on for longer.
SWEEP = 1.7
#: Half the width of a hand, metres.
_PALM = 0.045
#: A verdict holds until it is drawn anew, with this chance a frame: errors come in runs.
_RENEWED = 0.3
_LOST_FOR, _ABSENT_AFTER = 10.0, 3.0


@dataclass(frozen=True)
class Outcome:
    """What came of one search. ``success``: the wanted product is touched after "That's it", or it is not there and the
    person was told so. ``instructions`` are sentences after the opening one; ``seconds`` run to the touch, or to the
    end of that sentence. ``stale`` counts directions that began on data older than 300 ms, ``overlaps`` those that
    began while another was spoken, ``neighbours`` touches of other products on the way.
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
        self._stale = self._overlaps = self._neighbours = 0
        self._touching: int | None = None

    def run(self) -> Outcome:
        straight = self._straight()
        self._hear(self._guide.start(NAME, self._now_ns))
        next_hand = 0.0
        done_at: float | None = None
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
            if done_at is None and self._guide.phase is Phase.DONE:
                done_at = self._now
                self._touching = None
            if done_at is not None and (self._touching is not None or self._now > done_at + TOUCH):
                break
            if self._told_absent() and not self._voice.sounding:
                break
        return self._outcome(done_at is not None, straight)

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
        touched = self._hand.touched
        if touched is not None and touched != self._touching and touched != WANTED:
            self._neighbours += self._guide.phase is not Phase.DONE
        self._touching = touched
        voice = self._voice
        if voice.sounding and self._now >= voice.ends:
            voice.sounding = False
            self._guide.on_speaking(False, self._now_ns)
        elif voice.instruction is not None and self._now >= voice.begins:
            self._begin_to_speak(voice.instruction)

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
        words = instruction.text.lower().replace(".", " ").split()
        if (turn := turn_asked_for(words)) is not None:
            slowly = SWEEP if "slowly" in words else 1.0
            self._camera.ask((turn[0] * slowly, turn[1] * slowly))
            return
        if "in front of the camera" in instruction.text:
            self._hand.show(self._camera.position + self._camera.rotation @ SHOWN, voice.ends)
            return
        # "That's it" is enough to go on; what follows is not waited for.
        ends = self._now + (0.6 if instruction.phase is Phase.DONE else length)
        self._hand.hear(instruction.text, instruction.phase.value, self._camera.rotation, self._now, ends)

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
        sighting = self._perception.sight(self._scene, self._rack, self._camera.sees, self._hand.position, self._now)
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
        wrong = confirmed and self._touching is not None and self._touching != WANTED
        told_absent = self._told_absent() and not confirmed
        success = told_absent or (confirmed and self._touching == WANTED)
        if success:
            outcome = "absent" if told_absent else "done"
        elif wrong:
            outcome = "wrong product"
        else:
            outcome = "not touched" if confirmed else "timeout"
        return Outcome(
            outcome=outcome,
            success=success,
            cause="" if success else self._cause(outcome),
            seconds=round(self._now, 2),
            instructions=len(self._said) - 1,
            wrong_item=wrong,
            stale=self._stale,
            overlaps=self._overlaps,
            neighbours=self._neighbours,
            path=round(self._hand.path, 3),
            straight=round(straight, 3),
            said=tuple(self._said),
        )

    def _cause(self, outcome: str) -> str:
        perception = self._perception
        if outcome == "wrong product":
            return "perception took another product for it" if perception.mistaken else "the hand slipped to another"
        if not self._scene.present:
            return "never called absent"
        if perception.found_at is None:
            return "asked which of two look-alikes" if perception.doubted else "never found"
        return "the hand touched nothing" if outcome == "not touched" else "not at the product in time"


class Perception:
    """Verdicts on the target from the truth, with the errors of one measured run.

    ``found_at``: seconds when it was last found, None before; ``mistaken``: that was another product; ``doubted``: it
    was *ambiguous* at some time.
    """

    def __init__(self, noise: PerceptionNoise, run: PerceptionRun, rng: np.random.Generator) -> None:
        self._noise, self._run, self._rng = noise, run, rng
        self._in_view = 0.0
        self._last: float | None = None
        self._verdict = ""
        self._covered = False
        self.found_at: float | None = None
        self.mistaken = self.doubted = False
        self._spread = math.log(noise.latency_p95 / noise.latency) / 1.645

    def latency(self) -> float:
        """Seconds from a picture to its verdict: log-normal through the measured median and 95th percentile."""
        return float(self._noise.latency * math.exp(self._spread * self._rng.standard_normal()))

    def sight(
        self, scene: Scene, rack: Rack, sees: Callable[[Vector], Vector], hand: Vector, now: float
    ) -> TargetSighting:
        """The verdict on the picture taken at ``now``; its stamp is for the caller to set."""
        wanted = self._visible(rack, WANTED, sees)
        decoy = self._decoy(rack, sees)
        seconds = 0.0 if self._last is None else now - self._last
        self._last = now
        looked_at = wanted if wanted is not None else decoy if not scene.present else None
        self._in_view = self._in_view + seconds if looked_at is not None else 0.0
        if looked_at is None:
            return self._unseen(now)
        covered = wanted is not None and _covers(sees(hand), wanted)
        verdict = self._drawn(covered)
        first = self._run.first_found
        if self.found_at is None and verdict in ("found", "wrong") and (first is None or self._in_view < first):
            verdict = "absent" if first is None else "searching"
        if verdict == "absent" and self._in_view < _ABSENT_AFTER:
            verdict = "searching"
        return self._said(verdict, wanted, decoy, now)

    def _drawn(self, covered: bool) -> str:
        if not self._verdict or covered != self._covered or self._rng.random() < _RENEWED:
            self._verdict = (self._run.covered if covered else self._run.clear).draw(self._rng)
        self._covered = covered
        return self._verdict

    def _unseen(self, now: float) -> TargetSighting:
        if self.found_at is not None and now - self.found_at < _LOST_FOR:
            return _sighting(Decision.LOST)
        return _sighting(Decision.SEARCHING)

    def _said(self, verdict: str, wanted: Vector | None, decoy: Vector | None, now: float) -> TargetSighting:
        if verdict == "found" and wanted is not None:
            self.found_at, self.mistaken = now, False
            return _sighting(Decision.FOUND, self._measured(wanted))
        if verdict in ("found", "wrong") and decoy is not None:
            self.found_at, self.mistaken = now, True
            return _sighting(Decision.FOUND, self._measured(decoy))
        if verdict == "ambiguous" and decoy is not None:
            self.doubted = True
            other = wanted if wanted is not None else decoy
            return _sighting(Decision.AMBIGUOUS, self._measured(other), self._measured(decoy))
        decisions = {"absent": Decision.ABSENT, "lost": Decision.LOST}
        return _sighting(decisions.get(verdict, Decision.SEARCHING))

    def _measured(self, point: Vector) -> Vector:
        return np.asarray(point + self._run.offset + self._run.jitter * self._rng.standard_normal(3))

    def _visible(self, rack: Rack, product: int, sees: Callable[[Vector], Vector]) -> Vector | None:
        """The pack of a product nearest to the camera's axis, in the optical frame; None when none is in view."""
        seen = [sees(point) for point in rack.points(product)]
        seen = [p for p in seen if p[2] > 0.1 and abs(p[0]) < VIEW[0] * p[2] and abs(p[1]) < VIEW[1] * p[2]]
        return min(seen, key=lambda p: float(math.hypot(p[0], p[1]) / p[2]), default=None)

    def _decoy(self, rack: Rack, sees: Callable[[Vector], Vector]) -> Vector | None:
        """What is taken for the wanted product when something is: its near-duplicate, else the pack in the middle."""
        others = [int(p) for p in np.unique(rack.products) if p not in (WANTED, TWIN)]
        for product in (TWIN, others[len(others) // 2]):
            if (seen := self._visible(rack, product, sees)) is not None:
                return seen
        return None


def _covers(hand: Vector, product: Vector) -> bool:
    """Whether a hand stands before the middle of a product, both in the optical frame."""
    if not 0.05 < hand[2] < product[2] - 0.05:
        return False
    return bool(np.abs(hand[:2] / hand[2] - product[:2] / product[2]).max() < _PALM / hand[2])


def _sighting(decision: Decision, product: Vector | None = None, runner_up: Vector | None = None) -> TargetSighting:
    seen, other = (None if point is None else _product(point) for point in (product, runner_up))
    return TargetSighting(0, "camera", "wanted", NAME, decision, 0.95, seen, other)


def _product(xyz: npt.NDArray[np.float64]) -> TrackedProduct:
    box = np.zeros(4, np.float32)
    position = Position(xyz, np.eye(3) * 1e-4)
    return TrackedProduct(1, box, 0.9, "wanted", NAME, 0.9, xyz / np.linalg.norm(xyz), position)
