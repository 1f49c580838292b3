"""Whether the pack in the hand is the one, where further packs of the same product stand on the shelf."""

from __future__ import annotations

import numpy as np
import pytest

from shelfhelp_ros.guidance.grasp import Grasp, Verdict
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, Position, TargetSighting, TrackedProduct

HOME = np.array([0.0, 0.0, 0.7])
LIFTED = np.array([0.0, 0.1, 0.4])


def product(xyz: tuple[float, float, float], track_id: int) -> TrackedProduct:
    point = np.array(xyz)
    box = np.zeros(4, np.float32)
    position = Position(point, np.eye(3) * 1e-4)
    return TrackedProduct(track_id, box, 0.9, "oats", "Oats", 0.9, point / np.linalg.norm(point), position)


def sighting(
    xyz: tuple[float, float, float], track_id: int, probability: float = 0.9, decision: Decision = Decision.FOUND
) -> TargetSighting:
    return TargetSighting(0, "camera", "oats", "Oats", decision, probability, product(xyz, track_id))


def verdict(seen: TargetSighting, known: bool = True, doubted: bool = False) -> Verdict | None:
    """What ten looks with the hand lifted come to; the pack that it was led to stood straight ahead, as track 1."""
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), doubted, known=known)
    for look in range(10):
        grasp.look(seen, LIFTED, look)
    return grasp.verdict


def test_a_known_pack_that_is_gone_from_its_place_was_taken() -> None:
    """Perception goes on looking at the next facing, which is another track at another place; or at two of them, each
    as likely as a confirmation needs."""
    assert verdict(sighting((0.08, 0.0, 0.72), 2)) is Verdict.CONFIRMED
    assert verdict(sighting((0.08, 0.0, 0.72), 2, decision=Decision.AMBIGUOUS)) is Verdict.CONFIRMED


def test_a_hand_that_goes_on_into_the_shelf_has_taken_nothing() -> None:
    """The product was moved aside as the hand reached for it, and is near the palm that gropes where it stood."""
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), False, known=True)
    groping = np.asarray(HOME) + np.array([0.02, 0.0, 0.15])
    for look in range(10):
        grasp.look(sighting((0.15, 0.0, 0.72), 1), groping, look)
    assert not grasp.lifted
    assert grasp.verdict is None


def test_a_hand_on_its_way_has_to_have_been_at_the_shelf() -> None:
    """Told to take it from afar, it is neither lifted nor judged before it came there, and then counts from there."""
    grasp = Grasp(GuidanceSettings(), np.array([0.0, 0.0, 0.3]), product((0.0, 0.0, 0.72), 1), False, comes=True)
    there = sighting((0.0, 0.0, 0.72), 1)
    for look, depth in enumerate((0.3, 0.35, 0.3, 0.45)):
        grasp.look(there, np.array([0.1, 0.0, depth]), look)
        assert not grasp.reached
        assert not grasp.lifted
    for look, depth in enumerate((0.62, 0.68, 0.66), start=10):
        grasp.look(there, np.array([0.02, 0.0, depth]), look)
    assert grasp.reached
    assert not grasp.lifted
    assert grasp.home == pytest.approx([0.02, 0.0, 0.68])
    for look in range(20, 25):
        grasp.look(sighting((0.0, 0.02, 0.4), 2), LIFTED, look)
    assert grasp.verdict is Verdict.CONFIRMED


def test_a_product_moved_along_the_shelf_is_not_in_the_hand_that_passes_it() -> None:
    """The hand came for it, closed on nothing and goes away empty, past where somebody put the product."""
    grasp = Grasp(GuidanceSettings(), np.array([0.0, 0.0, 0.3]), product((0.0, 0.0, 0.72), 1), False, True, comes=True)
    for look, depth in enumerate((0.5, 0.68, 0.62, 0.575, 0.57, 0.565, 0.56)):
        grasp.look(sighting((0.13, 0.0, 0.72), 1), np.array([0.04, 0.0, depth]), look)
    assert grasp.lifted
    assert grasp.verdict is not Verdict.CONFIRMED


def test_a_hand_that_slides_along_the_shelf_to_it_has_lifted_nothing() -> None:
    """It set out beside the product, and farther from there than a lift is long."""
    grasp = Grasp(GuidanceSettings(), np.array([0.2, 0.0, 0.68]), product((0.0, 0.0, 0.72), 1), False, comes=True)
    for look, across in enumerate((0.2, 0.12, 0.05, 0.0)):
        grasp.look(sighting((0.0, 0.0, 0.72), 1), np.array([across, 0.0, 0.68]), look)
    assert grasp.reached
    assert not grasp.lifted


@pytest.mark.parametrize(
    ("seen", "known", "doubted", "expected"),
    [
        (sighting((0.0, 0.0, 0.72), 1), True, False, Verdict.REFUTED),  # it stays where it was
        (sighting((0.05, 0.0, 0.72), 1), True, False, Verdict.REFUTED),  # the camera swayed
        (sighting((0.05, 0.0, 0.72), 2), True, False, Verdict.REFUTED),  # and it was lost from view meanwhile
        (sighting((0.15, 0.0, 0.72), 1), True, False, None),  # somebody moved it: what was taken is another one
        (sighting((0.08, 0.0, 0.72), 2), False, False, None),  # nobody was sure of it before it was taken
        (sighting((0.08, 0.0, 0.72), 2, 0.5), True, False, None),  # nor is anybody now
        (sighting((0.08, 0.0, 0.72), 2), True, True, Verdict.REFUTED),  # its look-alike stays on the shelf
        (sighting((0.08, 0.0, 0.72), 2, 0.5, Decision.AMBIGUOUS), True, False, Verdict.REFUTED),  # two look alike
        (sighting((0.08, 0.0, 0.72), 2, decision=Decision.AMBIGUOUS), False, False, Verdict.REFUTED),
    ],
)
def test_what_else_is_seen_on_the_shelf_confirms_nothing(
    seen: TargetSighting, known: bool, doubted: bool, expected: Verdict | None
) -> None:
    """The inference holds for a pack that was known, without a look-alike, and away from its place."""
    assert verdict(seen, known, doubted) is expected
