"""From a movement or a doubt to its sentence."""

from __future__ import annotations

import math

from shelfhelp_ros.guidance.distances import FAR, PLAIN, Units, spoken_amount
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.planner import Move, Offset
from shelfhelp_ros.sightings import TargetSighting, TrackedProduct

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

#: A product farther from the camera than this, metres, is out of reach.
_ARM = 0.9

#: Two products nearer to each other than this, degrees, are not told apart by left and right.
_SAME_BEARING = 2.0


def direction(move: Move, offset: Offset, phrases: Phrases, units: Units) -> str:
    """The sentence that asks for ``move``: with the amount that the planner chose, if it chose one."""
    if move.then is not None:
        first, second = (part(half, phrases, units) for half in (move, move.then))
        return phrases.say("pair.after" if move.then.axis == "z" else "pair.together", first=first, second=second)
    way = _WAYS[move.axis, move.positive]
    if move.amount in (PLAIN, FAR):
        return phrases.say(f"move.{way}.far" if move.amount is FAR else f"move.{way}.unknown")
    if offset.reference == "camera" and move.axis != "z":
        size = "little" if move.size < _LITTLE_TURN else "far" if move.size > _FAR_TURN else "plain"
        return phrases.say(f"turn.{way}.{size}")
    key = "ahead" if offset.reference == "camera" else f"move.{way}"
    if not math.isfinite(move.metres):
        return phrases.say(f"{key}.unknown")
    form = "walk" if offset.reference == "camera" and move.metres > _ARM else "known"
    return phrases.say(f"{key}.{form}", distance=phrases.distance(move.amount or spoken_amount(move.metres, units)))


def part(move: Move, phrases: Phrases, units: Units) -> str:
    """The words for ``move`` as one half of a sentence."""
    distance = phrases.distance(move.amount or spoken_amount(move.metres, units))
    return phrases.part(f"part.{_WAYS[move.axis, move.positive]}", distance=distance)


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
