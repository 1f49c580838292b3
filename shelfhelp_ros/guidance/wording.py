"""From a movement or a doubt to its sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from shelfhelp_ros.guidance.distances import FAR, PLAIN, Units, measured_amount, spoken_amount
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Move, Offset
from shelfhelp_ros.sightings import TargetSighting, TrackedProduct

Directions = Literal["sides", "clock"]

_WAYS = {
    ("x", True): "right",
    ("x", False): "left",
    ("y", True): "down",
    ("y", False): "up",
    ("z", True): "forward",
    ("z", False): "back",
}

#: Degrees up to which a turn is a little one, and beyond which it is a far one.
_LITTLE_TURN, _FAR_TURN = 12.0, 25.0

#: Degrees of an hour of the clock.
_HOUR = 30.0

#: A product farther from the camera than this, metres, is out of reach.
_ARM = 0.9

#: Two products nearer to each other than this, degrees, are not told apart by left and right.
_SAME_BEARING = 2.0

#: Told from the body: within this of the middle, degrees, it is straight ahead; within this of the camera's height,
#: metres, on a level with it.
_AHEAD, _LEVEL = 7.5, 0.08

#: A hand nearer to its goal than this, metres, needs corrections more than the product's place.
_NEAR_HAND = 0.3

#: Offsets smaller than this, metres, are not worth a word in an answer; so many products are named in one.
_TOLD, _NAMED = 0.02, 3

_HOURS: dict[tuple[str, bool], int] = {("x", True): 3, ("x", False): 9, ("y", True): 6, ("y", False): 12}


def direction(move: Move, offset: Offset, phrases: Phrases, units: Units, directions: Directions = "sides") -> str:
    """The sentence that asks for ``move``: with the amount that the planner chose, if it chose one.

    On the ``clock`` a hand moves over the shelf's front as over a clock's face (twelve is up), and a body turns within
    one that lies flat (twelve is straight ahead). A pair that lies in the front is one movement there: see
    ``around_the_clock``.
    """
    clock = directions == "clock"
    if move.take:
        return _taken(move, phrases, units, directions)
    if clock and move.then is not None and move.then.axis != "z":
        return phrases.say("clock.known", distance=_distance(move, phrases, units), hour=phrases.hour(_hour(move)))
    if move.then is not None:
        first, second = (part(half, phrases, units, directions) for half in (move, move.then))
        return phrases.say("pair.after" if move.then.axis == "z" else "pair.together", first=first, second=second)
    if clock and offset.reference == "camera" and move.axis == "x" and move.size >= _HOUR / 2:
        return phrases.say("clock.turn", hour=phrases.hour(_hour_of(move.size if move.positive else -move.size)))
    way = _WAYS[move.axis, move.positive]
    if clock and offset.reference == "hand" and move.axis != "z":
        return _towards_hour(move, phrases, units)
    if move.amount in (PLAIN, FAR):
        return phrases.say(f"move.{way}.far" if move.amount is FAR else f"move.{way}.unknown")
    if offset.reference == "camera" and move.axis != "z":
        size = "little" if move.size < _LITTLE_TURN else "far" if move.size > _FAR_TURN else "plain"
        return phrases.say(f"turn.{way}.{size}")
    key = "ahead" if offset.reference == "camera" else f"move.{way}"
    if not math.isfinite(move.metres):
        return phrases.say(f"{key}.unknown")
    form = "walk" if offset.reference == "camera" and move.metres > _ARM else "known"
    return phrases.say(f"{key}.{form}", distance=_distance(move, phrases, units))


def _taken(move: Move, phrases: Phrases, units: Units, directions: Directions) -> str:
    """The sentence for a movement, or two, after which the product is taken."""
    first = part(move, phrases, units, directions)
    if move.then is None or (directions == "clock" and move.then.axis != "z"):
        return phrases.say("take.one", first=first)
    return phrases.say("take.two", first=first, second=part(move.then, phrases, units, directions))


def part(move: Move, phrases: Phrases, units: Units, directions: Directions = "sides") -> str:
    """The words for ``move`` as one half of a sentence."""
    distance = _distance(move, phrases, units)
    if directions == "clock" and move.axis != "z":
        return phrases.part("clock.part", distance=distance, hour=phrases.hour(_hour(move)))
    return phrases.part(f"part.{_WAYS[move.axis, move.positive]}", distance=distance)


def around_the_clock(move: Move, units: Units) -> Move:
    """A pair across and down as the one movement towards an hour that is spoken: amounts are what it moves along each.

    Every other movement is what it was. So what is learnt of the person is learnt of what they were told.
    """
    then = move.then
    if then is None or {move.axis, then.axis} != {"x", "y"} or move.amount is None or then.amount is None:
        return move
    spoken = spoken_amount(math.hypot(move.amount.movement, then.amount.movement), units)
    angle = math.radians(_HOUR * _hour(move))
    along = {"x": abs(math.sin(angle)), "y": abs(math.cos(angle))}
    halves = [
        replace(half, amount=replace(spoken, movement=along[half.axis] * spoken.movement), then=None)
        for half in (move, then)
        if along[half.axis] > 1e-6
    ]
    then = halves[1] if len(halves) > 1 else None
    return replace(halves[0], then=then, take=move.take, seconds=move.seconds)


def place(offset: Offset, phrases: Phrases, units: Units, directions: Directions = "sides") -> str:
    """Where the product is from the body: its side, how far away, and its height beside the camera's, which is worn.

    ``offset.product`` has to be known. Distances are as they measure.
    """
    assert offset.product is not None
    x, y, z = offset.product
    angle = math.degrees(math.atan2(x, z))
    if directions == "clock":
        side = phrases.part("body.clock", hour=phrases.hour(_hour_of(angle)))
    else:
        side = phrases.part(f"body.{'ahead' if abs(angle) <= _AHEAD else 'right' if x > 0 else 'left'}")
    level = "level" if abs(y) <= _LEVEL else "below" if y > 0 else "above"
    height = phrases.part(f"body.{level}", distance=phrases.distance(measured_amount(y, units)))
    away = phrases.distance(measured_amount(math.hypot(x, z), units))
    return phrases.say("body.place", side=side, distance=away, height=height)


def whereabouts(offset: Offset, phrases: Phrases, units: Units, directions: Directions, relative_to: str) -> str:
    """Where the product is, from the hand or from the body; empty when that is not known.

    Distances are as they measure: nobody is asked to move.
    """
    if offset.reference == "camera" or relative_to == "body":
        return place(offset, phrases, units, directions) if offset.product is not None else ""
    if not math.isfinite(offset.z):
        return ""
    parts = [(axis, value) for axis, value in (("x", offset.x), ("y", offset.y)) if abs(value) >= _TOLD]
    if directions == "clock" and parts:
        hour = phrases.hour(_hour_of(math.degrees(math.atan2(offset.x, -offset.y))))
        distance = phrases.distance(measured_amount(math.hypot(offset.x, offset.y), units))
        ways = [phrases.part("clock.part", distance=distance, hour=hour)]
    else:
        ways = [_told(axis, value, phrases, units) for axis, value in parts]
    if abs(offset.z) >= _TOLD or not ways:
        ways.append(_told("z", offset.z, phrases, units))
    return phrases.say("where.from_hand", way=", ".join(ways))


def in_view(names: Sequence[str], phrases: Phrases) -> str:
    """How many products are in view, and what the first of the known ones are; an unknown one has an empty name."""
    if not names:
        return phrases.say("where.nothing")
    counted = phrases.counted("where.products", len(names))
    known = list(dict.fromkeys(name for name in names if name))[:_NAMED]
    return f"{counted} {phrases.say('where.known', names=', '.join(known))}" if known else counted


def far_from_hand(offset: Offset) -> bool:
    """Whether the hand is so far from its goal that the product's place says more than a correction."""
    if offset.product is None or offset.reference != "hand":
        return False
    return not math.dist((offset.x, offset.y, offset.z), (0, 0, 0)) <= _NEAR_HAND


