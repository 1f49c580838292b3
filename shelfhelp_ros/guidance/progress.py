"""Whether the hand gets anywhere: one that is sent the same way again and again and stays where it is, is blocked."""

from __future__ import annotations

from shelfhelp_ros.guidance.planner import Axis, Move, Offset

#: A hand that went less far than this, metres, along an axis did not move; shorter movements than the second tell
#: nothing.
_STUCK, _SHORTEST = 0.025, 0.06

#: So many movements that did not happen, one after the other, are no mishearing.
_TIMES = 2


class Progress:
    """Compares where the hand came to rest with where it was sent."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._sent: tuple[Offset, Move] | None = None
        self._axis: Axis | None = None
        self._failures = 0

    @property
    def blocked(self) -> Axis | None:
        """The axis along which the hand does not get on; None while it does."""
        return self._axis if self._failures >= _TIMES else None

    def told(self, rest: Offset | None, move: Move | None) -> None:
        """Something is said now: ``move``, or None for what is no direction; ``rest`` is where the hand came to rest
        after what was said before, None when that is not known."""
        sent, self._sent = self._sent, None
        if rest is None or rest.reference != "hand":
            return
        if sent is not None:
            self._judge(sent[0], sent[1], rest)
        if move is not None:
            self._sent = rest, move

    def _judge(self, start: Offset, move: Move, end: Offset) -> None:
        axis = move.axis
        moved = (getattr(start, axis) - getattr(end, axis)) * (1 if move.positive else -1)
        expected = move.size if move.amount is None else move.amount.movement
        if not expected >= _SHORTEST:
            return
        if abs(moved) >= _STUCK:
            self._axis, self._failures = None, 0
            return
        self._failures = self._failures + 1 if self._axis == axis else 1
        self._axis = axis
