"""Rules that hold for any input: no stale direction, no two sentences at once, no number from nowhere, no false yes.

The oracle keeps its own books of what was put in; it does not look into the guide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from guide_driver import MS, NAME, PHRASES, product, sighting
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction, Urgency
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, HeldPack, TargetSighting, TrackedProduct, Verified

FRESH = 300 * MS
LATE_VOICE = 5.0
DROP_GRACE = 0.5
FORGOTTEN = 6000 * MS


@dataclass
class Oracle:
    """Feeds a guide and checks every answer against the inputs so far.

    ``told`` is when the guide was last told the time: it hears of a hand without, and reckons its arrival from there.
    """

    planner: type = PhrasePlanner
    now_ns: int = 10**15
    elapsed: float = 0.0
    seen: list[tuple[TargetSighting, float]] = field(default_factory=list)
    hand_seen: tuple[int, float, np.ndarray] | None = None
    hand_was_old: bool = False
    told: float = 0.0
    last: tuple[float, float, Instruction] | None = None
    began: bool = False
    voice_on: bool = False
    voice_reports: bool = False
    emission_ns: int = 0
    ended: float = -math.inf
    said: Counter = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    hands: list[np.ndarray] = field(default_factory=list)
    sure_places: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.guide = Guide(GuidanceSettings(), PHRASES, self.planner)

    # Inputs

    def advance(self, ns: int) -> None:
        self.now_ns += ns
        self.elapsed += max(0, ns) / 1e9
        if self.hand_seen is not None:
            self.hand_was_old |= abs(self.now_ns - self.hand_seen[0]) > FORGOTTEN
            self.hand_was_old |= self.elapsed - self.hand_seen[1] > FORGOTTEN / 1e9

    def see(self, frame: TargetSighting) -> None:
        if self.fresh(frame.stamp_ns, self.elapsed):
            # One from the future, or the past, counts for nothing, though its time may come.
            self.seen = [*self.seen[-40:], (frame, self.elapsed)]
        if is_sure(frame) and frame.product is not None and frame.product.position is not None:
            self.sure_places.append(frame.product.position.xyz)
        self.told = self.elapsed
        self.check(self.guide.on_sighting(frame, self.now_ns))

    def hand(self, xyz, stamp_ns: int) -> None:
        if np.isfinite(xyz).all():
            self.hand_seen = stamp_ns, self.told, np.asarray(xyz, float)
            self.hands.append(self.hand_seen[2])
            self.hand_was_old = abs(self.now_ns - stamp_ns) > FORGOTTEN
        self.guide.on_hand(xyz, None, stamp_ns)

    def tick(self) -> None:
        self.told = self.elapsed
        self.check(self.guide.tick(self.now_ns))

    def start(self) -> None:
        self.texts.clear()
        self.hands.clear()
        self.told = self.elapsed
        self.check(self.guide.start(NAME, self.now_ns))

    def stop(self) -> None:
        self.told = self.elapsed
        self.check(self.guide.stop(self.now_ns))
        assert self.guide.phase is Phase.STOPPED

    def repeat(self) -> None:
        self.told = self.elapsed
        self.check(self.guide.repeat(self.now_ns))

    def speaking(self, on: bool) -> None:
        self.told = self.elapsed
        self.guide.on_speaking(on, self.now_ns)
        if on:
            self.began = self.voice_reports = True
        elif self.voice_on and self.began:
            self.ended = self.elapsed
        self.voice_on = on

    # Rules

    def check(self, instruction: Instruction | None) -> None:
        if instruction is None:
            return
        self.said[instruction.phase] += 1
        self.texts.append(instruction.text)
        self.check_turn(instruction)
        assert not {"nan", "inf"} & set(instruction.text.lower().replace(".", " ").split())
        assert not math.isinf(instruction.distance)
        assert instruction.valid_until_ns <= self.now_ns + 1000 * MS
        if instruction.is_direction or "slowly" in instruction.text or "The right one is" in instruction.text:
            self.check_fresh(instruction)
        if instruction.is_direction:
            self.check_way(instruction)
        if any(words in instruction.text for words in ("That's it", "just like it", "of two that look like")):
            self.check_found()
        self.last = (self.elapsed, speech_seconds(instruction.text, 175), instruction)
        self.began, self.ended, self.emission_ns = False, math.inf, self.now_ns
        if instruction.urgency is Urgency.STOP:
            self.voice_on, self.ended = False, self.elapsed

    def check_turn(self, instruction: Instruction) -> None:
        """Not before the one before has been spoken, unless the person asked for it."""
        if self.last is None or instruction.urgency >= Urgency.HIGH:
            return
        at, length, before = self.last
        reckoned = self.elapsed >= at + length - 1e-6
        reported = self.elapsed >= self.ended
        lifetime = (before.valid_until_ns - self.emission_ns) / 1e9
        dropped = self.voice_reports and not self.began and self.elapsed > at + lifetime + DROP_GRACE - 1e-6
        assert reckoned or reported or dropped, f"{instruction.text!r} while saying {before.text!r}"
        if self.voice_on:
            assert self.elapsed >= at + LATE_VOICE, f"{instruction.text!r} while the voice speaks"

    def check_fresh(self, instruction: Instruction) -> None:
        assert self.now_ns - instruction.stamp_ns < FRESH
        assert instruction.valid_until_ns == instruction.stamp_ns + FRESH
        assert self.fresh_frames()

    def check_way(self, instruction: Instruction) -> None:
        """Each way is that of some fresh picture and, once a hand was seen, of the newest hand, fresh as well."""
        named = [self.check_axis(instruction, axis) for axis in range(3)]
        positive = named["xyz".index(instruction.axis)]
        assert positive is not None
        assert sum(one is not None for one in named) <= 2
        assert math.isnan(instruction.distance) or (instruction.distance > 0) == positive

    def check_axis(self, instruction: Instruction, axis: int) -> bool | None:
        """Whether the sentence sends to the positive side of an axis; None when it does not name the axis."""
        words = [(("left",), ("right",)), (("up", "higher"), ("down", "lower")), (("back",), ("forward",))][axis]
        way = instruction.text.lower().removesuffix(", then take it and show me.")
        back, forth = (any(word in way for word in side) for side in words)
        if not back and not forth:
            return None
        assert back != forth
        turns = instruction.text.startswith(("Turn", "Point"))
        ways = {way for frame in self.fresh_frames() for way in self.ways(frame, axis, turns)}
        assert any((way > 0) == forth for way in ways), f"{instruction.text!r} though the ways are {ways}"
        return forth

    def ways(self, frame: TargetSighting, axis: int, turns: bool) -> Iterator[float]:
        """Where the product of one frame, or either of two look-alikes that are being tried, lies along an axis."""
        trying = any(text.startswith(("Two look alike.", "It may be this one.")) for text in self.texts)
        if frame.decision is Decision.FOUND or (frame.decision is Decision.AMBIGUOUS and trying):
            yield from self.ways_to(frame.product, axis, turns)
        if trying or any("not it" in text or "cannot tell" in text for text in self.texts):
            yield from self.ways_to(frame.runner_up, axis, turns)

    def ways_to(self, goal: TrackedProduct | None, axis: int, turns: bool) -> Iterator[float]:
        """From the hand, or from the camera when there is none, or when it is the camera that ``turns``."""
        if goal is None:
            return
        bearing = np.asarray(goal.bearing, float)
        if not np.isfinite(bearing).all() or bearing[2] <= 0:
            return
        if turns or self.hand_seen is None or self.hand_was_old:
            yield float(bearing[axis])
        if turns or self.hand_seen is None or not self.fresh(*self.hand_seen[:2]):
            return
        hand, position = self.hand_seen[2], goal.position
        if position is not None and np.isfinite(position.xyz).all() and position.xyz[2] > 0:
            yield float((position.xyz - [0, 0, 0.03] - hand)[axis])
        else:
            yield 1.0 if axis == 2 else float((bearing / bearing[2] * max(hand[2], 0) - hand)[axis])

    def check_found(self) -> None:
        """The newest picture says found, and is sure enough, or of look-alikes that a second look said yes to this one,
        or that it was compared; the hand is fresh and near, or left from beside its like."""
        frames = self.fresh_frames()
        newest = max(frame.stamp_ns for frame in frames)
        last = [frame for frame in frames if frame.stamp_ns == newest]
        stamp_ns, arrived, hand = self.hand_seen
        assert any(self.may_be_it(frame) or self.holds_it(frame, hand) for frame in last)
        assert self.fresh(stamp_ns, arrived)
        placed = [frame for frame in last if frame.product is not None and frame.product.position is not None]
        near = any(np.linalg.norm(frame.product.position.xyz - hand) <= 0.2 for frame in placed)
        held = any(self.holds_it(frame, hand) for frame in last)
        assert near or held or any(self.stands_beside(frame) for frame in placed)
        assert np.linalg.norm(np.array(self.hands) - hand, axis=1).max() >= 0.1, "confirmed before it was lifted"

    def holds_it(self, frame: TargetSighting, hand: np.ndarray) -> bool:
        """Whether a pack near the hand is told to be the product by itself: sure enough, or likely and a second look
        says yes; never against a no, nor before the second look has answered."""
        held = frame.held
        if held is None or held.product.position is None or held.verified in (Verified.NO, Verified.PENDING):
            return False
        near = np.linalg.norm(held.product.position.xyz - hand) <= 0.2
        return bool(near) and held.probability >= (0.5 if held.verified is Verified.YES else 0.7)

    def stands_beside(self, frame: TargetSighting) -> bool:
        """Whether a further pack of the product is seen: one was found as surely before, at another place."""
        if frame.product is None or frame.product.position is None:
            return False
        here = frame.product.position.xyz
        return is_sure(frame) and any(np.linalg.norm(place - here) >= 0.06 for place in self.sure_places)

    def may_be_it(self, frame: TargetSighting) -> bool:
        if frame.verified is Verified.NO:
            return False
        sure = frame.probability >= 0.7 and (frame.decision is Decision.FOUND or frame.verified is Verified.YES)
        refuted = any("That is not it" in text for text in self.texts)
        return sure or (refuted and frame.decision in (Decision.FOUND, Decision.AMBIGUOUS))

    def fresh_frames(self) -> list[TargetSighting]:
        return [frame for frame, at in self.seen if self.fresh(frame.stamp_ns, at) and frame.target_name == NAME]

    def fresh(self, stamp_ns: int, arrived: float) -> bool:
        """Young by its stamp and, whatever the clock did since, by the time that has gone by."""
        return -50 * MS <= self.now_ns - stamp_ns < FRESH and self.elapsed - arrived < FRESH / 1e9 + 1e-6


def is_sure(frame: TargetSighting) -> bool:
    return frame.decision is Decision.FOUND and frame.probability >= 0.7


ODD = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -1e300, 1e-300])
coordinate = st.one_of(st.floats(-1, 1), ODD)
point = st.one_of(
    st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.2, 1.2)),
    st.tuples(coordinate, coordinate, coordinate),
)
stamp_age = st.one_of(
    st.integers(0, 200), st.sampled_from([-10_000, -51, -50, -49, 299, 300, 301, 500, 10_000]), st.integers(-400, 700)
)
decision = st.one_of(st.just(Decision.FOUND), st.sampled_from(Decision))
probability = st.one_of(st.sampled_from([0.95, 0.7, 0.69, math.nan]), st.floats(0, 1))


@st.composite
def frames(draw):
    """A sighting by age: mostly sane, sometimes with numbers that no camera gives."""
    xyz = draw(point)
    size = st.one_of(st.none(), st.tuples(coordinate, coordinate))
    seen = draw(st.one_of(st.none(), st.builds(product, st.just(xyz), depth=st.booleans(), size=size)))
    if seen is None and draw(st.booleans()):
        seen = product((0.1, 0.0, 0.6), bearing=draw(point))
    other = draw(st.one_of(st.none(), st.builds(product, point, st.sampled_from(["Bran", NAME, ""]))))
    verified = draw(st.sampled_from(Verified))
    name = draw(st.sampled_from([NAME, NAME, NAME, "Bran"]))
    held = st.builds(HeldPack, st.builds(product, point, depth=st.booleans()), probability, st.sampled_from(Verified))
    in_hand = draw(st.one_of(st.none(), held))
    return draw(stamp_age), draw(decision), seen, draw(probability), other, name, verified, in_hand


odd_steps = st.one_of(
    st.tuples(st.just("see"), frames()),
    st.tuples(st.just("hand"), st.tuples(point, stamp_age)),
    st.tuples(st.just("tick"), st.integers(0, 3000)),
    st.tuples(st.just("jump"), st.sampled_from([-3_600_000, -1000, -500, -1, 700, 3_600_000])),
    st.tuples(st.just("speaking"), st.booleans()),
    st.tuples(st.sampled_from(["start", "start", "stop", "repeat", "clear"]), st.none()),
)
# A calm stretch, so that the guide gets somewhere: product, hand relative to it, frames 100 ms apart.
calm_steps = st.tuples(
    st.just("calm"),
    st.tuples(
        st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.3, 1.0)),
        st.one_of(
            st.none(),
            st.just((0.0, 0.0, -0.03)),
            st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-0.5, 0.2)),
        ),
        st.one_of(st.just(Decision.FOUND), st.sampled_from(Decision)),
        st.integers(1, 40),
        st.integers(0, 150),
        st.sampled_from([0.95, 0.95, 0.5]),
    ),
)
lift_steps = st.tuples(
    st.just("lift"),
    st.tuples(
        st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(0.4, 0.8)),
        st.one_of(st.just(Decision.FOUND), st.sampled_from(Decision)),
        st.sampled_from([0.95, 0.95, 0.5]),
        st.one_of(st.none(), st.tuples(st.sampled_from([0.95, 0.7, 0.5, 0.02, math.nan]), st.sampled_from(Verified))),
    ),
)
steps = st.lists(
    st.tuples(st.one_of(calm_steps, calm_steps, lift_steps), st.lists(odd_steps, max_size=4)), min_size=1, max_size=8
)


def play(oracle: Oracle, step, value) -> None:
    if step == "see":
        age_ms, verdict, seen, sure, other, name, verified, held = value
        stamp_ns = oracle.now_ns - age_ms * MS
        frame = sighting(stamp_ns, verdict, seen, sure, other, name, verified=verified, held=held)
        oracle.see(frame)
    elif step == "hand":
        oracle.hand(value[0], oracle.now_ns - value[1] * MS)
    elif step == "tick":
        oracle.advance(value * MS)
        oracle.tick()
    elif step == "jump":
        # The guide learns of a jump with the next call; a tick makes that call here, so that the books agree.
        oracle.advance(value * MS)
        oracle.tick()
    elif step == "speaking":
        oracle.speaking(value)
    elif step == "calm":
        play_calm(oracle, *value)
    elif step == "lift":
        play_lift(oracle, *value)
    elif step == "clear":
        oracle.guide.clear()
    else:
        getattr(oracle, step)()


def play_lift(oracle: Oracle, at, verdict, sure, held=None) -> None:
    """The hand rests at the product, and then it is held up with it, or without it; ``held``: how probable the pack in
    the hand is by itself, and what a second look says, while the product is still seen at its place."""
    play_calm(oracle, at, (0.0, 0.0, -0.03), Decision.FOUND, 40, 50)
    up = np.add(at, (0.0, 0.05, -0.2))
    if held is None:
        play_calm(oracle, up, (0.0, 0.05, 0.0), verdict, 40, 50, sure)
    else:
        play_calm(oracle, at, (0.0, 0.1, -0.2), verdict, 40, 50, sure, HeldPack(product(up), *held))


def play_calm(oracle: Oracle, at, hand, verdict, count, age_ms, sure=0.95, held=None) -> None:
    for _ in range(count):
        oracle.advance(100 * MS)
        stamp_ns = oracle.now_ns - age_ms * MS
        if hand is not None:
            oracle.hand(np.add(at, hand), stamp_ns)
        oracle.see(sighting(stamp_ns, verdict, product(at), sure, held=held))
        oracle.tick()


# A hand is forgotten as many seconds after it came as it is waited for: to the tick in which it came.
_AHEAD = (0.0, 0.0, 1.0)
FORGOTTEN_IN_THE_TICK = [
    (("calm", (_AHEAD, (0.0, 0.0, -0.03), Decision.FOUND, 1, 0, 0.95)), []),
    *2 * [(("calm", (_AHEAD, None, Decision.FOUND, 30, 0, 0.95)), [])],
]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=set(Stage) - {Stage.explain}
)
@given(sequence=steps)
@example(sequence=FORGOTTEN_IN_THE_TICK)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("planner", [PhrasePlanner, WorstAxisFirst])
def test_the_rules_hold_for_any_input(planner, sequence):
    """Odd stamps, gaps, clock jumps, stops, numbers that are none: no rule is broken."""
    oracle = Oracle(planner)
    oracle.tick()
    oracle.start()
    for calm, odd in sequence:
        for step, value in [calm, *odd]:
            play(oracle, step, value)
    for phase in oracle.said:
        event(phase.value)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_rules_hold_in_a_long_disorderly_hour(seed):
    """The same with hundreds of steps, drawn at random, in which every phase is reached again and again."""
    random = np.random.default_rng(seed)
    oracle = Oracle()
    oracle.start()
    for _ in range(150):
        at = random.uniform((-0.3, -0.3, 0.4), (0.3, 0.3, 0.8))
        hand = [None, (0, 0, -0.03), tuple(random.uniform(-0.3, 0.3, 3))][random.integers(3)]
        verdict = Decision.FOUND if random.random() < 0.6 else Decision(int(random.integers(5)))
        play_calm(oracle, at, hand, verdict, int(random.integers(1, 30)), int(random.choice([20, 150, 280, 310])))
        kind = random.integers(12)
        if kind == 0:
            oracle.stop()
        elif kind == 1:
            oracle.repeat()
        elif kind == 2:
            oracle.advance(int(random.integers(0, 2000)) * MS)
            oracle.tick()
        elif kind in (3, 4):
            oracle.speaking(bool(random.integers(2)))
        if oracle.guide.phase in (Phase.STOPPED, Phase.DONE):
            oracle.start()


def test_the_oracle_sees_directions_and_confirmations():
    """The rules are not kept by silence: a calm search is full of what they are about."""
    oracle = Oracle()
    oracle.start()
    play_calm(oracle, (0.1, 0.0, 0.6), (-0.3, 0.0, -0.3), Decision.FOUND, 60, 50)
    play_calm(oracle, (0.1, 0.0, 0.6), (0.0, 0.0, -0.3), Decision.FOUND, 90, 50)
    play_lift(oracle, (0.1, 0.0, 0.6), Decision.FOUND, 0.95)
    assert {Phase.SEARCH, Phase.AIM, Phase.REACH, Phase.CONFIRM, Phase.DONE} <= set(oracle.said)


@pytest.mark.parametrize("fault", ["age", "overlap", "side", "unsure"])
def test_the_oracle_catches_a_broken_guide(fault):
    """Each rule, broken on purpose, is noticed."""
    oracle = Oracle()
    oracle.start()
    play_calm(oracle, (0.1, 0.0, 0.6), (-0.3, 0.0, -0.3), Decision.FOUND, 20, 50)
    oracle.advance(5000 * MS)
    good = Instruction(9, oracle.now_ns, "camera", Phase.AIM, "About a foot to the right.", "x", 0.3)
    stamp_ns = oracle.now_ns - (400 if fault == "age" else 100) * MS
    frame = sighting(stamp_ns, Decision.FOUND, product((0.1, 0.0, 0.6)), 0.5)
    oracle.seen.append((frame, oracle.elapsed))
    oracle.hand_seen = stamp_ns, oracle.elapsed, np.array([-0.2, 0.0, 0.3])
    facts = {"stamp_ns": stamp_ns, "valid_until_ns": stamp_ns + FRESH}
    if fault == "side":
        facts |= {"text": "About a foot to the left.", "distance": -0.3}
    elif fault == "unsure":
        facts |= {"text": "That's it.", "axis": "", "distance": math.nan}
    broken = Instruction(**{**good.__dict__, **facts})
    if fault == "overlap":
        oracle.check(broken)
        oracle.advance(100 * MS)
    with pytest.raises(AssertionError):
        oracle.check(broken)
