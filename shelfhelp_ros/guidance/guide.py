"""The guide: hears of sightings, of the hand and of the clock, and says one thing at a time.

Pure Python. The caller passes the time in with every call, so that a simulated clock or a bag's works as well as the
wall's, and publishes what comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.candidates import Candidates, size_beside
from shelfhelp_ros.guidance.framing import Framing
from shelfhelp_ros.guidance.grasp import Grasp, Verdict
from shelfhelp_ros.guidance.instruction import Instruction, Urgency
from shelfhelp_ros.guidance.listener import movement_seconds, speech_seconds
from shelfhelp_ros.guidance.offsets import (
    STILL,
    Vector,
    apart,
    bearing_of,
    from_camera,
    from_hand,
    front_of,
    palm_at,
    position_of,
    side_of,
)
from shelfhelp_ros.guidance.pacing import Pacing, Stopwatch
from shelfhelp_ros.guidance.phases import ACTIVE, Cue, Phase, after
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Move, Offset, Planner
from shelfhelp_ros.guidance.progress import Progress
from shelfhelp_ros.guidance.senses import Hand, Senses
from shelfhelp_ros.guidance.settings import AHEAD_NS, FRESH_NS, GuidanceSettings
from shelfhelp_ros.guidance.tour import Tour
from shelfhelp_ros.guidance.wording import (
    around_the_clock,
    direction,
    doubt,
    far_from_hand,
    in_view,
    place,
    whereabouts,
)
from shelfhelp_ros.sightings import Decision, Sightings, TargetSighting, TrackedProduct, Verified

#: A sentence that does not fade may be spoken for this long after it was decided.
_NOTICE_NS = 1_000_000_000

#: A voice that reports has begun this many seconds after an instruction expired, or it has dropped it.
_REPORT_SECONDS = 0.5

#: What fades is left to the next picture when the voice has less than this to begin.
_TO_BEGIN_NS = 50_000_000

#: How often it is asked to hold a pack otherwise, so that it can be told.
_LOOKS = 2

#: Seconds that it takes to take a pack and lift it, to put it back, or to hold it at its top.
_TAKE, _PUT_BACK, _REGRIP = 1.5, 1.5, 1.5

#: Seconds after its movement in which a hand that was told to take something has come to the shelf, or did not hear it.
_COMES_WITHIN = 2.0

#: Seconds for which one that is being tried is waited for where it was seen: what is not surely it comes and goes.
_TRIED_FOR = 6.0

#: A pack that was not taken when it was asked for so often is led to anew.
_TAKES = 3

#: Seconds in which a view shows whether the product is in it, once the camera rests.
_GLANCE = 1.0

#: Seconds that a turn of the camera takes, a hand's way out of what it is stuck at, and its way before the camera.
_TURN, _STEP_ASIDE, _SHOW = 0.8, 0.8, 1.2

#: A hand that stays at a product for so long, nanoseconds, rests there; one that passes does not.
_RESTS_NS = 250_000_000

#: Seconds that a hand has rested which has put a pack back, and the most that are waited for it; it went this far for
#: it, metres.
_BACK_AGAIN, _PUTS_BACK_WITHIN, _WENT = 0.4, 3.0, 0.1

#: A hand within this of its goal, metres, may be there before its movement is over.
_NEAR = 0.15

#: Who walked or reached on is nearer by so much, metres.
_NEARER = 0.1

#: A hand that moves on after its time is waited for so many seconds.
_MOVES_ON = 1.5

#: A hand that left the picture is followed once it is gone for so many seconds.
_GONE = 0.8

#: For who has to be careful only so much of a large pack counts to either side of its middle, metres.
_CAREFUL_FRONT = 0.08

#: A hand counts as in front of a product when it is so much nearer, and within this of the line of sight, metres; its
#: forearm, which comes from below, when the hand is no further than this above.
_BEFORE, _PALM, _FOREARM = 0.05, 0.07, 0.3

_CUES = {
    Decision.SEARCHING: Cue.NOT_SEEN_YET,
    Decision.AMBIGUOUS: Cue.LOOK_ALIKES,
    Decision.LOST: Cue.OUT_OF_VIEW,
}


@dataclass(frozen=True)
class _View:
    """What the newest data, of ``stamp_ns``, say of the way to go.

    ``ready``: whether the next word may be said; False while the hand is on its way, True when ``offset`` is where it
    will come to rest, None leaves it to the time that the person was given.
    """

    offset: Offset
    stamp_ns: int
    choose: Callable[[Offset], Move | None]
    ready: bool | None = None

    @cached_property
    def move(self) -> Move | None:
        """The next movement, planned when it is asked for; None at the target."""
        return self.choose(self.offset)


@dataclass(frozen=True)
class _Rest:
    """A hand that stays there: seen ``many`` times, at ``since_ns`` and ``offset`` first, at ``stamp_ns`` last."""

    offset: Offset
    since_ns: int
    stamp_ns: int
    many: int = 1


@dataclass(frozen=True)
class _Saying:
    """A sentence that could be said now.

    One that ``fades`` tells of a place, and expires with the data of ``stamp_ns``. It waits until the person had time
    to act on the one before, unless it is ``soon``: then only until that one was spoken. A sentence of the same
    ``topic`` waits ``again_after`` seconds; ``pause`` is the time that the person needs for this one. A ``turn`` asks
    for another view; ``ready`` is that of a ``_View``; ``ahead`` are the metres to a product that a hand out of view is
    sent straight to.
    """

    text: str
    topic: str
    again_after: float
    pause: float
    stamp_ns: int | None = None
    fades: bool = False
    soon: bool = False
    move: Move | None = None
    ready: bool | None = None
    turn: bool = False
    ahead: float | None = None
    urgency: Urgency = Urgency.NORMAL


class Guide:
    """Leads one person to one product.

    Call ``start`` with the product's name, then ``on_sighting``, ``on_hand`` and ``on_speaking`` as messages arrive and
    ``tick`` at 10 Hz or more. Whatever instruction comes back is to be spoken (or dropped once ``valid_until_ns`` has
    passed). Times are nanoseconds of the clock that stamps the images. Not thread-safe: call it from one thread.

    Rules that hold for any input: a direction rests on a sighting and a hand not older than 300 ms; an instruction
    below Urgency.HIGH comes only after the one before has been spoken; the product is confirmed only while it is found
    with at least ``confirm_probability`` and the hand is at it.
    """

    def __init__(
        self,
        settings: GuidanceSettings | None = None,
        phrases: Phrases | None = None,
        planner: Callable[[GuidanceSettings, Phrases], Planner] = PhrasePlanner,
    ) -> None:
        self.settings = settings or GuidanceSettings()
        self.phrases = (phrases or Phrases.load()).at(self.settings.verbosity)
        self._planner = planner(self.settings, self.phrases)
        self._stopwatch = Stopwatch()
        self._pacing = Pacing()
        self._phase = Phase.IDLE
        self._sequence = 0
        self._frame_id = ""
        self._senses = Senses(self._stopwatch)
        self._told_at: Vector | None = None
        self._forget_search()

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def target_name(self) -> str:
        """The product that is being looked for; empty when there is none."""
        return self._target_name

    def distance(self, now_ns: int) -> float:
        """Metres to the product from the palm; from the camera without a hand, or while the product is brought into the
        picture. NaN when not known at present."""
        view = self._view(now_ns) if self._phase in ACTIVE else None
        if view is None:
            return math.nan
        offset = view.offset
        return math.hypot(offset.x, offset.y, offset.z) if offset.reference == "hand" else offset.z

    def start(self, target_name: str, now_ns: int, target_id: str = "") -> Instruction:
        """Look for a product. Sightings of any other target (by name, and by id when one is given) are ignored."""
        now = self._stopwatch.read(now_ns)
        self._forget_search()
        self._target_name, self._target_id = target_name, target_id
        self._picture_due = now + self.settings.stale_after_start
        self._advance(Cue.START, now)
        text = self.phrases.say("start", name=target_name)
        return self._emit(_Saying(text, "start", 0.0, 0.0, urgency=Urgency.HIGH), now, now_ns)

    def clear(self) -> None:
        """Forget the target. Nothing is said."""
        self._forget_search()
        self._advance(Cue.CLEAR, self._stopwatch.seconds)

    def stop(self, now_ns: int) -> Instruction:
        """Be silent at once, until the next ``start``."""
        now = self._stopwatch.read(now_ns)
        self._forget_search()
        self._advance(Cue.STOP, now)
        instruction = self._emit(_Saying("", "stop", 0.0, 0.0, urgency=Urgency.STOP), now, now_ns)
        self._pacing.cut(now)
        return instruction

    def on_sighting(self, sighting: TargetSighting, now_ns: int) -> Instruction | None:
        """Take in the verdict on one frame; the next instruction, when there is one and it is its turn."""
        now = self._stopwatch.read(now_ns)
        if self._wanted(sighting, now_ns):
            self._senses.see(sighting)
            self._frame_id = sighting.frame_id
            self._picture_due = now + self.settings.stale_after
            self._note(sighting)
            self._follow(now, now_ns)
            self._count_rest(now_ns)
            self._look_at_hand(now, now_ns)
        return self._next(now, now_ns)

    def on_hand(self, position: npt.ArrayLike, covariance: npt.ArrayLike | None, stamp_ns: int) -> None:
        """The palm is at ``position`` (3,), metres in the camera's optical frame; ``covariance`` 3×3 metres² or None.

        A position that is not finite, or less certain than ``hand_spread`` on any axis, is ignored.
        """
        if self._senses.hand_at(position, covariance, stamp_ns, self.settings.hand_spread):
            self._hand_shown = True
            self._framing.hand_seen()

    def on_speaking(self, speaking: bool, now_ns: int) -> None:
        """The voice began or ended."""
        self._pacing.voice(speaking, self._stopwatch.read(now_ns))

    def tick(self, now_ns: int) -> Instruction | None:
        """Let time pass; the next instruction, when there is one and it is its turn."""
        now = self._stopwatch.read(now_ns)
        if self._phase in (Phase.CONFIRM, Phase.BLOCKED, Phase.WRONG_ITEM) or now > self._picture_due:
            self._follow(now, now_ns)
        return self._next(now, now_ns)

    def repeat(self, now_ns: int) -> Instruction:
        """Answer the person who asks again: what is true now, or what is being waited for."""
        now = self._stopwatch.read(now_ns)
        self._follow(now, now_ns)
        if self._phase in ACTIVE:
            saying = self._saying(now, now_ns, asked=True) or self._notice("waiting_for_camera", "repeat")
        else:
            saying = self._notice(*self._at_rest(), name=self._target_name)
        return self._emit(replace(saying, urgency=Urgency.HIGH), now, now_ns)

    def where_am_i(self, now_ns: int, products: Sightings | None = None) -> Instruction:
        """Answer with the phase, where the product is, whether the hand is seen, and what is in view.

        ``products`` is the newest word of everything in view. An answer that tells a place expires as a direction does;
        a place that the voice would have no time to begin with is left out, as is everything older than 300 ms.
        """
        now = self._stopwatch.read(now_ns)
        self._follow(now, now_ns)
        in_hand = self._phase in (Phase.CONFIRM, Phase.WRONG_ITEM) and not self._comes
        view = self._view(now_ns) if self._phase in ACTIVE and not in_hand else None
        texts = [self._standing(view)]
        stamps = []
        told = view is not None and now_ns - view.stamp_ns <= FRESH_NS - _TO_BEGIN_NS
        if view is not None and told:
            stamps.append(view.stamp_ns)
            texts.append(self._place(view))
        if self._senses.sighting(now_ns) is not None and self._awaited_hand(now_ns) is not None:
            texts.append(self.phrases.say("where.no_hand"))
        if products is not None and -AHEAD_NS <= now_ns - products.stamp_ns < FRESH_NS:
            stamps.append(products.stamp_ns)
            texts.append(in_view([product.product_name for product in products.products], self.phrases))
        text = " ".join(filter(None, texts))
        saying = _Saying(text, "where", 0.0, self.settings.reaction, min(stamps, default=None), fades=told)
        return self._emit(replace(saying, urgency=Urgency.HIGH), now, now_ns)

    def _at_rest(self) -> tuple[str, str]:
        """The phrase, and its topic, for a phase in which nothing is being looked for."""
        keys = {Phase.DONE: "found_before", Phase.STOPPED: "stopped"}
        return keys.get(self._phase, "no_target"), "repeat"

    def _standing(self, view: _View | None) -> str:
        """One sentence on the phase; ``view`` is what is seen of the product."""
        keys = {
            Phase.STALE: "waiting_for_camera",
            Phase.LOST: "lost.first",
            Phase.ABSENT: "absent",
            Phase.CONFIRM: "confirm.lift",
            Phase.WRONG_ITEM: "wrong.unknown",
        }
        if self._phase not in ACTIVE:
            return self.phrases.say(self._at_rest()[0], name=self._target_name)
        if self._phase is Phase.AMBIGUOUS:
            return self.phrases.say("ambiguous.unsure", name=self._target_name)
        key = "where.seen" if view is not None else keys.get(self._phase, "where.looking")
        return self.phrases.say(key, name=self._target_name)

    def _place(self, view: _View) -> str:
        """Where the product is; without its distance, the way to it."""
        settings, move = self.settings, view.move
        if move is None:
            return self.phrases.say("where.at")
        text = whereabouts(view.offset, self.phrases, settings.units, settings.directions, settings.relative_to)
        return text or direction(move, view.offset, self.phrases, settings.units, settings.directions)

    # What the data say

    def _forget_search(self) -> None:
        self._target_name = self._target_id = ""
        self._senses.forget_sighting()
        self._planner.reset()
        self._picture_due = math.inf
        self._phase_since = self._stopwatch.seconds
        self._said_in_phase = 0
        self._tour = self._new_tour()
        self._absent_said = False
        self._careful = False
        self._framing = Framing(self.settings.aim_tolerance)
        self._candidates = Candidates(self.settings.refuse_for)
        self._progress = Progress()
        self._trying = self._look_alikes = self._stranger = False
        self._size = ""
        self._rest_at: _Rest | None = None
        self._grasp: Grasp | None = None
        self._asked_of_pack = 0
        self._lifted_at = 0.0
        self._obstacle = ""
        self._last_place: npt.NDArray[np.float64] | None = None
        self._seen_at = -math.inf
        self._hand_shown = False
        self._ahead: float | None = None
        self._spoken: dict[str, float] = {}
        self._last_topic = ""

    def _wanted(self, sighting: TargetSighting, now_ns: int) -> bool:
        """Whether a sighting counts: of this target, fresh, and not overtaken by a newer one."""
        if self._phase not in ACTIVE or sighting.target_name != self._target_name:
            return False
        if self._target_id and sighting.target_id != self._target_id:
            return False
        return self._senses.is_newest(sighting, now_ns)

    @property
    def _hand(self) -> Hand | None:
        return self._senses.hand

    def _awaited_hand(self, now_ns: int) -> float | None:
        return self._senses.awaited_hand(now_ns, self.settings.hand_forget)

    def _view(self, now_ns: int) -> _View | None:
        """The way from the hand, or the camera, to the product; None without fresh and finite data of both."""
        sighting = self._senses.sighting(now_ns)
        goal = None if sighting is None else self._goal(sighting)
        if sighting is None or goal is None:
            return None
        bearing = bearing_of(goal)
        if bearing is None:
            return None
        if self._awaited_hand(now_ns) is not None:
            return None
        product = position_of(goal)
        if self._hand is None or self._framing.out_of_frame(bearing):
            offset, stamp_ns = from_camera(bearing, product), sighting.stamp_ns
        else:
            front = front_of(goal)
            if front is not None and self._careful:
                front = min(front[0], _CAREFUL_FRONT), min(front[1], _CAREFUL_FRONT)
            offset = from_hand(self._hand.xyz, bearing, product, self.settings.palm_standoff, front)
            offset = replace(offset, takeable=self._takeable(sighting))
            stamp_ns = min(sighting.stamp_ns, self._hand.stamp_ns)
        if not (math.isfinite(offset.x) and math.isfinite(offset.y)):
            return None
        return _View(offset, stamp_ns, self._planner.choose)

    def _view_at_rest(self, now_ns: int) -> _View | None:
        """The way to go from where the hand will come to rest, once the planner foresees that."""
        view, hand = self._view(now_ns), self._hand
        if view is None or hand is None or view.offset.reference != "hand":
            return view
        now = self._stopwatch.seconds
        course = self._planner.watch(view.offset, self._pacing.since_speech(now - _age(hand.stamp_ns, now_ns)))
        if not self._pacing.speech_over(now):
            return view
        if not self._pacing.free(now - _age(view.stamp_ns, now_ns)):
            return view if course.rest is None else replace(view, offset=course.rest, ready=True)
        waits = course.moving and course.rest is None and not self._pacing.free(now - _MOVES_ON)
        return replace(view, ready=False) if waits else view

    def _takeable(self, sighting: TargetSighting) -> bool:
        """Whether the product is known well enough to be taken without another look at it before the hand."""
        if self._careful:
            return False
        settled = sighting.verified not in (Verified.PENDING, Verified.NO)
        return self._trying or (settled and self._sure(sighting))

    def _sure(self, sighting: TargetSighting) -> bool:
        """Whether the product is found with the probability that a confirmation needs."""
        return sighting.decision is Decision.FOUND and sighting.probability >= self.settings.confirm_probability

    def _goal(self, sighting: TargetSighting) -> TrackedProduct | None:
        """The product that the hand is led to: the one found, or one of two look-alikes once they are being tried."""
        if sighting.decision is Decision.FOUND or (sighting.decision is Decision.AMBIGUOUS and self._trying):
            return self._candidates.choose(sighting, self._stopwatch.seconds)
        return None

    def _note(self, sighting: TargetSighting) -> None:
        """Remember of a sighting what later ones do not tell."""
        goal = self._goal(sighting)
        if goal is not None:
            self._last_place = position_of(goal)
        if sighting.decision is Decision.AMBIGUOUS and sighting.runner_up is not None:
            self._look_alikes = True
            self._stranger = self._stranger or _is_stranger(sighting.runner_up, sighting.product)
            if self._phase is not Phase.CONFIRM:
                self._size = size_beside(self._candidates.next(sighting, self._stopwatch.seconds), sighting)
        absent = self._absent_from(sighting)
        if sighting.product is not None and not absent:
            self._seen_at = self._stopwatch.seconds
        if absent and self._pacing.free(self._stopwatch.seconds - _GLANCE):
            self._tour.look()

    def _absent_from(self, sighting: TargetSighting) -> bool:
        """Whether the product is not in this view: all that it might have been was in the hand, and was another one."""
        alone = sighting.product if sighting.decision is Decision.AMBIGUOUS and sighting.runner_up is None else None
        tried = alone is not None and self._candidates.refused(alone, self._stopwatch.seconds, surely=True)
        return tried or sighting.decision is Decision.ABSENT

    def _cue(self, now_ns: int) -> Cue | None:
        """What the newest data say, for the table of phases; None when they say nothing new."""
        sighting = self._senses.sighting(now_ns)
        if sighting is None:
            return None
        if self._grasp is not None and self._phase is Phase.STALE:
            return Cue.STILL_TAKEN
        if self._blocked(sighting, now_ns):
            return Cue.OBSTRUCTED
        if self._goal(sighting) is None:
            return self._cue_without_goal(sighting)
        view = self._view_at_rest(now_ns)
        if view is not None:
            if self._phase in (Phase.AIM, Phase.REACH) and self._on_the_way(view):
                return None
            move = view.move
            return Cue.AT_TARGET if move is None else Cue.AHEAD if move.axis == "z" else Cue.OFF_AXIS
        if self._awaited_hand(now_ns) is None:
            return Cue.OUT_OF_VIEW
        return None if self._phase in (Phase.AIM, Phase.REACH, Phase.CONTACT) else Cue.OFF_AXIS

    def _on_the_way(self, view: _View) -> bool:
        """Whether the hand follows what was said last and is not near its goal yet: nothing is planned meanwhile."""
        offset = view.offset
        near = view.ready or math.hypot(offset.x, offset.y, offset.z) <= _NEAR
        return offset.reference == "hand" and not near and not self._pacing.free(self._stopwatch.seconds)

    def _cue_without_goal(self, sighting: TargetSighting) -> Cue:
        if sighting.decision is Decision.FOUND:
            return Cue.OUT_OF_VIEW if sighting.product is None else Cue.LOOK_ALIKES
        if self._absent_from(sighting):
            return Cue.NOT_ON_SHELF if self._tour.complete else Cue.NOT_SEEN_YET
        return _CUES[sighting.decision]

    def _blocked(self, sighting: TargetSighting, now_ns: int) -> bool:
        """Whether something stands between the hand and the product; what it is, is kept for the sentence."""
        axis = self._progress.blocked
        if axis is not None:
            self._obstacle = "reach" if axis == "z" and self._obstacle == "obstacle" else "obstacle"
            self._progress.reset()
            return True
        settled = self._stopwatch.seconds - self._phase_since >= self.settings.lost_settle
        if settled and self._gone_from_view(sighting) and self._hand_in_front(now_ns):
            self._obstacle = "hand"
            if self._phase is not Phase.LOST:
                self._last_place = None  # Said of one sighting once: what is not there is not behind the hand for ever.
            return True
        return False

    def _gone_from_view(self, sighting: TargetSighting) -> bool:
        """Whether the product was seen in this view, and is no more."""
        if self._phase is Phase.LOST:
            return sighting.decision is Decision.LOST
        return self._phase in (Phase.SEARCH, Phase.ABSENT) and sighting.product is None

    def _hand_in_front(self, now_ns: int) -> bool:
        """Whether the hand or its arm is between the camera and the place where the product was seen last."""
        hand, place = self._hand, self._last_place
        if hand is None or place is None or self._awaited_hand(now_ns) is not None:
            return False
        if not 0.05 < hand.xyz[2] < place[2] - _BEFORE:
            return False
        beside, below = hand.xyz[:2] - place[:2] * (hand.xyz[2] / place[2])
        return bool(math.hypot(beside, below) < _PALM or (abs(beside) < _PALM and -_FOREARM < below < 0))

    def _follow(self, now: float, now_ns: int) -> None:
        """Move to the phase that the newest data ask for."""
        if self._phase not in ACTIVE:
            return
        if now > self._picture_due:
            self._advance(Cue.NO_PICTURE, now)
            return
        acted = self._said_in_phase and self._pacing.free(now)
        if acted and (self._phase is Phase.BLOCKED or (self._phase is Phase.WRONG_ITEM and self._puts_back(now_ns))):
            self._advance(Cue.ACTED, now)
        cue = self._cue_of_grasp(now) if self._phase is Phase.CONFIRM else self._cue(now_ns)
        if cue is not None:
            self._advance(cue, now)

    def _puts_back(self, now_ns: int) -> bool:
        """Whether the hand that was told to put a pack back has gone, and rests. One that is not seen is not waited
        for, nor one that stays."""
        late = self._pacing.free(self._stopwatch.seconds - _PUTS_BACK_WITHIN)
        if late or self._awaited_hand(now_ns) is not None:
            return True
        still = self._senses.still
        return self._hand is None or (still.seconds >= _BACK_AGAIN and still.apart(self._told_at) >= _WENT)

    def _cue_of_grasp(self, now: float) -> Cue | None:
        """Whether the pack in the hand is another one. That it is the right one is said first, then it is so."""
        grasp = self._grasp
        if self._comes and self._pacing.free(now - _COMES_WITHIN):
            return Cue.NOT_REACHED
        if grasp is not None and not grasp.lifted and now - self._phase_since > _TAKES * self.settings.lift_again_after:
            # Asked in vain: the hand may be at the rim of it, and is led to its middle.
            self._careful = True
            return Cue.NOT_REACHED
        asked = self._asked_of_pack > _LOOKS
        untold = asked and self._pacing.free(now - self.settings.confirm_every)
        return Cue.REFUTED if grasp is None or grasp.verdict is Verdict.REFUTED or untold else None

    def _advance(self, cue: Cue, now: float) -> None:
        phase = after(self._phase, cue)
        if phase is not self._phase:
            self._leave(self._phase, phase, now)
            self._phase, self._phase_since, self._said_in_phase = phase, now, 0
        if phase in (Phase.AIM, Phase.REACH, Phase.CONTACT):
            self._absent_said = False
            self._tour = self._new_tour()

    def _leave(self, before: Phase, phase: Phase, now: float) -> None:
        """What a change of phase puts an end to."""
        if before is Phase.CONTACT:
            self._rest_at = None
        if before is Phase.WRONG_ITEM:
            self._careful, self._last_place = True, None
        if phase is Phase.WRONG_ITEM and self._grasp is not None and (self._grasp.doubted or self._grasp.unsure):
            self._candidates.refuse(self._grasp.product, now, self._grasp.verdict is Verdict.REFUTED)
        if phase not in (Phase.CONFIRM, Phase.WRONG_ITEM, Phase.STALE):
            self._grasp = None

    def _count_rest(self, now_ns: int) -> None:
        """Count the sightings with the hand at the product; each has to rest on a hand position of its own.

        A hand that is only passing is not at the product: the count begins anew. So it does while a second look is on
        its way, or says that this is another product.
        """
        sighting, hand = self._senses.sighting(now_ns), self._hand
        if self._phase is not Phase.CONTACT or sighting is None or hand is None:
            return
        view, goal, rest = self._view_at_rest(now_ns), self._goal(sighting), self._rest_at
        if view is None or goal is None or sighting.verified is Verified.NO:
            self._rest_at = None
        elif rest is None or apart(view.offset, rest.offset) > STILL:
            self._rest_at = _Rest(view.offset, hand.stamp_ns, hand.stamp_ns)
        elif hand.stamp_ns != rest.stamp_ns:
            self._rest_at = _Rest(rest.offset, rest.since_ns, hand.stamp_ns, rest.many + 1)
            rests = abs(hand.stamp_ns - rest.since_ns) >= _RESTS_NS
            if rests and rest.many + 1 >= self.settings.contact_frames:
                palm = palm_at(view.offset, self.settings.palm_standoff, hand.xyz)
                self._grasp = self._grasp_of(sighting, goal, palm)
                self._asked_of_pack = 0
                self._advance(Cue.AT_REST, self._stopwatch.seconds)

    def _grasp_of(self, sighting: TargetSighting, goal: TrackedProduct, hand: Vector, comes: bool = False) -> Grasp:
        """The taking of a product that stands at ``goal`` by the hand (3,), which is there or ``comes`` there."""
        # Whoever got a wrong one was led badly: that the product is gone is then no sign that it was taken.
        known = self._sure(sighting) and sighting.verified is not Verified.PENDING and not self._careful
        doubted = self._trying and self._look_alikes
        unsure = self._trying and not doubted
        compared = self._candidates.compared
        return Grasp(self.settings, hand, goal, doubted, compared, known, comes, unsure)

    @property
    def _comes(self) -> bool:
        """Whether a hand that was told to take the product is on its way to it."""
        return self._grasp is not None and not self._grasp.reached

    def _look_at_hand(self, now: float, now_ns: int) -> None:
        """Take in what a sighting says of the pack that the person was asked to take."""
        sighting, hand = self._senses.sighting(now_ns), self._hand
        if self._phase is not Phase.CONFIRM or self._grasp is None or sighting is None or hand is None:
            return
        if self._awaited_hand(now_ns) is None:
            lifted = self._grasp.lifted
            self._grasp.look(sighting, hand.xyz, hand.stamp_ns)
            if self._grasp.lifted and not lifted:
                self._lifted_at = now
            self._follow(now, now_ns)

    # What to say of it

    def _next(self, now: float, now_ns: int) -> Instruction | None:
        if self._phase not in ACTIVE:
            return None
        self._forget_dropped(now)
        if self._phase is not Phase.STALE and not self._pacing.speech_over(now):
            return None
        saying = self._confirmation(now_ns) or self._saying(now, now_ns)
        if saying is None or not self._turn_of(saying, now, now_ns):
            return None
        if saying.topic == "done":
            self._advance(Cue.CONFIRMED, now)
        return self._emit(saying, now, now_ns)

    def _turn_of(self, saying: _Saying, now: float, now_ns: int) -> bool:
        """Whether it may be said now; what tells of a place was seen after the person had time to act, or foreseen."""
        if saying.fades and saying.stamp_ns is not None and now_ns - saying.stamp_ns > FRESH_NS - _TO_BEGIN_NS:
            return False
        if saying.urgency >= Urgency.HIGH:
            free = True
        elif saying.soon:
            free = self._pacing.speech_over(now)
        else:
            age = 0.0 if saying.stamp_ns is None else _age(saying.stamp_ns, now_ns)
            free = self._pacing.speech_over(now)
            free = free and (self._pacing.free(now - age) if saying.ready is None else saying.ready)
        spoken = self._spoken.get(saying.topic)
        return free and (spoken is None or now >= spoken + saying.again_after)

    def _confirmation(self, now_ns: int) -> _Saying | None:
        """That it is the one, when the newest picture still says so."""
        sighting, grasp = self._senses.sighting(now_ns), self._grasp
        if self._phase is not Phase.CONFIRM or grasp is None or grasp.verdict is not Verdict.CONFIRMED:
            return None
        if sighting is None or self._awaited_hand(now_ns) is not None or self._hand is None:
            return None
        if not grasp.agrees(sighting, self._hand.xyz):
            return None
        # What nobody has shown us cannot be told from it, unless both were in the hand.
        alike = grasp.doubted and self._stranger and not grasp.compared
        key = f"done_{self._size or 'alike'}" if alike else "done"
        text = self.phrases.say(key, name=self._target_name)
        return _Saying(text, "done", 0.0, 0.0, stamp_ns=min(sighting.stamp_ns, self._hand.stamp_ns), soon=True)

    def _saying(self, now: float, now_ns: int, asked: bool = False) -> _Saying | None:
        """What could be said in this phase; ``asked`` leaves out the time that a phase is given to settle."""
        if self._phase is Phase.STALE:
            # Whoever moves on after words from before the camera was lost moves blindly: this one does not wait.
            return replace(self._notice("waiting_for_camera" if asked else "stale", "stale"), urgency=Urgency.HIGH)
        sighting = self._senses.sighting(now_ns)
        if sighting is None:
            return None
        settled = math.inf if asked else now - self._phase_since
        speak: dict[Phase, Callable[[], _Saying | None]] = {
            Phase.SEARCH: lambda: self._scan(sighting, settled, now),
            Phase.ABSENT: lambda: self._absent(sighting, asked, now),
            Phase.LOST: lambda: self._lost(sighting, now_ns, asked) if settled >= self.settings.lost_settle else None,
            Phase.AMBIGUOUS: lambda: self._ambiguous(sighting) if settled >= self.settings.ambiguous_settle else None,
            Phase.BLOCKED: lambda: self._way_out(),
            Phase.WRONG_ITEM: lambda: self._wrong_item(sighting),
        }
        if self._phase in speak:
            return speak[self._phase]()
        awaited = self._awaited_hand(now_ns)
        if awaited is not None:
            return self._without_hand(sighting, awaited, asked)
        if self._phase is Phase.CONFIRM and not self._comes:
            return self._request(now, asked)
        if self._phase is Phase.CONFIRM and not asked:
            return None
        if self._phase is Phase.CONTACT:
            return self._notice("contact", "contact") if settled >= self.settings.contact_settle else None
        view = self._view_at_rest(now_ns)
        if view is None or view.move is None:
            return None
        nowhere = view.move.axis == "z" and self._gets_nowhere(view)
        if nowhere:
            # Not before who was told to reach had the time to: that alone may bring the hand into view.
            return replace(self._hand_lost(), soon=False, stamp_ns=view.stamp_ns)
        return self._direction(view, view.move)

    def _gets_nowhere(self, view: _View) -> bool:
        """Whether the product was said to be straight ahead, and is as far away as before: the hand, which is not seen,
        would show what is wrong."""
        if view.offset.reference != "camera" or self._ahead is None or not view.offset.z >= self._ahead - _NEARER:
            return False
        return self._may_ask_for_hand

    @property
    def _may_ask_for_hand(self) -> bool:
        """Who has not shown one in this search may have none that is followed, and is asked for it once."""
        return self._hand_shown or "hand_lost" not in self._spoken

    def _without_hand(self, sighting: TargetSighting, awaited: float, asked: bool) -> _Saying | None:
        """That the hand, seen ``awaited`` seconds ago, is out of view; a turn first, if it went out by the product."""
        turn = self._turn_after_hand(sighting)
        if turn is not None and awaited > _GONE:
            return turn
        if asked or (turn is None and awaited > self.settings.hand_timeout):
            return self._hand_lost()
        return None

    def _hand_lost(self) -> _Saying:
        return replace(self._notice("hand_lost", "hand_lost"), pause=self.settings.reaction + _SHOW)

    def _turn_after_hand(self, sighting: TargetSighting) -> _Saying | None:
        """The turn of the camera towards the product that brings back a hand which left the picture on that side.

        It is asked for once; a hand that is not seen then is out of view.
        """
        goal, hand = self._goal(sighting), self._hand
        if self._phase not in (Phase.AIM, Phase.REACH) or hand is None or goal is None:
            return None
        bearing = bearing_of(goal)
        gone = () if bearing is None else self._framing.hand_left_by(hand.xyz, bearing)
        if bearing is None or not gone:
            return None
        view = _View(from_camera(bearing, position_of(goal)), sighting.stamp_ns, self._planner.choose)
        move = view.move
        return self._direction(view, move) if move is not None and move.axis in gone else None

    def _notice(self, key: str, topic: str, **values: object) -> _Saying:
        text = self.phrases.say(key, **values)
        return _Saying(text, topic, self.settings.notice_every, self.settings.reaction, soon=True)

    def _scan(self, sighting: TargetSighting, settled: float, now: float) -> _Saying | None:
        """The next turn of the camera, once this view was looked over or had its time.

        A product that was seen in it a moment ago is waited for.
        """
        settings = self.settings
        if now - self._seen_at < (_TRIED_FOR if self._trying else settings.scan_every):
            return None
        since = now - self._spoken.get("scan", now - settled)
        told = min(since, now - self._spoken["absent"]) if self._absent_said else math.inf
        if told < settings.absent_scan_every and not math.isinf(settled):
            return None
        if not self._tour.looked and since >= (settings.scan_every if self._said_in_phase else settings.search_settle):
            self._tour.look()
        if self._tour.next is None and self._tour.looked and (self._absent_said or not self._absent_from(sighting)):
            self._tour.back()
        turn = self._tour.next
        if turn is None or not (self._tour.looked or math.isinf(settled)):
            return None
        text = self.phrases.say(f"{'scan' if turn.views == 1 else 'sweep'}.{turn.way}")
        pause = settings.reaction + _TURN * turn.views
        return _Saying(text, "scan", 0.0, pause, sighting.stamp_ns, fades=True, urgency=Urgency.LOW)

    def _new_tour(self) -> Tour:
        """Of the shelf about the view that the camera has now."""
        return Tour(self.settings.search_columns, self.settings.search_rows)

    def _absent(self, sighting: TargetSighting, asked: bool, now: float) -> _Saying | None:
        if self._absent_said and not asked:
            return self._scan(sighting, now - self._phase_since, now)
        return self._notice("absent", "absent", name=self._target_name)

    def _way_out(self) -> _Saying | None:
        """What to do about what stands in the way; said once."""
        if self._said_in_phase:
            return None
        saying = self._notice(f"blocked.{self._obstacle or 'obstacle'}", "blocked")
        return replace(saying, again_after=0.0, pause=self.settings.reaction + _STEP_ASIDE)

    def _request(self, now: float, asked: bool) -> _Saying | None:
        """Take it; then, once it was lifted and looked at for a while, how to hold it so that it can be told."""
        grasp, settings = self._grasp, self.settings
        looks = self._asked_of_pack - 1
        lifted = grasp is not None and grasp.lifted
        if lifted and not asked and (looks >= _LOOKS or now < self._lifted_at + settings.confirm_every):
            return None
        key = grasp.otherwise[min(looks, _LOOKS - 1)] if grasp is not None and lifted and looks >= 0 else "lift"
        pause = settings.reaction + {"lift": _TAKE, "top": _REGRIP}.get(key, 0.0)
        again = settings.confirm_every + pause if lifted else settings.lift_again_after
        return replace(self._notice(f"confirm.{key}", "confirm"), again_after=again, pause=pause)

    def _wrong_item(self, sighting: TargetSighting) -> _Saying | None:
        """That it is another one, and on which side of it the right one is, if that is seen; said once."""
        grasp = self._grasp
        if self._said_in_phase or grasp is None:
            return None
        pause = self.settings.reaction + _PUT_BACK
        if grasp.verdict is not Verdict.REFUTED:
            return replace(self._notice("confirm.untold", "wrong", name=self._target_name), pause=pause)
        goal = self._goal(sighting)
        side = "unknown" if goal is None else side_of(grasp.home, position_of(goal))
        saying = replace(self._notice(f"wrong.{side}", "wrong"), pause=pause)
        return saying if side == "unknown" else replace(saying, stamp_ns=sighting.stamp_ns, fades=True)

    def _lost(self, sighting: TargetSighting, now_ns: int, asked: bool) -> _Saying | None:
        """Turn to where it left the picture; if it was in the middle, hold still, then move back. Behind a hand it is
        not lost, but blocked."""
        if self._hand_in_front(now_ns):
            return self._notice("blocked.hand", "blocked") if asked else None
        side = self._framing.left_by(self._last_place, self._phase_since)
        if side is not None and not self._said_in_phase:
            pause = self.settings.reaction + _TURN
            text = self.phrases.say(f"scan.{side}")
            return _Saying(text, "lost", self.settings.notice_every, pause, sighting.stamp_ns, fades=True, soon=True)
        return self._notice("lost.again" if self._said_in_phase else "lost.first", "lost")

    def _ambiguous(self, sighting: TargetSighting) -> _Saying:
        """With a hand in view the likelier one is tried, or the only one that it may be; without, the person hears
        which two there are, and is asked for the hand."""
        closer = self._notice("ambiguous.closer", "ambiguous")
        if self._hand is not None and not self._trying and sighting.product is not None:
            try_one = f"ambiguous.try_{self._size}" if self._size else "ambiguous.try"
            key = try_one if self._look_alikes else "ambiguous.try_it"
            return replace(self._notice(key, "try"), pause=0.0)
        asked_since = self._spoken.get("hand_lost", -math.inf) >= self._spoken.get("ambiguous", -math.inf)
        if self._hand is None and not asked_since and self._may_ask_for_hand:
            return self._hand_lost()
        if self._said_in_phase % 2:
            return closer
        return replace(closer, text=doubt(sighting, self.phrases), stamp_ns=sighting.stamp_ns, fades=True)

    def _direction(self, view: _View, move: Move) -> _Saying:
        settings = self.settings
        if settings.relative_to == "body" and far_from_hand(view.offset):
            text = place(view.offset, self.phrases, settings.units, settings.directions)
            move = replace(move, amount=None, then=None, take=False, seconds=None, text=text)
        elif settings.directions == "clock":
            move = around_the_clock(move, settings.units)
        text = move.text or direction(move, view.offset, self.phrases, settings.units, settings.directions)
        usual = settings.reaction + movement_seconds(move.metres, settings.movement_speed)
        reaching_unseen = view.offset.reference == "camera" and move.axis == "z"
        again = settings.reach_repeat_after if reaching_unseen else settings.repeat_after
        return _Saying(
            text=text,
            topic=f"direction: {text}",
            again_after=again,
            pause=usual if move.seconds is None else move.seconds,
            stamp_ns=view.stamp_ns,
            fades=True,
            move=move,
            ready=view.ready,
            turn=view.offset.reference == "camera" and move.axis != "z",
            ahead=view.offset.z if reaching_unseen else None,
        )

    def _emit(self, saying: _Saying, now: float, now_ns: int) -> Instruction:
        sighting = self._senses.sighting(now_ns)
        stamp_ns = saying.stamp_ns if saying.stamp_ns is not None else sighting.stamp_ns if sighting else now_ns
        stamp_ns = min(stamp_ns, now_ns)
        valid_until_ns = stamp_ns + FRESH_NS if saying.fades else now_ns + _NOTICE_NS
        length = speech_seconds(saying.text, self.settings.speech_rate_wpm)
        rest = self._rest(now, now_ns)
        self._planner.told(rest, saying.move)
        self._progress.told(rest, None if saying.move is not None and saying.move.take else saying.move)
        self._pacing.begin(length, saying.pause, now, (valid_until_ns - now_ns) / 1e9 + _REPORT_SECONDS)
        self._remember(saying, now + length)
        if saying.move is not None:
            turning_until = now + length + saying.pause + _TURN if saying.turn else None
            self._framing.told(turning_until, self._awaited_hand(now_ns) is not None)
        self._sequence += 1
        instruction = Instruction(
            sequence=self._sequence,
            stamp_ns=stamp_ns,
            frame_id=self._frame_id,
            phase=self._phase,
            text=saying.text,
            axis=saying.move.axis if saying.move else "",
            distance=saying.move.metres if saying.move else math.nan,
            urgency=saying.urgency,
            valid_until_ns=valid_until_ns,
        )
        if saying.move is not None and saying.move.take and sighting is not None and self._hand is not None:
            self._send_to_take(sighting, self._hand.xyz, now, now + length)
        return instruction

    def _send_to_take(self, sighting: TargetSighting, hand: npt.NDArray[np.float64], now: float, spoken: float) -> None:
        """The hand was told to take the product when it comes to it: that is followed from here on."""
        goal = self._goal(sighting)
        if goal is not None:
            self._grasp = self._grasp_of(sighting, goal, hand, comes=True)
            self._advance(Cue.TOLD_TO_TAKE, now)
            self._asked_of_pack, self._spoken["confirm"] = 1, spoken

    def _rest(self, now: float, now_ns: int) -> Offset | None:
        """Where the hand came to rest after what was said last, or will; None while that is not known."""
        view = self._view_at_rest(now_ns)
        if view is None or view.offset.reference != "hand":
            return None
        free = self._pacing.free(now - _age(view.stamp_ns, now_ns)) if view.ready is None else view.ready
        return view.offset if free else None

    def _remember(self, saying: _Saying, spoken: float) -> None:
        self._last_topic = saying.topic
        self._spoken[saying.topic] = spoken
        self._said_in_phase += 1
        lifted = self._grasp is not None and self._grasp.lifted
        self._asked_of_pack += saying.topic == "confirm" and (lifted or not self._asked_of_pack)
        self._trying = self._trying or saying.topic == "try"
        if saying.move is not None or saying.topic == "hand_lost":
            self._ahead = saying.ahead
        if saying.topic == "wrong":
            self._told_at = None if self._hand is None else self._hand.xyz
        if saying.topic == "scan":
            # A turn over more than one view takes longer: the last of them has its time from there on.
            self._spoken["scan"] += _TURN * (self._tour.turn() - 1)
            self._last_place = None
        self._absent_said = self._absent_said or saying.topic == "absent"

    def _forget_dropped(self, now: float) -> None:
        """What the voice dropped as expired was not said: it may be said again at once."""
        if self._pacing.dropped(now):
            self._pacing.cut(now)
            self._spoken.pop(self._last_topic, None)
            self._said_in_phase = max(0, self._said_in_phase - 1)
            self._absent_said = self._absent_said and self._last_topic != "absent"
            self._asked_of_pack -= self._last_topic == "confirm"
            if self._comes:
                self._advance(Cue.NOT_REACHED, now)
            self._trying = self._trying and self._last_topic != "try"
            if self._last_topic == "scan":
                self._tour.undo()
            self._last_topic = ""


def _age(stamp_ns: int, now_ns: int) -> float:
    """Seconds since a stamp."""
    return max(0.0, (now_ns - stamp_ns) / 1e9)


def _is_stranger(runner_up: TrackedProduct, product: TrackedProduct | None) -> bool:
    """Whether a look-alike is no product of the catalogue, so that no second look holds the one against the other."""
    return not runner_up.product_id or (product is not None and runner_up.product_id == product.product_id)
