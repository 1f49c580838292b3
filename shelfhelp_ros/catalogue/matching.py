"""Is it the wanted product? Similarities become a probability, and probabilities a decision.

A crop shows at most one product. With calibrated odds o_t that it is the target and o_c that it is the best other
product of the catalogue, each judged alone, the probability of the target among the three mutually exclusive cases
(target, the other one, neither) is o_t / (1 + o_t + o_c): Bayes' rule when the neutral case has odds 1.

The more products are in view, the likelier one of them resembles the target by chance, so the odds of each also depend
on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import Calibration
from shelfhelp_ros.sightings import FloatArray

# What the runtime can compute for a match; a card's calibration may use these features and no others. ``log_in_view``
# is the natural logarithm of the number of products in view.
FEATURES = ("similarity", "log_in_view")
# Of a crop's rivals this many are compared, those whose log odds are within this of the first one's.
RIVALS, _AS_LIKELY = 3, 2.0
# What a second look can add to the log odds of a product's family.
_SPEAKS_FOR_FAMILY = 2.0
# Two packs side by side, of which both sides differ by more than this factor, one way, are of two sizes. In another row
# (metres up or down) the camera sees more of a lid, or less, and the box about the pack is another.
_OTHER_SIZE, _OTHER_ROW = 1.08, 0.06
# How many are taken to be in view where two pictures are compared outside any view.
USUAL_VIEW = 20
# How sure the program has to be before it names a product; the encoder's card says what each word means in probability.
CONFIRM = ("cautious", "balanced", "eager")


class Verdict(Enum):
    """What one look says of the target."""

    FOUND = "found"
    AMBIGUOUS = "ambiguous"
    ABSENT = "absent"


@dataclass(frozen=True)
class Thresholds:
    """Probabilities that separate the decisions.

    ``found``: from here on the product is named. ``found_alone``: the same where no other product is known that the
    crop could be (see `Matcher.compared`), so that a look-alike cannot be told by comparison; never below ``found``.
    ``present``: below it the product is taken to be absent. ``ambiguous_margin``: a different product whose probability
    is nearer than this is too close to choose.
    """

    found: float = 0.7
    present: float = 0.3
    ambiguous_margin: float = 0.15
    found_alone: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "present", min(self.present, self.found))
        object.__setattr__(self, "found_alone", max(self.found_alone, self.found))

    @classmethod
    def from_calibration(cls, calibration: Calibration | None, confirm: str = "balanced") -> Thresholds:
        """Those of the encoder's card for one word of ``CONFIRM``, with the defaults for what it leaves out.

        A card from before these words has one set of thresholds, which is then taken for each of them.
        """
        if confirm not in CONFIRM:
            raise ShelfHelpError(f"confirm has to be one of {', '.join(CONFIRM)}, not '{confirm}'")
        if calibration is None:
            return cls()
        given = {**calibration.thresholds, **calibration.confirm.get(confirm, {})}
        return cls(**{field.name: given[field.name] for field in fields(cls) if field.name in given})


@dataclass(frozen=True)
class Match:
    """The verdict over N crops: ``best`` and ``runner_up`` are rows or None, ``probabilities`` N in 0..1.

    ``same`` (N) marks the crops that show the same product as the best one: other facings of it. ``rivalled`` says that
    the best one cannot be told from another product, in view or in the catalogue.
    """

    verdict: Verdict
    best: int | None
    runner_up: int | None
    probabilities: FloatArray
    same: npt.NDArray[np.bool_]
    rivalled: bool = False

    def ranked(self, threshold: float) -> list[int]:
        """Rows whose probability reaches a threshold, the likeliest first; the chosen one leads its equals."""
        likely = np.flatnonzero(self.probabilities >= threshold)
        return sorted((int(row) for row in likely), key=lambda row: (-self.probabilities[row], row != self.best))


@dataclass(frozen=True)
class Verification:
    """What a second look at N crops says: log odds that a crop is the very product and not one of its look-alikes.

    ``target`` (N) of the wanted product, ``other`` (N) of the best other catalogue product; infinite where nothing was
    looked at or nothing could be told. ``between`` (N): that it is the first and not the second, given that it is one
    of them; 0 where that could not be told.
    """

    target: FloatArray
    other: FloatArray
    between: FloatArray

    @classmethod
    def none(cls, count: int) -> Verification:
        """No second look."""
        unknown = np.full(count, np.inf, np.float32)
        return cls(unknown, unknown.copy(), np.zeros(count, np.float32))


@dataclass(frozen=True)
class Standing:
    """How N packs stand on the shelf, metres, NaN where it is not known: ``sizes`` (N×2) are their widths and heights,
    ``levels`` (N) how far down the middle of each is."""

    sizes: FloatArray
    levels: FloatArray

    def of_other_size(self, row: int) -> npt.NDArray[np.bool_]:
        """Which of the packs beside pack ``row`` are larger than it, or smaller, both ways."""
        ratios = np.log(self.sizes / self.sizes[row])
        larger, smaller = ratios > np.log(_OTHER_SIZE), ratios < -np.log(_OTHER_SIZE)
        beside = np.abs(self.levels - self.levels[row]) < _OTHER_ROW
        return np.asarray(beside & (larger.all(axis=1) | smaller.all(axis=1)), np.bool_)


class Matcher:
    """Matching with the calibration of one encoder."""

    def __init__(
        self, calibration: Calibration | None, thresholds: Thresholds | None = None, confirm: str = "balanced"
    ) -> None:
        if calibration is None:
            raise ShelfHelpError(
                "the encoder's card has no calibration, so no match can be judged; export the encoder again"
            )
        unknown = set(calibration.coefficients) - set(FEATURES)
        if unknown or "similarity" not in calibration.coefficients:
            raise ShelfHelpError(
                f"the encoder's calibration is over {', '.join(sorted(calibration.coefficients)) or 'nothing'}, this "
                f"version computes {', '.join(FEATURES)}; update shelfhelp or export the encoder again"
            )
        self.calibration = calibration
        self.thresholds = thresholds or Thresholds.from_calibration(calibration, confirm)

    def log_odds(self, similarity: FloatArray, in_view: int = USUAL_VIEW) -> FloatArray:
        """Log odds that two pictures of this cosine similarity show the same product, judged alone.

        ``in_view``: how many products there are to choose from.
        """
        coefficients = self.calibration.coefficients
        crowd = coefficients.get("log_in_view", 0.0) * np.log(max(1, in_view))
        return np.asarray(similarity * coefficients["similarity"] + crowd + self.calibration.intercept, np.float32)

    def probability_same(self, similarity: FloatArray, in_view: int = USUAL_VIEW) -> FloatArray:
        """Probability that two pictures of this cosine similarity show the same product, judged alone."""
        return sigmoid(self.log_odds(similarity, in_view))

    def probability(self, target: FloatArray, other: FloatArray, in_view: int = USUAL_VIEW) -> FloatArray:
        """Probability that a crop is the target, from its similarity to it and to the best other catalogue product.

        Any shape; ``other`` is -1 where the catalogue has no other product.
        """
        return posterior(self.log_odds(target, in_view), self.log_odds(other, in_view))

    def decide(
        self,
        embeddings: FloatArray,
        target: FloatArray,
        other: FloatArray,
        prefer: int | None = None,
        verification: Verification | None = None,
        references: FloatArray | None = None,
        standing: Standing | None = None,
    ) -> Match:
        """The verdict over N crops in view.

        ``embeddings`` N×D, ``target`` N cosines to the wanted product, ``other`` N cosines to the best other catalogue
        product (-1: none). ``prefer`` is the row chosen before: it stays the choice among facings of one product
        unless another is clearly more probable. ``verification`` is what a second look at these crops says.
        """
        in_view = len(target)
        seen = verification or Verification.none(in_view)
        family = for_family(seen.target, seen.other)
        target_odds, other_odds = shared_out(
            both_log_odds(self.log_odds(target, in_view) + family, seen.target),
            both_log_odds(self.log_odds(other, in_view) + family, seen.other),
            seen.between,
        )
        probabilities = posterior(target_odds, other_odds)
        if not len(probabilities) or float(probabilities.max()) < self.thresholds.present:
            return Match(Verdict.ABSENT, None, None, probabilities, np.zeros(len(probabilities), bool))
        best = int(np.argmax(probabilities))
        to_beat = target if references is None else across_sides(embeddings, references, best)
        same = self.same_product(embeddings, to_beat, best)
        if standing is not None:
            same &= ~standing.of_other_size(best)
        if prefer is not None and same[prefer]:
            lead = probabilities[best] - probabilities[prefer]
            best = prefer if lead < self.thresholds.ambiguous_margin else best
        rivals = np.where(same, -1.0, probabilities)
        runner_up = int(np.argmax(rivals)) if (~same).any() else None
        compared = self.compared(other[best], in_view)
        needed = self.thresholds.found if compared else self.thresholds.found_alone
        # Only where a choice would be made can it be hard: both have to be good enough, not merely equally poor.
        likely = bool(sigmoid(target_odds)[best] >= needed)
        reach = max(float(probabilities[best]) - self.thresholds.ambiguous_margin, self.thresholds.present)
        beside = runner_up is not None and bool(rivals[runner_up] > reach)
        in_catalogue = bool(posterior(other_odds, target_odds)[best] > reach)
        rivalled = likely and (beside or in_catalogue)
        sure = probabilities[best] >= needed and not rivalled
        return Match(Verdict.FOUND if sure else Verdict.AMBIGUOUS, best, runner_up, probabilities, same, rivalled)

    def rivals(self, alike: Sequence[tuple[float, str]]) -> tuple[str, ...]:
        """Of the products that a crop resembles most (cosine and id, best first), those that it may be nearly as well
        as the first."""
        if not alike:
            return ()
        odds = self.log_odds(np.array([similarity for similarity, _ in alike], np.float32))
        return tuple(name for (_, name), value in zip(alike, odds, strict=True) if value >= odds[0] - _AS_LIKELY)

    def compared(self, other: float, in_view: int = USUAL_VIEW) -> bool:
        """Whether a crop was held against a known product that it could have been, from its cosine to the best other
        one: a catalogue of products that are nothing like it says nothing of its look-alikes."""
        return bool(self.probability_same(np.float32(other), in_view) >= self.thresholds.present)

    def same_product(self, embeddings: FloatArray, target: FloatArray, row: int) -> npt.NDArray[np.bool_]:
        """Which of N crops show the same product as crop ``row`` (itself among them), by their cosines to a reference.

        Facings side by side are photographed in one light, so they are more alike to each other than to a reference
        photo taken elsewhere; a product that merely resembles the target is not.
        """
        alike = np.asarray(embeddings @ embeddings[row], np.float32)
        likely = self.probability_same(alike, len(embeddings)) >= 0.5
        same = likely & (alike >= np.minimum(target, target[row]))
        same[row] = True
        return np.asarray(same, np.bool_)


def reference_similarity(embeddings: FloatArray, references: FloatArray) -> FloatArray:
    """Cosine of N×D crops to a product with R×D references: N values, that of the best reference."""
    if not len(references):
        return np.full(len(embeddings), -1.0, np.float32)
    return np.asarray((embeddings @ references.T).max(axis=1, initial=-1.0), np.float32)


def across_sides(embeddings: FloatArray, references: FloatArray, row: int) -> FloatArray:
    """How like N×D crops are to the reference (of R×D) that crop ``row`` is most like, or that is to theirs, whichever
    is less: facings that stand turned show each another side, and are like different references more than like each
    other."""
    cosines = np.asarray(embeddings @ references.T, np.float32)
    nearest = cosines.argmax(axis=1)
    return np.asarray(np.minimum(cosines[:, nearest[row]], cosines[row, nearest]), np.float32)


def posterior(target_log_odds: FloatArray, other_log_odds: FloatArray) -> FloatArray:
    """Probability of the target among target, other and neither, from the log odds of the first two."""
    neither_or_other = np.logaddexp(0.0, other_log_odds)
    return sigmoid(np.asarray(target_log_odds - neither_or_other, np.float32))


def both_log_odds(first: FloatArray, second: FloatArray) -> FloatArray:
    """Log odds that two things hold of which the second is only asked where the first does: the product of their
    probabilities, from the log odds of each. Infinite log odds leave the other's."""
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return np.asarray(-np.logaddexp(np.logaddexp(-one, -two), -one - two), np.float32)


def for_family(target: FloatArray, other: FloatArray) -> FloatArray:
    """What second looks add to the log odds that a crop is of the family of the target and its rival.

    A picture that agrees with a reference place by place is of its family, however little the encoder knew it: what
    speaks for one of the two speaks for the family of both (up to a point: the encoder keeps a say), what speaks
    against one does not speak against that.
    """
    told = [np.where(np.isfinite(looked), looked, 0.0) for looked in (target, other)]
    return np.asarray(np.clip(np.maximum(*told), 0.0, _SPEAKS_FOR_FAMILY), np.float32)


def shared_out(first: FloatArray, second: FloatArray, between: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The log odds of two exclusive cases once ``between``, log odds of the first given that it is one of the two, is
    known as well: their sum stays, its shares are those of Bayes' rule."""
    either = np.logaddexp(first, second)
    lead = np.asarray(first - second + between, np.float64)
    one, other = (np.asarray(either - np.logaddexp(0.0, sign * lead), np.float32) for sign in (-1, 1))
    told = between != 0
    return np.where(told, one, first), np.where(told, other, second)


def sigmoid(values: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(values, np.float64))), np.float32)
