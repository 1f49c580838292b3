"""The open set: what is named when the product is not on the shelf, against what is found when it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shelfhelp_ros.catalogue.matching import CONFIRM, Thresholds
from shelfhelp_ros.inference.card import Calibration
from shelfhelp_training.calibration import Claims, Doubles, Episode, Flags, Kinds, Situation, claims, weights


def by_kind(kinds: Kinds) -> list[Flags]:
    """For each kind, which of all episodes are of it."""
    number = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    return [number == kind for kind in range(len(kinds))]


def rows(
    kinds: Mapping[str, Sequence[Episode]], unrelated: Kinds, calibration: Calibration
) -> Iterator[dict[str, Any]]:
    """Shares of searches for each word of `confirm` and each catalogue, in all and by kind of shelf.

    ``unrelated``: the same episodes compared with other families' references only.
    """
    episodes = list(kinds.values())
    present = Thresholds.from_calibration(calibration).present
    made = {
        "nothing": claims(episodes, calibration, present, known=False),
        "other families": claims(unrelated, calibration, present, known=True),
        "all other products": claims(episodes, calibration, present, known=True),
    }
    weight = weights(episodes)
    for catalogue, of_catalogue in made.items():
        for word in CONFIRM:
            thresholds = Thresholds.from_calibration(calibration, word)
            ruled = of_catalogue.beyond(thresholds.found_alone)
            start: dict[str, Any] = {"catalogue": catalogue, "confirm": word}
            start |= {"found from": thresholds.found, "alone from": thresholds.found_alone}
            everything = np.ones(len(weight), bool)
            for name, chosen in [("all", everything), *zip(kinds, by_kind(episodes), strict=True)]:
                yield start | {"kind": name, **_shares(episodes, ruled, thresholds.found, weight, chosen)}


def curve(kinds: Kinds, calibration: Calibration) -> Iterator[dict[str, Any]]:
    """The same shares over thresholds, one for every crop, for all kinds together."""
    weight = weights(kinds)
    everything = np.ones(len(weight), bool)
    present = Thresholds.from_calibration(calibration).present
    made = {known: claims(kinds, calibration, present, known) for known in (False, True)}
    for level in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98):
        for known, catalogue in ((False, "nothing"), (True, "all other products")):
            yield {"catalogue": catalogue, "threshold": level, **_shares(kinds, made[known], level, weight, everything)}


def _shares(kinds: Kinds, made: Claims, level: float, weight: Doubles, chosen: Flags) -> dict[str, float]:
    situation = np.array([e.situation.value for kind in kinds for e in kind])
    named = made.level >= level
    right, wrong = named & made.right, named & ~made.right

    def share(flags: Flags, where: Situation) -> float:
        inside = chosen & (situation == where.value)
        return float(weight[inside & flags].sum() / weight[inside].sum()) if inside.any() else float("nan")

    return {
        "found": share(right, Situation.THERE),
        "wrong crop": share(wrong, Situation.THERE),
        "sold out, named": share(wrong, Situation.SOLD_OUT),
        "elsewhere, named": share(wrong, Situation.ELSEWHERE),
        "wrong named": float(weight[chosen & wrong].sum() / weight[chosen].sum()),
    }
