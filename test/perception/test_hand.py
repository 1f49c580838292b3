"""Which hand is the user's, and that a lost hand gives silence, never a guess."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.perception.hand import HandFinder, HandMeasurement, HandSettings, HandTracker
from shelfhelp_ros.sightings import Frame

CAMERA = CameraModel.from_field_of_view(64, 48, 69.0)
TENTH = 100_000_000


def hand(x: float, y: float, z: float, upward: float = 1.0, bias: float = 0.0) -> HandMeasurement:
    return HandMeasurement(np.array([x, y, z]), 1e-4 * np.eye(3), bias**2 * np.eye(3), upward)


class Told:
    """A source that finds what it is told to."""

    name = "told"

    def __init__(self, *hands: HandMeasurement) -> None:
        self.hands = list(hands)

    def find(self, frame: Frame, camera: CameraModel) -> list[HandMeasurement]:
        return self.hands

    def close(self) -> None:
        pass


def frame(stamp_ns: int, camera: CameraModel | None = CAMERA) -> Frame:
    return Frame(stamp_ns, "camera", np.zeros((48, 64, 3), np.uint8), None, camera)


def test_a_hand_counts_once_two_pictures_agree() -> None:
    """A single wrong find on a pack must not turn the guidance to a hand that is not there."""
    tracker = HandTracker()
    assert tracker.update([hand(0, 0, 0.5)], 0) is None
    position = tracker.update([hand(0.01, 0, 0.5)], TENTH)
    assert position is not None
    assert position.xyz == pytest.approx([0.01, 0, 0.5], abs=0.01)


def test_a_picture_without_the_hand_gives_nothing() -> None:
    """The filter could go on alone; what it says would be a guess with a fresh stamp."""
    tracker = HandTracker()
    for number in range(5):
        tracker.update([hand(0, 0, 0.5)], number * TENTH)
    assert tracker.update([], 5 * TENTH) is None
    assert tracker.update([hand(0, 0, 0.5)], 6 * TENTH) is not None


def test_a_lost_hand_has_to_settle_again() -> None:
    """After the time of `lost_after_s` a find is as new as the first."""
    tracker = HandTracker(HandSettings(lost_after_s=0.4))
    for number in range(5):
        tracker.update([hand(0, 0, 0.5)], number * TENTH)
    assert tracker.update([hand(0, 0, 0.5)], 9 * TENTH) is None
    assert tracker.update([hand(0, 0, 0.5)], 10 * TENTH) is not None


def test_an_outlier_is_left_out_and_does_not_move_the_hand() -> None:
    """A find a metre away within a tenth of a second is another thing."""
    tracker = HandTracker()
    for number in range(5):
        tracker.update([hand(0, 0, 0.5)], number * TENTH)
    assert tracker.update([hand(0.8, 0, 0.5)], 5 * TENTH) is None
    back = tracker.update([hand(0, 0, 0.5)], 6 * TENTH)
    assert back is not None
    assert back.xyz == pytest.approx([0, 0, 0.5], abs=0.01)


@pytest.mark.parametrize(
    ("user", "other"),
    [
        (hand(0.1, 0.1, 0.5), hand(-0.1, 0, 0.9)),
        (hand(0.1, 0.1, 0.6), hand(-0.1, 0, 0.5, upward=-1.0)),
    ],
    ids=["the nearer", "the one that points away"],
)
def test_of_two_hands_the_users_is_followed(user: HandMeasurement, other: HandMeasurement) -> None:
    """A stranger takes something off the same shelf."""
    for hands in ([user, other], [other, user]):
        tracker = HandTracker()
        tracker.update(hands, 0)
        position = tracker.update(hands, TENTH)
        assert position is not None
        assert position.xyz == pytest.approx(user.xyz, abs=1e-6)


def test_the_hand_once_followed_stays_the_hand() -> None:
    """A stranger's hand that comes nearer does not take over."""
    tracker = HandTracker()
    for number in range(8):
        stranger = hand(-0.3, 0, max(0.3, 0.9 - 0.1 * number))
        position = tracker.update([stranger, hand(0.1, 0, 0.6)], number * TENTH)
    assert position is not None
    assert position.xyz == pytest.approx([0.1, 0, 0.6], abs=0.01)


def test_a_hand_beyond_the_arms_reach_is_not_the_users() -> None:
    """Somebody at the far end of the aisle."""
    tracker = HandTracker(HandSettings(farthest=1.0))
    assert [tracker.update([hand(0, 0, 1.3)], number * TENTH) for number in range(4)] == [None] * 4


def test_what_does_not_average_away_stays_in_the_covariance() -> None:
    """A hundred pictures do not tell how large the user's hand is."""
    tracker = HandTracker()
    for number in range(100):
        position = tracker.update([hand(0, 0, 0.5, bias=0.1)], number * TENTH)
    assert position is not None
    assert (np.linalg.eigvalsh(position.covariance) > 0.1**2).all()


def test_without_calibration_the_hand_is_less_sure() -> None:
    """An assumed field of view is off by some degrees, and the position with it."""
    told = Told(hand(0, 0, 0.5))
    spreads = []
    for camera in (CAMERA, None):
        finder = HandFinder(told)
        finder.process(frame(0, camera))
        position = finder.process(frame(TENTH, camera))
        assert position is not None
        spreads.append(float(np.sqrt(position.covariance[0, 0])))
    assert spreads[1] > spreads[0] + 0.03


places = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-0.2, 2), st.floats(-1, 1))
pictures = st.tuples(st.integers(-200, 900), st.lists(places, max_size=3))


@settings(max_examples=50, deadline=None)
@given(st.lists(pictures, max_size=15))
def test_nothing_is_told_that_the_picture_does_not_show(walk: list[tuple[int, list[tuple[float, ...]]]]) -> None:
    """For any order of stamps and finds: a position comes only with a hand in this very picture and another one at most
    `lost_after_s` before it, and its covariance is a covariance."""
    tracker, stamp, shown = HandTracker(), 0, []
    for milliseconds, finds in walk:
        stamp += milliseconds * 1_000_000
        position = tracker.update([hand(*find) for find in finds], stamp)
        if position is not None:
            assert finds
            assert any(0 <= stamp - earlier <= tracker.settings.lost_after_s * 1e9 for earlier in shown)
            assert np.isfinite(position.xyz).all()
            assert np.allclose(position.covariance, position.covariance.T)
            assert np.linalg.eigvalsh(position.covariance)[0] > 0
        if finds:
            shown.append(stamp)
