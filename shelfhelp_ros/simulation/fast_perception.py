"""What perception says in a search without pictures: the truth, with errors that were measured on rendered frames.

While nothing is held, verdicts are drawn from one run measured on a rendered shelf; while a pack is held up, one run
measured with such a pack in the hand is played back. Which of two look-alikes that cannot be told apart comes first was
not measured: it is either one, with equal chances, for a whole search.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from shelfhelp_ros.sightings import Decision, HeldPack, Position, TargetSighting, TrackedProduct
from shelfhelp_ros.simulation.hearing import Gesture
from shelfhelp_ros.simulation.listeners import Hand
from shelfhelp_ros.simulation.perception_noise import HeldRun, HeldVerdict, PerceptionNoise, PerceptionRun
from shelfhelp_ros.simulation.racks import HALF_VIEW, TWIN, WANTED, Rack, Scene, Vector

NAME = "Oat drink"

#: A pack that is seen: its middle in the optical frame (3,), its index, and the size of its front (2,).
Seen = tuple[Vector, int, Vector]

#: Half the picture as tangents, less a margin for a product that is cut off.
VIEW = HALF_VIEW - 0.05
#: Half the width of a hand, metres; where a hand holds a pack, as a share of its height below the middle, and at its
#: top.
_PALM, _GRIP, _TOP = 0.045, 0.35, -0.4
#: How far the box about a pack is from its front, as the standard deviation of a logarithm: assumed.
_SIZE_ERROR = 0.1
#: A verdict holds until it is drawn anew, with this chance in the time (seconds) between two measured frames: errors
#: come in runs.
_RENEWED, _MEASURED_EVERY = 0.3, 0.2
#: How probable a product is that is likely, and not sure enough to be named: assumed, it is about the middle.
_LIKELY = 0.65
#: As in ``perception.watch``: seconds lost, seconds until absent, and the share of the picture that is another view.
_LOST_FOR, _ABSENT_AFTER, _NEW_VIEW = 10.0, 3.0, 0.4


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
        self._likelier_is_decoy = bool(rng.random() < 0.5)
        self._view_at, self._view_since = np.full(2, np.inf), 0.0
        self._stretch = np.exp(_SIZE_ERROR * rng.standard_normal(2))
        self._held: HeldRun | None = None
        self._held_since = 0.0
        self._held_how: Gesture | None = None
        self._spread = math.log(noise.latency_p95 / noise.latency) / 1.645

    def latency(self) -> float:
        """Seconds from a picture to its verdict: log-normal through the measured median and 95th percentile."""
        return float(self._noise.latency * math.exp(self._spread * self._rng.standard_normal()))

    def sight(
        self, scene: Scene, rack: Rack, sees: Callable[[Vector], Vector], turn: Vector, hand: Hand, now: float
    ) -> TargetSighting:
        """The verdict on the picture taken at ``now``, with the camera turned by ``turn`` (2,) radians; its stamp is
        for the caller to set."""
        self._follow_view(turn, now)
        if hand.held is not None:
            return self._of_held(scene, rack, sees, hand, now)
        self._held = None
        wanted = self._visible(rack, WANTED, sees)
        decoy = self._decoy(rack, sees)
        seconds = 0.0 if self._last is None else now - self._last
        self._last = now
        looked_at = wanted if wanted is not None else decoy if not scene.present else None
        self._in_view = self._in_view + seconds if looked_at is not None else 0.0
        if looked_at is None:
            return self._unseen(now)
        covered = wanted is not None and _covers(sees(hand.position), wanted[0])
        verdict = self._drawn(covered, seconds)
        if self.found_at is None and verdict != "absent" and self._in_view < self._run.searched:
            verdict = "searching"
        if verdict == "absent" and min(self._in_view, now - self._view_since) < _ABSENT_AFTER:
            verdict = "searching"
        return self._said(verdict, wanted, decoy, now)

    def _drawn(self, covered: bool, seconds: float) -> str:
        """The verdict now, ``seconds`` after the last."""
        renewed = 1 - (1 - _RENEWED) ** (seconds / _MEASURED_EVERY)
        if not self._verdict or covered != self._covered or self._rng.random() < renewed:
            self._verdict = (self._run.covered if covered else self._run.clear).draw(self._rng)
        self._covered = covered
        return self._verdict

    def _unseen(self, now: float) -> TargetSighting:
        if self.found_at is not None and now - self.found_at < _LOST_FOR:
            return _sighting(Decision.LOST)
        return _sighting(Decision.ABSENT if now - self._view_since >= _ABSENT_AFTER else Decision.SEARCHING)

    def _follow_view(self, turn: Vector, now: float) -> None:
        """A camera that turned far enough sees another view, in which nothing is called absent at once."""
        if np.abs((turn - self._view_at) / (2 * np.arctan(HALF_VIEW))).max() > _NEW_VIEW:
            self._view_at, self._view_since = turn.copy(), now

    def _of_held(
        self, scene: Scene, rack: Rack, sees: Callable[[Vector], Vector], hand: Hand, now: float
    ) -> TargetSighting:
        """What was measured of such a pack in the hand, by the time since it was taken or held otherwise."""
        assert hand.held is not None
        product = int(rack.products[hand.held])
        if self._held is None:
            taken = "right" if product == WANTED else "twin" if product == TWIN else "other"
            self._held = self._noise.draw_held(self._run, taken, len(rack.points(WANTED)), self._rng)
            self._held_since = now
        if hand.shows is not self._held_how:
            self._held_how, self._held_since = hand.shows, now
        said = self._held.at(now - self._held_since, hand.shows)
        shelf = rack.without(hand.held)
        grip = _TOP if hand.shows is Gesture.AT_TOP else _GRIP
        middle = sees(hand.position - np.array([0.0, grip * 2 * float(rack.halves[hand.held, 1]), 0.0]))
        in_hand = middle, hand.held, self._size(rack, hand.held)
        on_shelf = self._visible(shelf, WANTED, sees) if said.place == "wanted" else self._decoy(shelf, sees)
        clear = self._clear(said, in_hand, sees(hand.position))
        seen, other = (in_hand, on_shelf) if said.place == "held" else (on_shelf, in_hand)
        if said.place == "nothing" or seen is None or said.decision not in (Decision.FOUND, Decision.AMBIGUOUS):
            rest = (Decision.FOUND, Decision.AMBIGUOUS)
            return replace(_sighting(Decision.LOST if said.decision in rest else said.decision), held=clear)
        runner_up = other if said.decision is Decision.AMBIGUOUS else None
        sighting = _sighting(
            said.decision, self._measured(seen), None if runner_up is None else self._measured(runner_up)
        )
        return replace(sighting, probability=said.probability, verified=said.verified, held=clear)

    def _clear(self, said: HeldVerdict, in_hand: Seen, hand: Vector) -> HeldPack | None:
        """What stands clear of the shelf: the pack in the hand, or the hand alone."""
        if said.clear == "nothing":
            return None
        seen = in_hand if said.clear == "held" else (hand, -1, in_hand[2])
        return HeldPack(_product(*self._measured(seen)), said.clear_probability, said.clear_verified)

    def _said(self, verdict: str, wanted: Seen | None, decoy: Seen | None, now: float) -> TargetSighting:
        if verdict == "found" and wanted is not None:
            self.found_at, self.mistaken = now, False
            return _sighting(Decision.FOUND, self._measured(wanted))
        if verdict in ("found", "wrong") and decoy is not None:
            self.found_at, self.mistaken = now, True
            return _sighting(Decision.FOUND, self._measured(decoy))
        if verdict == "unsure" and wanted is not None:
            return replace(_sighting(Decision.AMBIGUOUS, self._measured(wanted)), probability=_LIKELY)
        if verdict == "ambiguous" and decoy is not None:
            self.doubted = True
            first, second = (decoy, wanted) if wanted is None or self._likelier_is_decoy else (wanted, decoy)
            sighting = _sighting(Decision.AMBIGUOUS, self._measured(first), self._measured(second or first))
            assert sighting.runner_up is not None
            # The look-alikes of measured shelves are in the catalogue.
            return replace(sighting, runner_up=replace(sighting.runner_up, product_id="look-alike"))
        decisions = {"absent": Decision.ABSENT, "lost": Decision.LOST}
        return _sighting(decisions.get(verdict, Decision.SEARCHING))

    def _measured(self, seen: Seen) -> Seen:
        point, pack, size = seen
        return np.asarray(point + self._run.offset + self._run.jitter * self._rng.standard_normal(3)), pack, size

    def _visible(self, rack: Rack, product: int, sees: Callable[[Vector], Vector]) -> Seen | None:
        """The pack of a product nearest to the camera's axis; None when none is in view."""
        packs = [int(pack) for pack in np.flatnonzero(rack.products == product)]
        seen = [(sees(rack.point(pack)), pack, self._size(rack, pack)) for pack in packs]
        seen = [s for s in seen if s[0][2] > 0.1 and (np.abs(s[0][:2]) < VIEW * s[0][2]).all()]
        return min(seen, key=lambda s: float(math.hypot(s[0][0], s[0][1]) / s[0][2]), default=None)

    def _size(self, rack: Rack, pack: int) -> Vector:
        """How large a front is seen, width and height."""
        return np.asarray(2 * rack.halves[pack] * self._stretch)

    def _decoy(self, rack: Rack, sees: Callable[[Vector], Vector]) -> Seen | None:
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


def _sighting(decision: Decision, product: Seen | None = None, runner_up: Seen | None = None) -> TargetSighting:
    seen, other = (None if one is None else _product(*one) for one in (product, runner_up))
    return TargetSighting(0, "camera", "wanted", NAME, decision, 0.95, seen, other)


def _product(xyz: Vector, pack: int, size: Vector) -> TrackedProduct:
    box = np.zeros(4, np.float32)
    position = Position(xyz, np.eye(3) * 1e-4)
    towards = xyz / np.linalg.norm(xyz)
    width, height = (float(v) for v in size)
    return TrackedProduct(pack, box, 0.9, "wanted", NAME, 0.9, towards, position, (width, height))
