"""Embedding beside the frames: none waits for it, and what comes of it belongs to the frame of the crops."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import ByHand
from drawn_shelf import draw_shelf

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.looking import Looking
from shelfhelp_ros.perception.tracker import Track
from shelfhelp_ros.sightings import Frame

IMAGE, BOXES = draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])
FRAME = Frame(7, "camera", IMAGE)
TRACKS = [Track(row + 1, box, 0.9, 3, True, 7, row) for row, box in enumerate(BOXES[:3])]


@pytest.fixture(scope="module")
def encoder(tiny_models) -> Encoder:
    return Encoder.load(tiny_models, "cpu", 1)


def test_what_was_seen_is_taken_once_it_is_there(encoder: Encoder) -> None:
    """Meanwhile there is nothing; then each track has the embedding of its own crop, with the stamp of that."""
    thread = ByHand()
    looking = Looking(encoder, thread)
    looking.begin(FRAME, TRACKS)
    assert (looking.take(wait=False), looking.idle) == ([], False)
    thread.run()
    seen = looking.take(wait=False)
    assert [(look.track, look.stamp_ns, look.image_size) for look in seen] == [(t, 7, (640, 480)) for t in TRACKS]
    np.testing.assert_array_equal([look.embedding for look in seen], encoder.embed_boxes(IMAGE, BOXES[:3]))
    assert (looking.take(wait=True), looking.idle) == ([], True)


def test_without_a_thread_it_is_seen_at_once(encoder: Encoder) -> None:
    """As tools have it that take one frame after the other."""
    looking = Looking(encoder)
    looking.begin(FRAME, TRACKS)
    assert len(looking.take(wait=False)) == 3


def test_what_was_dropped_counts_no_more(encoder: Encoder) -> None:
    """A pack that was taken meanwhile is looked at anew; the next look at its track counts again."""
    thread = ByHand()
    looking = Looking(encoder, thread)
    looking.begin(FRAME, TRACKS)
    looking.drop(2)
    thread.run()
    assert [look.track.track_id for look in looking.take(wait=False)] == [1, 3]
    looking.begin(FRAME, TRACKS)
    thread.run()
    assert [look.track.track_id for look in looking.take(wait=False)] == [1, 2, 3]


def test_what_was_forgotten_never_comes(encoder: Encoder) -> None:
    """Another stream has nothing of the one before."""
    thread = ByHand()
    looking = Looking(encoder, thread)
    looking.begin(FRAME, TRACKS)
    looking.forget()
    thread.run()
    assert looking.idle
    assert looking.take(wait=True) == []


def test_what_the_encoder_says_is_raised_once(encoder: Encoder) -> None:
    """The next crops are tried again."""
    thread = ByHand()
    looking = Looking(encoder, thread)
    looking.begin(Frame(7, "camera", np.zeros((0, 0, 3), np.uint8)), TRACKS)
    thread.run()
    with pytest.raises(ShelfHelpError):
        looking.take(wait=False)
    assert looking.idle
    looking.begin(FRAME, TRACKS)
    thread.run()
    assert len(looking.take(wait=False)) == 3
