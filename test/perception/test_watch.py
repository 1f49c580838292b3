"""The decision on a stream is steady, and absent is only said of a view that was seen whole for long enough."""

from __future__ import annotations

import numpy as np

from shelfhelp_ros.catalogue.matching import Match, Thresholds, Verdict
from shelfhelp_ros.perception.motion import still
from shelfhelp_ros.perception.watch import TargetWatch, WatchSettings
from shelfhelp_ros.sightings import Decision

SECOND = 1_000_000_000
SETTINGS = WatchSettings(absent_after_s=3, doubtful_after_s=8, new_view=0.4, lost_for_s=5)


def watch() -> TargetWatch:
    return TargetWatch(Thresholds(found=0.7, present=0.3), SETTINGS)


def match(probability: float, rivalled: bool = False) -> Match:
    """One crop of this probability."""
    if probability < 0.3:
        return Match(Verdict.ABSENT, None, None, np.float32([probability]), np.array([False]))
    sure = probability >= 0.7 and not rivalled
    verdict = Verdict.FOUND if sure else Verdict.AMBIGUOUS
    return Match(verdict, 0, None, np.float32([probability]), np.array([True]), rivalled)


def pan(pixels: float):
    motion = still()
    motion[0, 2] = pixels
    return motion


def test_found_then_lost_then_searching():
    """Out of view it is lost for a while, then searched for again."""
    memory = watch()
    assert memory.update(match(0.9), [7], True, 0) is Decision.FOUND
    assert memory.chosen == 7
    assert memory.update(match(0.0), [8], True, SECOND) is Decision.LOST
    assert memory.update(match(0.0), [], False, 5 * SECOND) is Decision.LOST
    assert memory.update(match(0.0), [], False, 6 * SECOND) is Decision.SEARCHING
    assert memory.chosen is None


def test_no_flicker_around_the_threshold():
    """A product once found stays found down to half way, another track with the same probability does not become it."""
    memory = watch()
    assert memory.update(match(0.65), [7], True, 0) is Decision.SEARCHING
    assert memory.update(match(0.75), [7], True, 1) is Decision.FOUND
    assert memory.update(match(0.55), [7], True, 2) is Decision.FOUND
    assert memory.update(match(0.45), [7], True, 3) is Decision.LOST
    assert memory.update(match(0.55), [9], True, 4) is Decision.LOST


def test_a_likely_product_that_is_not_named_is_asked_about():
    """In clear view for a while, but never as sure as a product without known look-alikes has to be to be named: then
    the person is asked to try it, instead of searching on past it. Another one begins anew."""
    memory = watch()
    likely = Match(Verdict.AMBIGUOUS, 0, None, np.float32([0.75]), np.array([True]))
    decisions = [memory.update(likely, [1], True, step * SECOND // 2) for step in range(4)]
    assert decisions == [Decision.SEARCHING] * 3 + [Decision.AMBIGUOUS]
    assert memory.update(likely, [2], True, 2 * SECOND) is Decision.SEARCHING
    assert memory.update(match(0.6), [2], True, 9 * SECOND) is not Decision.AMBIGUOUS


def test_ambiguous_only_with_a_rival():
    """A lone unsure candidate is still being looked at; two alike are ambiguous."""
    memory = watch()
    assert memory.update(match(0.6), [1], True, 0) is Decision.SEARCHING
    assert memory.update(match(0.9, rivalled=True), [1], True, 1) is Decision.AMBIGUOUS


def test_absent_takes_time():
    """Only a view seen whole for three seconds without a candidate is without the product."""
    memory = watch()
    decisions = [memory.update(match(0.1), [1], True, step * SECOND) for step in range(5)]
    assert decisions == [Decision.SEARCHING] * 3 + [Decision.ABSENT] * 2


def test_absent_needs_the_whole_view():
    """While products are not embedded yet, or none is in view, nothing is called absent."""
    memory = watch()
    for step in range(10):
        assert memory.update(match(0.0), [], False, step * SECOND) is Decision.SEARCHING


def test_panning_is_not_absence():
    """A camera that keeps moving along the shelf sees new products; absent waits until it rests."""
    memory = watch()
    for step in range(10):
        decision = memory.update(match(0.0), [1], True, step * SECOND, pan(300), (640, 480))
        assert decision is Decision.SEARCHING
    for step in range(10, 14):
        decision = memory.update(match(0.0), [1], True, step * SECOND, pan(2), (640, 480))
    assert decision is Decision.ABSENT


def test_candidate_ends_absence():
    """A candidate that appears ends the absence, and the time begins anew when it goes."""
    memory = watch()
    for step in range(5):
        memory.update(match(0.0), [1], True, step * SECOND)
    assert memory.update(match(0.5), [2], True, 5 * SECOND) is Decision.SEARCHING
    assert memory.update(match(0.0), [1], True, 6 * SECOND) is Decision.SEARCHING
    assert memory.update(match(0.0), [1], True, 9 * SECOND) is Decision.ABSENT


def test_doubt_does_not_last_forever():
    """A candidate that never becomes sure in a view that rests holds the answer back, but not for good."""
    memory = watch()
    decisions = [memory.update(match(0.5), [1], True, step * SECOND) for step in range(10)]
    assert decisions == [Decision.SEARCHING] * 8 + [Decision.ABSENT] * 2


def test_time_that_jumps_back():
    """A bag that starts again does not make anything absent or lost at once."""
    memory = watch()
    memory.update(match(0.0), [1], True, 100 * SECOND)
    assert memory.update(match(0.0), [1], True, 0) is Decision.SEARCHING
    memory.update(match(0.9), [1], True, 100 * SECOND)
    assert memory.update(match(0.0), [2], True, 0) is Decision.SEARCHING


def test_reset():
    """Another target begins with no memory of the one before."""
    memory = watch()
    memory.update(match(0.9), [1], True, 0)
    memory.reset()
    assert memory.update(match(0.0), [1], True, 1) is Decision.SEARCHING
