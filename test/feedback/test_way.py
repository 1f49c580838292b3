"""The way that touch and tones follow: only from fresh data, and as the guide reckons it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from way_driver import FRAME, MS, NOW, SURE, searching, sighting

from shelfhelp_ros.feedback.way import Way, rate
from shelfhelp_ros.guidance.phases import ACTIVE, Phase
from shelfhelp_ros.sightings import Decision


def test_from_the_hand_it_is_metres_to_the_goal_before_the_product():
    """The palm stops a little in front of the product."""
    heading = searching((0.3, -0.2, 0.9), hand=(0.1, 0.0, 0.5)).heading(NOW)
    offset = heading.offset
    assert offset.reference == "hand"
    assert (offset.x, offset.y, offset.z) == pytest.approx((0.2, -0.2, 0.4 - 0.03))
    assert (heading.stamp_ns, heading.frame_id, heading.valid_until_ns) == (NOW, FRAME, NOW + 300 * MS)


def test_without_a_hand_it_is_degrees_from_the_camera():
    """And without depth the distance is unknown."""
    way = searching((0.5, 0.0, 0.5))
    offset = way.heading(NOW).offset
    assert (offset.reference, offset.x, offset.y, offset.z) == ("camera", pytest.approx(45), 0.0, 0.5)
    way.on_sighting(sighting((0.5, 0.0, 0.5), NOW + MS, depth=False), NOW + MS)
    assert math.isnan(way.heading(NOW + MS).offset.z)


@pytest.mark.parametrize(
    ("age_ms", "known"), [(0, True), (299, True), (300, False), (5000, False), (-49, True), (-60, False)]
)
def test_it_ends_when_the_sighting_is_300_ms_old(age_ms, known):
    """By its stamp, however late it arrived; one from the future is none either."""
    way = Way()
    way.on_phase(Phase.AIM)
    way.on_sighting(sighting((0.3, 0, 0.9), NOW - age_ms * MS), NOW)
    assert (way.heading(NOW) is not None) is known


def test_a_clock_that_jumps_back_makes_nothing_fresh_again():
    """The time of arrival counts too."""
    way = searching((0.3, 0, 0.9))
    assert way.heading(NOW - 40 * MS) is None


@given(
    seen_ms=st.integers(-500, 2000),
    hand_ms=st.integers(-500, 2000),
    late_ms=st.integers(0, 2000),
    now_ms=st.integers(-500, 3000),
)
def test_nothing_older_than_300_ms_ever_leads(seen_ms, hand_ms, late_ms, now_ms):
    """Whatever the order and delay of what comes in."""
    way = Way()
    way.on_phase(Phase.REACH)
    way.on_hand(np.zeros(3), SURE, NOW + hand_ms * MS, FRAME, NOW + late_ms * MS)
    way.on_sighting(sighting((0.3, 0, 0.9), NOW + seen_ms * MS), NOW + late_ms * MS)
    now = NOW + now_ms * MS
    heading = way.heading(now)
    if heading is not None:
        assert now - heading.stamp_ns < 300 * MS
        assert now - (NOW + seen_ms * MS) < 300 * MS
        if heading.offset.reference == "hand":
            assert now - (NOW + hand_ms * MS) < 300 * MS
        else:
            assert abs(now - (NOW + hand_ms * MS)) > 6000 * MS or abs(now - (NOW + late_ms * MS)) > 6000 * MS


def test_a_hand_that_left_the_view_is_waited_for_and_then_given_up():
    """Its last place leads nowhere; after six seconds the camera alone does."""
    way = searching((0.3, 0, 0.9), hand=(0, 0, 0.5))
    for age_ms, reference in ((290, "hand"), (310, None), (5900, None), (6100, "camera")):
        now = NOW + age_ms * MS
        way.on_sighting(sighting((0.3, 0, 0.9), now), now)
        heading = way.heading(now)
        assert (heading.offset.reference if heading else None) == reference


@pytest.mark.parametrize("hand", [(math.nan, 0, 0.5), (0, math.inf, 0.5)])
def test_a_hand_that_is_not_finite_is_none(hand):
    """The camera leads as before."""
    assert searching((0.3, 0, 0.9), hand=hand).heading(NOW).offset.reference == "camera"


def test_an_uncertain_hand_or_one_of_another_frame_is_none():
    """A position within half a metre, or of another camera, is no position."""
    way = searching((0.3, 0, 0.9))
    way.on_hand(np.zeros(3), np.eye(3) * 0.25, NOW, FRAME, NOW)
    assert way.heading(NOW).offset.reference == "camera"
    way.on_hand(np.zeros(3), SURE, NOW, "wrist", NOW)
    assert way.heading(NOW).offset.reference == "camera"


@pytest.mark.parametrize("phase", list(Phase))
def test_it_leads_only_while_a_search_is_on(phase):
    """Stopped, done and idle are silence."""
    way = searching((0.3, 0, 0.9))
    way.on_phase(phase)
    assert (way.heading(NOW) is not None) is (phase in ACTIVE)


@pytest.mark.parametrize("decision", [decision for decision in Decision if decision is not Decision.FOUND])
def test_it_leads_only_to_what_is_found(decision):
    """A product that may be another is not reached for."""
    way = searching()
    way.on_sighting(sighting((0.3, 0, 0.9), decision=decision), NOW)
    assert way.heading(NOW) is None


def test_a_cleared_target_and_an_overtaken_picture_lead_nowhere():
    """The newest picture counts, not the one that came last."""
    way = searching((0.3, 0, 0.9))
    way.on_sighting(sighting((-0.3, 0, 0.9), NOW - 50 * MS), NOW)
    assert way.heading(NOW).offset.x > 0
    way.on_sighting(sighting((0.3, 0, 0.9), NOW, target=""), NOW)
    assert way.heading(NOW) is None


def test_rates():
    """Fastest near, slowest far, and the geometric mean half way."""
    assert rate(0.0, 0.04, 0.6, 1.5, 8.0) == rate(0.04, 0.04, 0.6, 1.5, 8.0) == 8.0
    assert rate(0.6, 0.04, 0.6, 1.5, 8.0) == pytest.approx(1.5)
    assert rate(9.0, 0.04, 0.6, 1.5, 8.0) == rate(math.nan, 0.04, 0.6, 1.5, 8.0) == pytest.approx(1.5)
    assert rate(0.32, 0.04, 0.6, 1.5, 8.0) == pytest.approx(math.sqrt(1.5 * 8.0))
