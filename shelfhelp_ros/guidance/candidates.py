"""Which of the products in a sighting the hand is led to: not one that was taken already and was another product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.sightings import TargetSighting, TrackedProduct

#: Two places nearer to each other than this, metres, are one: perception errs by a centimetre or two, and so do hands.
_SAME_PLACE = 0.05

#: A look-alike of which both sides differ by this factor, one way, is told by its size.
_OTHER_SIZE = 1.06


@dataclass(frozen=True)
class _Refused:
    """A pack that was not the one: its track, and where it stood."""

    track_id: int
    xyz: npt.NDArray[np.float64] | None
    until: float
    sure: bool


class Candidates:
    """Remembers the choice among look-alikes, so that it does not swing from picture to picture, and what was refused.

    Times are seconds of the guide's stopwatch. What was refused may be chosen again after ``forget`` seconds, in case
    the verdict was wrong, or everything was refused. What merely could not be told is chosen again as soon as another
    one surely was not it.
    """

    def __init__(self, forget: float) -> None:
        self._forget = forget
        self._refused: list[_Refused] = []
        self._chosen: TrackedProduct | None = None

    def choose(self, sighting: TargetSighting, now: float) -> TrackedProduct | None:
        """The product to lead to, which is the one chosen from now on."""
        product = self.next(sighting, now)
        self._chosen = product or self._chosen
        return product

    def next(self, sighting: TargetSighting, now: float) -> TrackedProduct | None:
        """The product to lead to: the one chosen before if it is there, else the likeliest that was not refused."""
        seen = [product for product in (sighting.product, sighting.runner_up) if product is not None]
        allowed = [product for product in seen if not self.refused(product, now)]
        before = self._chosen
        kept = [p for p in allowed if before is not None and (p.track_id == before.track_id or _near(p, _xyz(before)))]
        return next(iter(kept or allowed), None)

    def refuse(self, product: TrackedProduct, now: float, sure: bool) -> None:
        """``product``, where it stood, is another one, or could not be told when that is not ``sure``."""
        kept = [one for one in self._refused if one.sure or not sure]
        self._refused = [*kept, _Refused(product.track_id, _xyz(product), now + self._forget, sure)]
        self._chosen = None

    def refused(self, product: TrackedProduct, now: float, surely: bool = False) -> bool:
        """Whether ``product`` was in the hand already, and was not it, or could not be told unless ``surely``."""
        self._refused = [one for one in self._refused if one.until > now]
        return any(_is(product, one) and (one.sure or not surely) for one in self._refused)

    @property
    def compared(self) -> bool:
        """Whether another one was in the hand and was not it."""
        return any(one.sure for one in self._refused)


def size_beside(product: TrackedProduct | None, sighting: TargetSighting) -> str:
    """*larger* or *smaller*: what a product is beside its look-alike in a sighting; empty where they are of one size,
    or that is not known."""
    both = (sighting.product, sighting.runner_up)
    other = next((one for one in both if one is not None and product is not None and one is not product), None)
    if product is None or other is None or product.size is None or other.size is None:
        return ""
    ratios = [mine / its if its > 0 else 1.0 for mine, its in zip(product.size, other.size, strict=True)]
    if min(ratios) > _OTHER_SIZE:
        return "larger"
    return "smaller" if max(ratios) < 1 / _OTHER_SIZE else ""


def _is(product: TrackedProduct, refused: _Refused) -> bool:
    return product.track_id == refused.track_id or _near(product, refused.xyz)


def _near(product: TrackedProduct, place: npt.NDArray[np.float64] | None) -> bool:
    xyz = _xyz(product)
    return xyz is not None and place is not None and float(np.linalg.norm(xyz - place)) < _SAME_PLACE


def _xyz(product: TrackedProduct) -> npt.NDArray[np.float64] | None:
    return None if product.position is None else np.asarray(product.position.xyz, np.float64)
