"""The crops that are embedded are the ones worth it, and looks add up."""

from __future__ import annotations

import numpy as np
import pytest

from shelfhelp_ros.perception.encoder import normalise
from shelfhelp_ros.perception.evidence import Evidence, EvidenceSettings, choose_looks, look_weight, touches_border
from shelfhelp_ros.perception.tracker import Track

SIZE = (640, 480)
SECOND = 1_000_000_000


def track(track_id: int, box=(100, 100, 180, 220), score: float = 0.9) -> Track:
    return Track(track_id, np.array(box, np.float32), score, 3, True, 0, 0)


def looked(box=(100, 100, 180, 220), at_ns: int = 0, cut_off: bool = False) -> Evidence:
    return Evidence(np.array([1, 0], np.float32), at_ns, np.array(box, np.float32), cut_off)


def chosen(tracks, known, stamp_ns, candidates=frozenset(), **settings) -> list[int]:
    looks = choose_looks(tracks, known, set(candidates), stamp_ns, SIZE, EvidenceSettings(**settings))
    return [look.track_id for look in looks]


def test_new_tracks_first_then_changed_then_due():
    """The order of worth, within the budget."""
    tracks = [track(1), track(2, (100, 100, 220, 280)), track(3), track(4)]
    known = {1: looked(at_ns=-4 * SECOND), 2: looked(), 4: looked()}
    assert chosen(tracks, known, 0) == [3, 2, 1]
    assert chosen(tracks, known, 0, budget=2) == [3, 2]
    assert chosen(tracks, known, 0, budget=0) == []


def test_known_track_is_left_alone():
    """A track that was looked at a moment ago and has not changed costs nothing; moving is no change."""
    assert chosen([track(1, (130, 90, 210, 210))], {1: looked()}, SECOND) == []


def test_candidates_are_looked_at_more_often():
    """What may be the target is confirmed sooner than the rest."""
    tracks, known = [track(1), track(2)], {1: looked(), 2: looked()}
    assert chosen(tracks, known, SECOND, candidates={2}) == [2]
    assert chosen(tracks, known, 4 * SECOND, candidates={2}) == [2, 1]


def test_product_that_comes_into_view_whole():
    """A pack that was cut off by the image's edge is looked at again when it is whole."""
    whole = [track(1, (10, 100, 90, 220))]
    assert chosen(whole, {1: looked((0, 100, 70, 220), cut_off=True)}, 1) == [1]
    assert chosen(whole, {1: looked((10, 100, 90, 220))}, 1) == []


def test_every_track_gets_its_turn():
    """With a small budget and many tracks all are looked at before any is looked at twice."""
    tracks = [track(i) for i in range(20)]
    known: dict[int, Evidence] = {}
    for frame in range(7):
        for track_id in chosen(tracks, known, frame, budget=3):
            assert track_id not in known
            known[track_id] = looked()
    assert len(known) == 20


def test_weight():
    """Large sure boxes inside the picture weigh most."""
    best = look_weight(track(1), SIZE)
    assert look_weight(track(1, score=0.5), SIZE) < best
    assert look_weight(track(1, (100, 100, 120, 130)), SIZE) < best
    assert look_weight(track(1, (0, 100, 80, 220)), SIZE) < best
    assert look_weight(track(1, (0, 0, 1, 1), 0.0), SIZE) > 0
    assert touches_border(np.array([5, 5, 639.5, 90], np.float32), SIZE)


def test_looks_add_up():
    """Noisy looks average to the true direction better than the single look does, and newer looks weigh more."""
    random = np.random.default_rng(0)
    truth = normalise(random.standard_normal(64).astype(np.float32))
    views = [normalise(truth + 0.1 * random.standard_normal(64).astype(np.float32)) for _ in range(12)]
    settings = EvidenceSettings()
    evidence = Evidence(np.zeros(64, np.float32), 0, np.zeros(4, np.float32), False)
    for view in views:
        evidence.add(view, 1.0, settings)
    assert np.linalg.norm(evidence.embedding) == pytest.approx(1, abs=1e-5)
    assert evidence.embedding @ truth > max(view @ truth for view in views)
    assert evidence.embedding @ views[-1] > evidence.embedding @ views[0] - 0.1


def test_a_different_product_replaces_the_old_one():
    """When a track's looks change entirely, what was learnt of the old product does not linger."""
    evidence = looked()
    evidence.add(np.array([0, 1], np.float32), 0.5, EvidenceSettings())
    np.testing.assert_allclose(evidence.embedding, [0, 1])


@pytest.mark.parametrize(("alike", "kept"), [(0.42, False), (0.62, True)])
def test_a_neighbour_that_takes_over_a_track_does_not_inherit_its_looks(alike: float, kept: bool):
    """Packs beside each other are somewhat alike; one pack from another side is more alike than that."""
    evidence = looked()
    look = np.array([alike, np.sqrt(1 - alike**2)], np.float32)
    assert evidence.add(look, 0.1, EvidenceSettings()) is kept
    assert (evidence.embedding[0] > 0.9) is np.bool_(kept)
