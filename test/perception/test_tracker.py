"""One product keeps one id while the camera pans and detections come and go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.perception.motion import still
from shelfhelp_ros.perception.tracker import Tracker, TrackerSettings
from shelfhelp_ros.sightings import Detections

FRAME_NS = 200_000_000


def shelf(columns: int = 6, rows: int = 3, side: float = 80, gap: float = 20) -> np.ndarray:
    """Boxes of identical packs side by side, in pixels."""
    x, y = np.meshgrid(np.arange(columns) * (side + gap), np.arange(rows) * (1.5 * side + gap))
    low = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.concatenate([low, low + np.array([side, 1.5 * side])], axis=1).astype(np.float32)


def seen(boxes: np.ndarray, scores: np.ndarray | None = None) -> Detections:
    return Detections(boxes.astype(np.float32), np.full(len(boxes), 0.9, np.float32) if scores is None else scores)


def ids_by_pack(tracks, boxes) -> dict[int, int]:
    """The id of the track on each pack, by its detection row."""
    return {track.detection: track.track_id for track in tracks if track.detection is not None}


def test_confirmation():
    """A product is believed at its second detection; a flash of one frame never is."""
    tracker = Tracker()
    boxes = shelf(2, 1)
    assert [track.confirmed for track in tracker.update(seen(boxes), 0)] == [False, False]
    tracks = tracker.update(seen(boxes[:1]), FRAME_NS)
    assert [(track.confirmed, track.hits) for track in tracks] == [(True, 2)]


@pytest.mark.parametrize("speed", [0, 15, 40])
def test_slow_pan_without_camera_motion(speed):
    """A pan that speeds up gently is followed by the Kalman filter alone, up to half a pack a frame."""
    tracker = Tracker()
    boxes = shelf()
    shift, first = 0.0, None
    for frame in range(20):
        shift += min(speed, 4 * frame)
        tracks = tracker.update(seen(boxes + np.array([shift, 0, shift, 0])), frame * FRAME_NS)
        found = ids_by_pack(tracks, boxes)
        first = first or found
        assert found == first


@pytest.mark.parametrize("shift", [30, 60, 90, 150])
def test_fast_pan_with_camera_motion(shift):
    """A jerk of more than a pack's width among identical packs keeps its ids when the camera's motion is known."""
    tracker = Tracker()
    boxes = shelf()
    first = ids_by_pack(tracker.update(seen(boxes), 0), boxes)
    for frame in range(1, 8):
        motion = still()
        motion[0, 2] = shift if frame % 2 else -shift
        boxes = boxes + np.float32([motion[0, 2], 0, motion[0, 2], 0])
        assert ids_by_pack(tracker.update(seen(boxes), frame * FRAME_NS, motion), boxes) == first


def test_zoom_with_camera_motion():
    """Coming nearer scales every box about the middle of the picture; ids stay."""
    tracker = Tracker()
    boxes = shelf()
    first = ids_by_pack(tracker.update(seen(boxes), 0), boxes)
    zoom = np.array([[1.15, 0, -45.0], [0, 1.15, -30.0]])
    for frame in range(1, 6):
        boxes = (boxes * 1.15 + [-45, -30, -45, -30]).astype(np.float32)
        assert ids_by_pack(tracker.update(seen(boxes), frame * FRAME_NS, zoom), boxes) == first


def test_noise_and_misses():
    """With jitter of three pixels and one detection in ten missing, ids stay for four seconds."""
    random = np.random.default_rng(3)
    tracker = Tracker()
    boxes = shelf()
    owner: dict[int, int] = {}
    for frame in range(20):
        shift = 10.0 * frame
        rows = np.flatnonzero(random.random(len(boxes)) > (0.1 if frame > 1 else 0))
        jittered = boxes[rows] + np.array([shift, 0, shift, 0]) + random.normal(0, 3, (len(rows), 4))
        for track in tracker.update(seen(jittered), frame * FRAME_NS):
            if track.detection is not None and track.confirmed:
                pack = int(rows[track.detection])
                assert owner.setdefault(track.track_id, pack) == pack
    assert len(owner) == len(boxes)


def test_unseen_product_coasts_then_goes():
    """A hidden product moves on as predicted, keeps its id if it comes back in time, and goes if it does not."""
    tracker = Tracker(TrackerSettings(max_missed_s=0.7))
    box = np.array([[100, 100, 180, 220]], np.float32)
    for frame in range(6):
        track = tracker.update(seen(box + np.float32([10, 0, 10, 0]) * frame), frame * FRAME_NS)[0]
    hidden = tracker.update(seen(np.zeros((0, 4))), 6 * FRAME_NS)[0]
    assert (hidden.detection, hidden.last_seen_ns) == (None, 5 * FRAME_NS)
    np.testing.assert_allclose(hidden.box[0], 160, atol=8)
    back = tracker.update(seen(box + np.float32([70, 0, 70, 0])), 7 * FRAME_NS)[0]
    assert back.track_id == track.track_id
    for frame in range(8, 13):
        left = tracker.update(seen(np.zeros((0, 4))), frame * FRAME_NS)
    assert left == []


def test_stream_that_starts_again():
    """A bag that loops back in time begins new tracks instead of waiting for the old ones."""
    tracker = Tracker()
    old = tracker.update(seen(shelf(1, 1)), 10 * FRAME_NS)[0]
    new = tracker.update(seen(shelf(1, 1)), 0)[0]
    assert new.track_id > old.track_id
    assert new.hits == 1


def test_swap_is_resolved_globally():
    """Two packs between two tracks: the assignment that is best together wins over the best single pair."""
    tracker = Tracker()
    tracker.update(seen(np.array([[0, 0, 100, 100], [60, 0, 160, 100]], np.float32)), 0)
    tracks = tracker.update(seen(np.array([[45, 0, 145, 100], [105, 0, 205, 100]], np.float32)), 1)
    assert [track.detection for track in tracks] == [0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2**31), st.integers(0, 10**9)), max_size=12))
def test_ids_are_unique_and_detections_are_shared_out(frames):
    """Whatever is detected when: no id twice, every detection has one track, every track at most one detection."""
    tracker = Tracker()
    stamp, ever = 0, set()
    for count, seed, step in frames:
        stamp += step
        random = np.random.default_rng(seed)
        low = random.uniform(0, 300, (count, 2))
        boxes = np.concatenate([low, low + random.uniform(1, 90, (count, 2))], axis=1).astype(np.float32)
        before = set(ever)
        tracks = tracker.update(seen(boxes), stamp)
        ids = [track.track_id for track in tracks]
        assert len(set(ids)) == len(ids)
        rows = [track.detection for track in tracks if track.detection is not None]
        assert sorted(rows) == list(range(count))
        assert all(track_id in before or track_id > max(before, default=0) for track_id in ids)
        assert all(np.isfinite(track.box).all() for track in tracks)
        ever.update(ids)


def test_carried_tracks_move_with_the_camera():
    """Between two detections a track keeps its id, its row and when it was seen, and moves as the picture does."""
    tracker = Tracker()
    boxes = np.array([[10, 20, 50, 100], [80, 20, 120, 100]], np.float32)
    tracker.update(seen(boxes), 0)
    before = tracker.update(seen(boxes), FRAME_NS)
    carried = tracker.carry(2 * FRAME_NS, np.array([[1.0, 0.0, 7.0], [0.0, 1.0, -3.0]]))
    assert [(t.track_id, t.detection, t.last_seen_ns) for t in carried] == [
        (t.track_id, t.detection, t.last_seen_ns) for t in before
    ]
    np.testing.assert_allclose([t.box for t in carried], boxes + np.array([7, -3, 7, -3]), atol=0.5)


def test_what_stands_before_a_product_has_a_track_of_its_own():
    """A pack that is held up before the shelf is detected where another one stands: both are followed from there on."""
    tracker = Tracker()
    boxes = shelf(3, 1)
    for step in range(4):
        tracks = tracker.update(seen(boxes), step * FRAME_NS)
    behind = tracks[1].track_id
    held = boxes.copy()
    held[1] = boxes[1] + np.array([-30, -40, 60, 80])
    for step in range(4, 8):
        detected = seen(held)
        tracks = tracker.update(detected, step * FRAME_NS)
        if any(track.track_id == behind and track.detection is not None for track in tracks):
            tracks = tracker.part({behind}, detected, step * FRAME_NS)
        tracker.hold({behind}, step * FRAME_NS)
    by_id = {track.track_id: track for track in tracks}
    assert by_id[behind].detection is None
    assert by_id[behind].box == pytest.approx(boxes[1], abs=5)
    before = next(track for track in tracks if track.detection == 1)
    assert before.confirmed
    assert before.box == pytest.approx(held[1])


def test_a_product_that_fingers_hide_a_part_of_keeps_its_track():
    """Its box is cut a little, about where it was: what is detected is still the product."""
    tracker = Tracker()
    boxes = shelf(3, 1)
    for step in range(4):
        tracks = tracker.update(seen(boxes), step * FRAME_NS)
    ids = [track.track_id for track in tracks]
    boxes[1, 3] -= 0.3 * (boxes[1, 3] - boxes[1, 1])
    detected = seen(boxes)
    tracker.update(detected, 4 * FRAME_NS)
    assert [track.track_id for track in tracker.part({ids[1]}, detected, 4 * FRAME_NS)] == ids


def test_a_box_about_a_product_and_the_hand_before_it_does_not_move_the_product():
    """Nor does one about what the hand leaves of it; one that is nearly as large as it was still follows it."""
    tracker = Tracker()
    boxes = shelf(4, 1)
    for step in range(4):
        tracks = tracker.update(seen(boxes), step * FRAME_NS)
        tracker.keep([], seen(boxes))
    ids = [track.track_id for track in tracks]
    hidden = boxes + np.array([[0, 0, 0, 0], [-30, 0, 30, 10], [0, 0, 4, 0], [0, 0, 0, -20]], np.float32)
    tracker.update(seen(hidden), 4 * FRAME_NS)
    kept = tracker.keep(ids[1:], seen(hidden))
    np.testing.assert_allclose([kept[1].box, kept[3].box], boxes[[1, 3]], atol=1)
    assert [track.detection for track in kept] == [0, None, 2, None]


def test_a_product_that_is_hidden_bit_by_bit_keeps_its_size():
    """Each box is only a little lower than the one before, and the last is half as high as the product."""
    tracker = Tracker()
    boxes = shelf(3, 1)
    for step in range(4):
        tracks = tracker.update(seen(boxes), step * FRAME_NS)
        tracker.keep([], seen(boxes))
    for step in range(1, 11):
        hidden = boxes - np.array([0, 0, 0, 6 * step], np.float32)
        tracker.update(seen(hidden), (3 + step) * FRAME_NS)
        tracks = tracker.keep([tracks[0].track_id], seen(hidden))
        tracker.hold([tracks[0].track_id], (3 + step) * FRAME_NS)
    assert tracks[0].box[3] - tracks[0].box[1] > 0.85 * (boxes[0, 3] - boxes[0, 1])


def test_what_is_known_to_be_clear_of_the_shelf_is_no_product_that_stands_there():
    """A pack that is held up just where one stands, and as large: its place alone would not tell the two apart."""
    tracker = Tracker()
    boxes = shelf(3, 1)
    for step in range(4):
        tracks = tracker.update(seen(boxes), step * FRAME_NS)
    behind = tracks[0].track_id
    detected = replace(seen(boxes), clear=1)
    tracker.update(detected, 4 * FRAME_NS)
    tracks = tracker.part({behind}, detected, 4 * FRAME_NS)
    held = next(track for track in tracks if track.detection == 0)
    assert held.track_id not in {track.track_id for track in tracks if track.detection != 0}
    assert held.track_id != behind
    assert next(track for track in tracks if track.track_id == behind).detection is None
