"""The second look on a live stream: it never holds up the loop, forgets what is gone, and averages what it saw."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from shelfhelp_ros.perception import verifier
from shelfhelp_ros.perception.second_look import SecondLooks, SecondLookSettings, SecondLookWorker
from shelfhelp_ros.perception.verifier import SecondLook, Verifier, VerifierCard, View
from shelfhelp_ros.sightings import Verified

SECOND = 1_000_000_000
CROP = np.zeros((40, 30, 3), np.uint8)


class Scripted(Verifier):
    """A verifier that waits to be let go, and says what it is told to: the thread and its bookkeeping are tested."""

    def __init__(self, *said):
        super().__init__(VerifierCard.load())
        self.said = list(said)
        self.asked = []
        self.go = threading.Semaphore(0)
        self.between_rivals = []

    def between(self, crop, target, rival):
        return self.between_rivals.pop(0) if self.between_rivals else None

    def look(self, crop, references):
        self.asked.append(crop)
        assert self.go.acquire(timeout=10)
        value = self.said.pop(0)
        if isinstance(value, Exception):
            raise value
        return SecondLook(value, None)


class Setting:
    def __init__(self, *said, **settings):
        self.verifier = Scripted(*said)
        self.worker = SecondLookWorker(self.verifier, lambda product: [CROP])
        self.looks = SecondLooks(self.worker, 1.0, -1.0, SecondLookSettings(**settings))

    def ask(self, track_id=1, stamp_ns=0, size=40, rivals=()):
        self.looks.ask(track_id, np.zeros((size, size // 2, 3), np.uint8), (CROP,), rivals, stamp_ns)

    def answer(self, count=1, alive=(1, 2)):
        for _ in range(count):
            self.verifier.go.release()
        assert self.worker.wait(10)
        self.looks.collect(alive)


@pytest.fixture
def setting():
    made = []

    def make(*said, **settings):
        made.append(Setting(*said, **settings))
        return made[-1]

    yield make
    for one in made:
        for _ in range(8):
            one.verifier.go.release()
        one.worker.close()


def test_pending_until_it_has_answered(setting):
    """While the question is open nobody hears "that's it"; the answer then settles it."""
    one = setting(3.0)
    one.ask()
    assert one.looks.verified(1, SECOND) is Verified.PENDING
    one.answer()
    assert one.looks.verified(1, SECOND) is Verified.YES
    assert one.looks.verification([1, 7], ["", ""]).target.tolist() == [3.0, np.inf]


def test_a_slow_look_does_not_hold_the_search_up_for_good(setting):
    """After the deadline the first look's verdict stands, until an answer comes."""
    one = setting(-3.0, deadline_s=1.5)
    one.ask()
    assert one.looks.verified(1, 1 * SECOND) is Verified.PENDING
    assert one.looks.verified(1, 2 * SECOND) is Verified.UNKNOWN
    one.answer()
    assert one.looks.verified(1, 3 * SECOND) is Verified.NO
    assert one.looks.refuted(1)


def test_the_newest_question_wins(setting):
    """A stream of questions does not queue up: the one that waited is replaced."""
    one = setting(1.0, 1.0)
    one.ask(1, size=40)
    while not one.verifier.asked:
        pass
    one.ask(1, size=50)
    one.ask(2, size=60)
    one.answer(2)
    assert [view.image.shape[0] for view in one.verifier.asked] == [40, 60]


def test_answers_to_another_target_are_dropped(setting):
    """What was seen of the product before must not count for the next one."""
    one = setting(3.0)
    one.ask()
    one.looks.forget()
    one.answer()
    assert one.looks.verified(1, SECOND) is Verified.UNKNOWN
    assert one.looks.verification([1], [""]).target.tolist() == [np.inf]


def test_a_track_that_is_gone_or_shows_something_else_is_forgotten(setting):
    """Track ids live on; what was said of them does not."""
    one = setting(3.0, 3.0)
    one.ask(1)
    one.answer(alive=[2])
    assert one.looks.verified(1, 0) is Verified.UNKNOWN
    one.ask(2)
    one.answer()
    one.looks.drop(2)
    assert one.looks.verified(2, 0) is Verified.UNKNOWN


def test_one_bad_crop_does_not_refute(setting):
    """Looks are averaged: two that agree outweigh one that does not."""
    one = setting(3.0, -3.0, 3.0, looks=3)
    for step in range(3):
        one.ask(stamp_ns=step * SECOND)
        one.answer()
    assert one.looks.verified(1, 3 * SECOND) is Verified.YES
    assert one.looks.verification([1], [""]).target[0] == pytest.approx(1.0)


