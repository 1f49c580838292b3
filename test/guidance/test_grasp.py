"""Whether the pack in the hand is the one, where further packs of the same product stand on the shelf."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shelfhelp_ros.guidance.grasp import Grasp, Verdict
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision, HeldPack, Position, TargetSighting, TrackedProduct, Verified

HOME = np.array([0.0, 0.0, 0.7])
LIFTED = np.array([0.0, 0.1, 0.4])


def product(xyz: tuple[float, float, float], track_id: int) -> TrackedProduct:
    point = np.array(xyz)
    box = np.zeros(4, np.float32)
    position = Position(point, np.eye(3) * 1e-4)
    return TrackedProduct(track_id, box, 0.9, "oats", "Oats", 0.9, point / np.linalg.norm(point), position)


def sighting(
    xyz: tuple[float, float, float],
    track_id: int,
    probability: float = 0.9,
    decision: Decision = Decision.FOUND,
    held: HeldPack | None = None,
) -> TargetSighting:
    seen = product(xyz, track_id)
    like = product((0.3, 0.0, 0.72), 8) if decision is Decision.AMBIGUOUS else None
    return TargetSighting(0, "camera", "oats", "Oats", decision, probability, seen, like, held=held)


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


def held(probability: float, verified: Verified = Verified.UNKNOWN) -> HeldPack:
    return HeldPack(product((0.0, 0.05, 0.41), 9), probability, verified)


@pytest.mark.parametrize(
    ("in_hand", "doubted", "expected"),
    [
        (held(0.8), False, Verdict.CONFIRMED),
        (held(0.8, Verified.YES), True, Verdict.CONFIRMED),
        (held(0.65, Verified.YES), False, Verdict.CONFIRMED),
        (held(0.6, Verified.YES), True, None),
        (held(0.4), True, None),
        (held(0.9, Verified.PENDING), False, None),
        (held(0.9, Verified.NO), False, Verdict.REFUTED),
        (held(0.02), False, Verdict.REFUTED),
    ],
)
def test_the_pack_in_the_hand_tells_by_itself(in_hand: HeldPack, doubted: bool, expected: Verdict | None) -> None:
    """Perception speaks of the next facing, so near that it could be the one that was taken; what it says of the pack
    in the hand comes first. A look-alike in the hand needs a second look, as ever."""
    beside = sighting((0.05, 0.0, 0.72), 2, held=in_hand)
    assert verdict(beside, doubted=doubted) is expected


def test_a_wrong_pack_in_the_hand_is_not_inferred_to_be_the_right_one() -> None:
    """The wanted product is seen at another place, as if its facing had been taken; the pack in the hand is none."""
    assert verdict(sighting((0.15, 0.0, 0.72), 2)) is Verdict.CONFIRMED
    assert verdict(sighting((0.15, 0.0, 0.72), 2, held=held(0.02))) is not Verdict.CONFIRMED


def test_a_facing_that_stays_is_no_sign_against_a_pack_that_may_be_it() -> None:
    """Half sure of the pack in the hand, perception sees the product where it stood, or one so near as that."""
    stays = (0.02, 0.0, 0.72)
    assert verdict(sighting(stays, 1)) is Verdict.REFUTED
    assert verdict(sighting(stays, 1, held=held(0.5))) is None


def test_the_hand_itself_is_no_sign_against_a_pack_that_may_be_it() -> None:
    """A pack was half sure; then only the fingers are detected, which are not like the product, and its look-alike is
    seen on the shelf. The right pack is not sent back for that; a second look that says no still counts."""
    elsewhere = (0.2, 0.0, 0.72)
    for last, expected in ((held(0.02), None), (held(0.02, Verified.NO), Verdict.REFUTED)):
        grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), True)
        for look in range(20):
            seen = held(0.41) if look < 6 else last
            grasp.look(sighting(elsewhere, 2, 0.41, Decision.AMBIGUOUS, held=seen), LIFTED, look * 100_000_000)
        assert grasp.verdict is expected


def test_what_is_seen_on_the_shelf_is_no_sign_against_a_pack_that_is_not_seen_for_a_while() -> None:
    """A pack was half sure, and then is not detected at all; of two look-alikes the other one is called the likelier.
    Refused for that, the right one would be put back, and the other taken for it by comparison."""
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), True)
    for look in range(60):
        seen = held(0.48) if look < 6 else None
        grasp.look(sighting((0.2, 0.0, 0.72), 2, 0.5, Decision.AMBIGUOUS, held=seen), LIFTED, look * 100_000_000)
    assert grasp.verdict is None


@pytest.mark.parametrize(
    ("in_hand", "expected"),
    [(held(0.75), None), (held(0.85), Verdict.CONFIRMED), (held(0.65, Verified.YES), Verdict.CONFIRMED)],
)
def test_what_was_never_sure_has_to_be_surer_in_the_hand(in_hand: HeldPack, expected: Verdict | None) -> None:
    """A product that was only likely on the shelf, and has no look-alike there."""
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), False, unsure=True)
    for look in range(10):
        seen = replace(sighting((0.02, 0.0, 0.72), 1, 0.65, Decision.AMBIGUOUS, held=in_hand), runner_up=None)
        grasp.look(seen, LIFTED, look)
    assert grasp.verdict is expected


@pytest.mark.parametrize("decision", [Decision.FOUND, Decision.AMBIGUOUS])
def test_a_camera_that_sways_lifts_no_pack(decision: Decision) -> None:
    """With an empty hand before it, the product on the shelf seems to have come 8 cm nearer and gone 7 cm aside."""
    nearer = sighting((0.05, 0.05, 0.64), 1, decision=decision)
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), False, compared=True)
    for look in range(20):
        grasp.look(nearer, np.array([0.0, 0.1, 0.55]), look)
    assert grasp.lifted
    assert grasp.verdict is None
    held = sighting((0.05, 0.05, 0.6), 1)
    for look in range(20, 40):
        grasp.look(held, np.array([0.0, 0.1, 0.55]), look)
    assert grasp.verdict is Verdict.CONFIRMED


def test_what_is_found_at_the_hand_is_not_a_pack_in_it_that_looks_like_another() -> None:
    """Whoever kept the wrong pack holds it before the right one: what is seen of the pack itself counts."""
    in_hand = HeldPack(product((0.0, 0.1, 0.4), 9), 0.11, Verified.UNKNOWN)
    assert verdict(sighting((0.05, 0.05, 0.45), 1, held=in_hand), known=False) is None


def test_the_next_facing_stands_close_to_the_one_that_was_taken() -> None:
    """5 cm beside: with nothing seen in the hand it may be the one that stood there, with a likely pack it is not."""
    beside = (0.05, 0.0, 0.72)
    assert verdict(sighting(beside, 2)) is Verdict.REFUTED
    assert verdict(sighting(beside, 2, held=held(0.45))) is Verdict.CONFIRMED
    assert verdict(sighting(beside, 1, held=held(0.45))) is None


def test_pictures_that_miss_the_pack_in_the_hand_say_nothing() -> None:
    """It is not detected in every picture; those in between do not begin the count anew."""
    grasp = Grasp(GuidanceSettings(), HOME, product((0.0, 0.0, 0.72), 1), False, known=True)
    for look in range(6):
        seen = held(0.9) if look % 2 == 0 else None
        grasp.look(sighting((0.02, 0.0, 0.72), 1, held=seen), LIFTED, look * 100_000_000)
    assert grasp.verdict is Verdict.CONFIRMED


def test_what_is_far_from_the_hand_is_not_in_it() -> None:
    """A pack of the product stands out of the next shelf, clear of the rest."""
    out = HeldPack(product((0.5, 0.0, 0.55), 9), 0.95, Verified.YES)
    assert verdict(sighting((0.02, 0.0, 0.72), 1, held=out)) is Verdict.REFUTED
