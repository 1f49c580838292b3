"""Whether the pack that the person took and holds up is the wanted product."""

from __future__ import annotations

from enum import Enum

import numpy as np

from shelfhelp_ros.guidance.offsets import Vector, position_of
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, HeldPack, TargetSighting, TrackedProduct, Verified

#: Two places nearer to each other than this, metres, are one: the camera sways, and facings are wider.
_SAME_PLACE = 0.06

#: A pack that is held up is nearer than where it stood by this at least, metres.
_OFF_THE_SHELF = 0.05

#: So much nearer, metres, is a pack in the hand that perception does not see as such: by less a camera sways.
_HELD_UP = 0.1

#: A hand that is deeper than this, metres, than where it was led to reaches into the shelf.
_DEEPER = 0.02

#: A hand on its way has come to the shelf when it is this near to it in depth, metres: who feels for a pack goes on.
_AT_SHELF = 0.1

#: A pack in the hand may be the product from this probability on: that the product is seen on the shelf is then, and
#: afterwards, no sign of another, there may be more of it. Below, that it is seen at another place is no sign that it
#: was taken.
_MAY_BE = 0.3

#: With a second look that says yes it is the product from here on, where it has no look-alike on the shelf: one in the
#: catalogue that is as likely leaves it a half.
_LIKELY = 0.6

#: One that was not sure enough to be named on the shelf has to be so likely in the hand, where no second look says yes.
_CERTAIN = 0.8

#: While the pack in the hand may be it, the next facing is told from it by less, metres.
_SAME_FACING = 0.035

#: Once the pack in the hand was seen itself, pictures that do not show it say nothing for so long.
_SEEN_NS = 2_000_000_000


