"""How far to trust a crop that agrees with one of two look-alikes where they differ: fitted on crops of known products.

A contest is a crop between the reference of its own product and that of another one that the encoder finds as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.verifier import BETWEEN, Evidence, View, compare_pair
from shelfhelp_training.evaluation.lookalikes import POSSIBLE, LookalikeSet, Reference, Shelf, reference_rows, usable

# However clear a comparison is, it may be of references that lie over one another by chance: the log odds go no higher.
_LIMIT = 3.0
_RIDGE = 0.001
# A handful of contests does not get the say of hundreds.
_ENOUGH = 20


@dataclass(frozen=True)
class Contest:
    """The ``agreement`` of a crop with its own product's reference against another's, in photos of one ``kind``."""

    kind: str
    agreement: float


def contests_of(
    lookalikes: LookalikeSet,
    shelves: Sequence[Shelf],
    references: Sequence[Reference],
    encoder: Encoder,
    matcher: Matcher,
    most: int,
    rng: np.random.Generator,
) -> list[Contest]:
    """Up to ``most`` contests that could be held, each of a crop with the other product that it resembles most."""
    vectors = encoder.embed([crop.picture for crop in references])
    views = {row: View(reference.picture) for row, reference in enumerate(references)}
    found = []
    for shelf in shelves:
        rows = usable(references, shelf.photo)
        products = [references[row].product for row in rows]
        cosines = reference_rows(shelf, vectors[rows])
        for detection, crop in shelf.views.items():
            name = shelf.names[detection]
            if name not in products or name.rpartition("/")[2] in lookalikes.twins:
                continue
            own = products.index(name)
            rival = max((i for i in range(len(rows)) if i != own), key=lambda i: cosines[detection, i], default=own)
            if rival != own and float(matcher.log_odds(cosines[detection, [rival]])[0]) > POSSIBLE:
                found.append((crop, views[rows[own]], views[rows[rival]]))
    drawn = [found[number] for number in rng.permutation(len(found))[:most]]
    compared = [compare_pair(crop, [own], [rival]) for crop, own, rival in drawn]
    return [Contest(lookalikes.name, one.agreement) for one in compared if one is not None]


def fit_between(contests: Sequence[Contest]) -> Evidence:
    """Logistic regression without an intercept: with the two products exchanged, the log odds change their sign.

    Kinds have the same weight. Raises ShelfHelpError when there are no contests.
    """
    if not contests:
        raise ShelfHelpError("no crop could be held against two references: there is nothing to fit on")
    sizes: dict[str, int] = {}
    for contest in contests:
        sizes[contest.kind] = sizes.get(contest.kind, 0) + 1
    weight = np.array([1 / max(sizes[contest.kind], _ENOUGH) for contest in contests])
    weight /= weight.sum()
    agreement = np.array([contest.agreement for contest in contests])

    def loss(slope: float) -> float:
        return float((weight * np.logaddexp(0.0, -slope * agreement)).sum()) + _RIDGE * slope**2

    slope = float(minimize_scalar(loss, bounds=(0.0, 20.0), method="bounded").x)
    return Evidence({BETWEEN[0]: round(slope, 4)}, 0.0, _LIMIT)