def _told(axis: str, value: float, phrases: Phrases, units: Units) -> str:
    return phrases.part(f"part.{_WAYS[axis, value > 0]}", distance=phrases.distance(measured_amount(value, units)))


def _distance(move: Move, phrases: Phrases, units: Units) -> str:
    return phrases.distance(move.amount or spoken_amount(move.metres, units))


def _towards_hour(move: Move, phrases: Phrases, units: Units) -> str:
    hour = phrases.hour(_hour(move))
    if move.amount in (PLAIN, FAR) or not math.isfinite(move.metres):
        return phrases.say("clock.far" if move.amount is FAR else "clock.unknown", hour=hour)
    return phrases.say("clock.known", distance=_distance(move, phrases, units), hour=hour)


def _hour(move: Move) -> int:
    """The hour, 1 to 12, towards which a movement in the shelf's front goes."""
    then = move.then
    if then is None or then.axis == "z" or move.amount is None or then.amount is None:
        return _HOURS[move.axis, move.positive]
    way = {half.axis: half.amount.movement * (1 if half.positive else -1) for half in (move, then) if half.amount}
    return _hour_of(math.degrees(math.atan2(way["x"], -way["y"])))


def _hour_of(degrees: float) -> int:
    """The hour, 1 to 12, that is ``degrees`` clockwise of twelve."""
    return round(degrees / _HOUR) % 12 or 12


def doubt(sighting: TargetSighting, phrases: Phrases) -> str:
    """The sentence about an ambiguous sighting: which two, and where, as far as it is known."""
    first, second = sighting.product, sighting.runner_up
    if first is None or second is None:
        return phrases.say("ambiguous.unsure", name=sighting.target_name)
    names = {first.product_name, second.product_name}
    if len(names) < 2 or "" in names:
        return phrases.say("ambiguous.twins", name=sighting.target_name)
    across, down = (_degrees(first, axis) - _degrees(second, axis) for axis in (0, 1))
    if abs(across) >= max(_SAME_BEARING, abs(down)):
        left, right = (first, second) if across < 0 else (second, first)
        return phrases.say("ambiguous.sides", first=left.product_name, second=right.product_name)
    if abs(down) >= _SAME_BEARING:
        above, below = (first, second) if down < 0 else (second, first)
        return phrases.say("ambiguous.stacked", first=above.product_name, second=below.product_name)
    return phrases.say("ambiguous.twins", name=sighting.target_name)


def _degrees(product: TrackedProduct, axis: int) -> float:
    """Angle from the optical axis, to the right (axis 0) or down (axis 1); NaN when the bearing is."""
    return math.degrees(math.atan2(float(product.bearing[axis]), float(product.bearing[2])))