class Verdict(Enum):
    """What the looks at the hand say by now."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"


class _Sign(Enum):
    """What one picture says, and how many in a row it takes to believe it."""

    VERIFIED = 4
    LOOKS_RIGHT = 3
    GONE_FROM_SHELF = 5
    LIKELIER_OF_TWO = 6
    NOT_IT = -2
    STILL_ON_SHELF = -3
    RATHER_ON_SHELF = -5


class Grasp:
    """Follows one pack from the hand's arrival: it counts as taken once the hand has gone ``lift_distance`` from there,
    to any side but into the shelf. A hand that was told to take it on its way (``comes``) has to have been at the shelf
    first, and counts from where it came nearest.

    Each look has to rest on a sighting and a hand position of its own. What perception says of the pack in the hand
    itself comes first; where it does not see that, or is not sure of it, the place of what it does see tells. A pack
    that was one of two look-alikes (``doubted``) needs a second look that says yes, or has to be the likelier one after
    the other was in the hand (``compared``). A pack that has no look-alike is believed by the first look when the
    second cannot tell. The wanted product that stays on the shelf while the hand goes away was not taken. Where further
    packs of the same product stand on the shelf, perception may go on looking at one of those: a pack that was
    ``known`` for the product before it was taken, and is gone from its place, is the one in the hand, unless it is
    followed to another place itself.
    """

    def __init__(
        self,
        settings: GuidanceSettings,
        home: Vector,
        product: TrackedProduct,
        doubted: bool,
        compared: bool = False,
        known: bool = False,
        comes: bool = False,
        unsure: bool = False,
    ) -> None:
        """``home`` (3,) is where the hand rests at the ``product`` that it was led to, or where it sets out for it when
        it ``comes``; ``known``: it was found with the probability that a confirmation needs; ``unsure``: it was tried
        because it may be the one, without a look-alike."""
        self._settings = settings
        self.home = home
        self.reached = not comes
        self._comes = comes
        self.product = product
        self.doubted = doubted
        self.compared = compared
        self.known = known
        self.unsure = unsure
        self._needed = max(settings.confirm_probability, _CERTAIN if unsure else 0.0)
        self.lifted = False
        self._sign: _Sign | None = None
        self._times = 0
        self._hand_ns: int | None = None
        self._seen_ns: int | None = None
        self._may_be = False

    @property
    def verdict(self) -> Verdict | None:
        if self._sign is None or self._times < abs(self._sign.value):
            return None
        return Verdict.CONFIRMED if self._sign.value > 0 else Verdict.REFUTED

    @property
    def otherwise(self) -> tuple[str, str]:
        """How to hold it, one after the other, where it cannot be told as it is held. Look-alikes often differ in a
        line at the foot of the front, under the fingers; a pack that is nothing like it may show its back."""
        if self.doubted:
            return "top", "closer"
        return "closer", "top" if self._may_be else "turn"

    def look(self, sighting: TargetSighting, hand: Vector, hand_ns: int) -> None:
        """Take in one fresh sighting and the palm's position (3,) of ``hand_ns``."""
        if not self.lifted:
            self._come(hand)
        self.lifted = self.lifted or (self.reached and self._brings(hand))
        in_hand = self._in_hand(sighting, hand)
        if not self.lifted or hand_ns == self._hand_ns or _is_pending(sighting, in_hand):
            return
        self._hand_ns = hand_ns
        if in_hand is not None:
            self._seen_ns = hand_ns
            self._may_be = self._may_be or in_hand.probability >= _MAY_BE
        elif self._seen_ns is not None and 0 <= hand_ns - self._seen_ns < _SEEN_NS:
            return
        facings = self.known and self._sure(sighting)
        look_alikes = sighting.decision is Decision.AMBIGUOUS and sighting.runner_up is not None
        self.doubted = self.doubted or (look_alikes and not facings)
        sign = self._read(sighting, hand)
        self._times = self._times + 1 if sign is self._sign else 1
        self._sign = sign

    def agrees(self, sighting: TargetSighting, hand: Vector) -> bool:
        """Whether a sighting, with the palm at ``hand`` (3,), says the same as those that led to the verdict."""
        pending = _is_pending(sighting, self._in_hand(sighting, hand))
        return not pending and self._read(sighting, hand) is self._sign

    def _read(self, sighting: TargetSighting, hand: Vector) -> _Sign | None:
        """What a picture says of the pack in the hand; None when it says nothing of it."""
        in_hand = self._in_hand(sighting, hand)
        sign = None if in_hand is None else self._of_itself(in_hand)
        if sign is not None:
            return sign
        may_be = in_hand is not None and in_hand.probability >= _MAY_BE
        sign = self._of_places(sighting, hand, _SAME_FACING if may_be else _SAME_PLACE)
        if sign is _Sign.RATHER_ON_SHELF or (sign is _Sign.STILL_ON_SHELF and in_hand is not None):
            return None if self._may_be else sign
        # What is seen at the hand is not the pack in it, or not surely, where that looks like another one itself.
        unlikely = in_hand is not None and not may_be
        return None if unlikely and sign is not None and sign.value > 0 else sign

    def _in_hand(self, sighting: TargetSighting, hand: Vector) -> HeldPack | None:
        """The pack in the hand, where perception sees it."""
        place = None if sighting.held is None else position_of(sighting.held.product)
        if place is None or float(np.linalg.norm(place - hand)) > self._settings.held_within:
            return None
        return None if self._at_its_place(place) or not self._off_the_shelf(place) else sighting.held

    def _of_itself(self, in_hand: HeldPack) -> _Sign | None:
        """What the looks of the pack in the hand say; None where they leave it open."""
        if in_hand.verified is Verified.NO:
            return _Sign.NOT_IT
        sure = in_hand.probability >= self._needed
        likely = sure if self.doubted else in_hand.probability >= _LIKELY
        if likely and in_hand.verified is Verified.YES:
            return _Sign.VERIFIED
        return _Sign.LOOKS_RIGHT if sure and not self.doubted else None

    def _of_places(self, sighting: TargetSighting, hand: Vector, within: float) -> _Sign | None:
        """What it says that the product is seen in the hand, at its place (``within`` metres), or elsewhere."""
        place = position_of(sighting.product)
        if place is None or sighting.decision not in (Decision.FOUND, Decision.AMBIGUOUS):
            return None
        found = sighting.decision is Decision.FOUND
        sure = self._sure(sighting)
        at_its_place = self._at_its_place(place, within)
        if float(np.linalg.norm(place - hand)) > self._settings.held_within:
            if self.doubted or at_its_place:
                return _Sign.STILL_ON_SHELF if found else _Sign.RATHER_ON_SHELF
            other = sighting.product is not None and sighting.product.track_id != self.product.track_id
            return _Sign.GONE_FROM_SHELF if self.known and other and sure else None
        if at_its_place or not self._off_the_shelf(place, _HELD_UP):
            return None
        if sighting.verified is Verified.NO:
            return _Sign.NOT_IT
        if sure and sighting.verified is Verified.YES:
            return _Sign.VERIFIED
        if self.doubted:
            return _Sign.LIKELIER_OF_TWO if self.compared else None
        return _Sign.LOOKS_RIGHT if sure and found else None

    def _come(self, hand: Vector) -> None:
        """Follow a hand on its way to the product."""
        goal = position_of(self.product)
        if not self._comes or goal is None:
            return
        if float(np.linalg.norm(hand - goal)) < float(np.linalg.norm(self.home - goal)):
            self.home = hand
        self.reached = self.reached or float(goal[2] - hand[2]) <= self._settings.palm_standoff + _AT_SHELF

    def _brings(self, hand: Vector) -> bool:
        """Whether the hand has come away with something, and not gone on into the shelf."""
        farther = float(hand[2] - self.home[2]) > _DEEPER
        return not farther and float(np.linalg.norm(hand - self.home)) >= self._settings.lift_distance

    def _sure(self, sighting: TargetSighting) -> bool:
        """Whether a product is likely enough to be confirmed; of look-alikes none is, of several facings each."""
        return sighting.probability >= self._needed

    def _off_the_shelf(self, place: Vector, nearer: float = _OFF_THE_SHELF) -> bool:
        """Whether a product at ``place`` (3,) is so much nearer than where it stood that somebody holds it.

        One that was moved along the shelf, or stands beside, may be near the palm too.
        """
        stood = position_of(self.product)
        return stood is None or float(stood[2] - place[2]) >= nearer

    def _at_its_place(self, place: Vector, within: float = _SAME_PLACE) -> bool:
        """Whether a product at ``place`` (3,) stands where the one that the hand was led to stood."""
        stood = position_of(self.product)
        return stood is not None and float(np.linalg.norm(place - stood)) < within


def _is_pending(sighting: TargetSighting, in_hand: HeldPack | None) -> bool:
    """Whether a second look is on its way at what the verdict rests on."""
    return (sighting if in_hand is None else in_hand).verified is Verified.PENDING