def test_one_look_alone_does_not_say_no(setting):
    """A pack was held up, moved, and the one look at it said no: it is looked at again at once, and stays open until
    then."""
    one = setting(-3.0, -3.0, recheck_s=0.3, deadline_s=1.5)
    one.ask()
    one.answer()
    assert one.looks.verified(1, SECOND) is Verified.PENDING
    assert one.looks.verified(1, 2 * SECOND) is Verified.NO
    assert not one.looks.wants(1, 40, SECOND // 5)
    assert one.looks.wants(1, 40, SECOND // 2)
    one.ask(stamp_ns=SECOND // 2)
    one.answer()
    assert one.looks.verified(1, SECOND) is Verified.NO


def test_when_to_look_again(setting):
    """Once while it is open; again when it is nearer, or later while nothing is settled; not for ever."""
    one = setting(0.0, 5.0, 5.0, again_s=2.0, growth=1.3)
    assert one.looks.wants(1, 40, 0)
    one.ask()
    assert not one.looks.wants(1, 400, SECOND)
    one.answer()
    assert not one.looks.wants(1, 40, SECOND)
    assert one.looks.wants(1, 56, SECOND)
    assert one.looks.wants(1, 40, 2 * SECOND)
    for _ in range(2):
        one.ask(stamp_ns=2 * SECOND)
        one.answer()
    assert one.looks.verified(1, 3 * SECOND) is Verified.YES
    assert not one.looks.wants(1, 40, 9 * SECOND)


@pytest.mark.parametrize(("between", "again"), [(None, True), (0.2, True), (2.0, False)])
def test_a_pack_in_the_hand_is_looked_at_until_it_is_told_from_its_look_alike(setting, between, again):
    """It surely is one of the family: that settles it on the shelf. In the hand, fingers move away."""
    one = setting(*[5.0] * 6, held_again_s=0.7)
    one.verifier.between_rivals = [between] * 3
    for look in range(3):
        one.ask(rivals=("oats",), stamp_ns=look * SECOND)
        one.answer(2)
    assert one.looks.verified(1, 3 * SECOND) is Verified.YES
    assert not one.looks.wants(1, 40, 9 * SECOND)
    assert one.looks.wants(1, 40, 3 * SECOND, held=True) is again
    assert not one.looks.wants(1, 40, 5 * SECOND // 2, held=True)


def test_what_looks_like_its_look_alike_is_not_confirmed_for_its_likeness(setting):
    """A sibling shares nearly all of the picture; where the two differ it says no."""
    one = setting(*[6.0] * 4)
    one.verifier.between_rivals = [-3.0, -3.0]
    for look in range(2):
        one.ask(rivals=("oats",), stamp_ns=look * SECOND)
        one.answer(2)
    assert one.looks.verified(1, 2 * SECOND) is Verified.NO
    assert one.looks.refuted(1)


def test_the_rival_counts_for_itself(setting):
    """What the look says of the sibling in the catalogue reaches the matcher as that sibling's evidence only."""
    one = setting(2.0, -4.0)
    one.ask(rivals=("oats",))
    one.answer(2)
    assert one.looks.verification([1], ["oats"]).other.tolist() == [-4.0]
    assert one.looks.verification([1], ["bran"]).other.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("between", "weight", "verified"),
    [
        ({"oats": 3.0}, 3.0, Verified.YES),
        ({"oats": -3.0}, -3.0, Verified.NO),
        ({"oats": 3.0, "bran": 2.0}, 2.0, Verified.YES),
        ({"oats": 3.0, "bran": None}, 0.0, Verified.UNKNOWN),
        ({"oats": None}, 0.0, Verified.UNKNOWN),
    ],
)
def test_every_rival_has_to_be_told_from_it(setting, between, weight, verified):
    """One of several look-alikes that cannot be told from the product leaves open what the others say."""
    one = setting(None, None, None, None)
    one.verifier.between_rivals = list(between.values())
    one.ask(rivals=tuple(between))
    one.answer(2)
    one.verifier.between_rivals = list(between.values())
    one.ask(rivals=tuple(between), stamp_ns=2 * SECOND)
    one.answer(2)
    assert one.looks.verification([1], ["oats"]).between.tolist() == [weight]
    assert one.looks.verified(1, 3 * SECOND) is verified


def test_a_failing_look_leaves_the_first_one(setting):
    """An error in the worker ends neither the thread nor the search."""
    one = setting(RuntimeError("no"), 3.0)
    one.ask()
    one.answer()
    assert one.looks.verified(1, 0) is Verified.UNKNOWN
    assert "RuntimeError" in one.worker.failure
    one.ask()
    one.answer()
    assert one.looks.verified(1, 0) is Verified.YES


def test_views_are_made_once():
    """A reference's features cost tens of milliseconds, its words hundreds."""
    view = View(np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8))
    assert view.features is view.features


def test_a_place_is_found_once(monkeypatch):
    """Several looks at one crop ask where the same reference lies in it."""
    asked = []
    monkeypatch.setattr(verifier, "align", lambda *pair: asked.append(pair))
    crop, reference = View(CROP), View(CROP)
    assert crop.place_of(reference) is crop.place_of(reference) is None
    assert len(asked) == 1
