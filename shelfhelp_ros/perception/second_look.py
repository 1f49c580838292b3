"""The second look on a live stream: one worker beside the perception loop, which never waits for it.

The newest question replaces the one that waits; an answer counts for its track as long as the track lives and the
target is the same. What was seen in the last few looks at a track is averaged, so that one bad crop weighs little.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from shelfhelp_ros.catalogue.matching import Verification
from shelfhelp_ros.perception.verifier import SecondLook, Surroundings, Verifier, View
from shelfhelp_ros.sightings import FloatArray, ImageArray, Verified

Crops = Sequence[ImageArray]
Key = TypeVar("Key")


@dataclass(frozen=True)
class SecondLookSettings:
    """``deadline_s``: for how long an unanswered question holds back the words that it is found. A track is looked at
    again when it has grown by ``growth``, and while nothing is settled after ``again_s``, or ``held_again_s`` when
    somebody holds it up; after ``recheck_s`` when one look alone said no. ``looks``: how many are averaged."""

    deadline_s: float = 1.5
    again_s: float = 2.0
    held_again_s: float = 0.7
    recheck_s: float = 0.3
    growth: float = 1.3
    looks: int = 3


@dataclass(frozen=True)
class Question:
    """Is this crop (H×W×3 BGR) of a track the product on ``references``, and none of the catalogue's ``rivals``, the
    likeliest of which comes first? ``around``: what it was cut from, where the box may be too small."""

    target: object
    track_id: int
    crop: ImageArray
    references: tuple[ImageArray, ...]
    rivals: tuple[str, ...] = ()
    around: Surroundings | None = None


@dataclass(frozen=True)
class Answer:
    """What was seen: of the target, of the likeliest rival where one was named, and ``between`` them: log odds that it
    is the target rather than any of the rivals, None when none of them can be told from it."""

    question: Question
    target: SecondLook
    rival: SecondLook | None = None
    between: float | None = None


class References:
    """The views of reference pictures, the ``kept`` latest ones: what was found in a picture is found once.

    ``crops_of`` gives the reference crops of a catalogue product.
    """

    def __init__(self, crops_of: Callable[[str], Crops], kept: int = 32) -> None:
        self._crops_of = crops_of
        self._kept = kept
        self._products: dict[str, tuple[ImageArray, ...]] = {}
        self._views: dict[int, View] = {}

    def of_product(self, product_id: str) -> tuple[View, ...]:
        """Those of a catalogue product, as it was when first asked for."""
        if product_id not in self._products:
            _make_room(self._products, self._kept)
            self._products[product_id] = tuple(self._crops_of(product_id))
        return self.of_pictures(self._products[product_id])

    def of_pictures(self, pictures: Sequence[ImageArray]) -> tuple[View, ...]:
        """Those of pictures (the same objects every time)."""
        return tuple(self._view(picture) for picture in pictures)

    def _view(self, picture: ImageArray) -> View:
        # A view holds its picture, so no other one can take over its identity.
        if id(picture) not in self._views:
            _make_room(self._views, self._kept)
            self._views[id(picture)] = View(picture)
        return self._views[id(picture)]


def _make_room(cache: dict[Key, Any], kept: int) -> None:
    while len(cache) >= kept:
        cache.pop(next(iter(cache)))


def answer(verifier: Verifier, references: References, question: Question, crop: View | None = None) -> Answer:
    """Look twice at one crop, with the target's references and with those of its rivals; ``crop`` if viewed before."""
    crop = crop or View(question.crop, question.around)
    own = references.of_pictures(question.references)
    rivals = [references.of_product(rival) for rival in question.rivals]
    between = [verifier.between(crop, own, rival) for rival in rivals]
    return Answer(
        question,
        target=verifier.look(crop, own),
        rival=verifier.look(crop, rivals[0]) if rivals else None,
        between=_least(between),
    )


def _least(log_odds: Sequence[float | None]) -> float | None:
    """What holds against each of several rivals; one that cannot be told from the target leaves it open."""
    told = [0.0 if value is None else value for value in log_odds]
    return min(told) if any(value is not None for value in log_odds) else None


class SecondLookWorker:
    """One thread that answers questions, the newest first; those that it overtakes are dropped."""

    def __init__(self, verifier: Verifier, crops_of: Callable[[str], Crops]) -> None:
        self._verifier = verifier
        self._references = References(crops_of)
        self._waiting: Question | None = None
        self._answers: deque[Answer] = deque(maxlen=16)
        self._busy = self._closed = False
        self._condition = threading.Condition()
        self.failure = ""
        self._thread = threading.Thread(target=self._work, name="second_look", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no question waits or is being answered."""
        with self._condition:
            return self._waiting is None and not self._busy

    def ask(self, question: Question) -> None:
        """Put a question, in place of one that still waits."""
        with self._condition:
            self._waiting = question
            self._condition.notify_all()

    def take(self) -> list[Answer]:
        """The answers since the last call, oldest first."""
        with self._condition:
            taken = list(self._answers)
            self._answers.clear()
        return taken

    def wait(self, timeout: float) -> bool:
        """Block until it is idle; False when that takes over ``timeout`` seconds. For tools, not for the loop."""
        with self._condition:
            return self._condition.wait_for(lambda: self._waiting is None and not self._busy, timeout)

    def close(self) -> None:
        with self._condition:
            self._closed, self._waiting = True, None
            self._condition.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._closed or self._waiting is not None)
                if self._closed:
                    return
                question, self._waiting, self._busy = self._waiting, None, True
            assert question is not None
            try:
                found = answer(self._verifier, self._references, question)
            except Exception as error:
                # Without a second look the first one still stands; the person is not left without any.
                self.failure = f"the second look failed: {type(error).__name__}: {error}"
                found = Answer(question, SecondLook(None, None))
            with self._condition:
                self._answers.append(found)


@dataclass
class _TrackLooks:
    """The looks at one track: when first asked, when last, how large it was, and the last answers."""

    first_ns: int
    asked_ns: int
    side: float
    answers: deque[Answer] = field(default_factory=deque)

    def target(self) -> float | None:
        """Mean log odds of the target rather than any look-alike; None when nothing could be told."""
        return _mean(answer.target.log_odds for answer in self.answers)

    def rival(self, rival: str) -> float | None:
        """The same of one rival."""
        about = [answer.rival for answer in self.answers if answer.question.rivals[:1] == (rival,)]
        return _mean(look.log_odds for look in about if look is not None)

    def between(self, rival: str | None = None) -> float | None:
        """Mean log odds of the target rather than a rival, of this one or of any."""
        return _mean(answer.between for answer in self.answers if rival is None or rival in answer.question.rivals)

    def all_told(self) -> float | None:
        """What all of it says of the target; None when nothing could be told. However alike it looks, it is no likelier
        than it is where its look-alike differs."""
        between = self.between()
        told = [value for value in (self.target(), between) if value is not None]
        if between is not None and between < 0:
            return min(between, sum(told))
        return sum(told) if told else None


def _mean(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else None


_NEVER = _TrackLooks(0, 0, 0.0)


class SecondLooks:
    """Which tracks to look at twice, and what that has said of each. For the thread of the pipeline."""

    def __init__(self, worker: SecondLookWorker, yes: float, no: float, settings: SecondLookSettings) -> None:
        self.worker = worker
        self.settings = settings
        self._yes, self._no = yes, no
        self._tracks: dict[int, _TrackLooks] = {}
        self._target: object = None

    def forget(self) -> None:
        """Drop everything, as for another target: answers that are on their way count no more."""
        self._tracks.clear()
        self._target = object()

    def drop(self, track_id: int) -> None:
        """Forget what was said of a track that shows something else now."""
        self._tracks.pop(track_id, None)

    def collect(self, alive: Iterable[int]) -> None:
        """Take in answers, and forget the tracks that are gone."""
        living = set(alive)
        self._tracks = {track_id: looks for track_id, looks in self._tracks.items() if track_id in living}
        for found in self.worker.take():
            looks = self._tracks.get(found.question.track_id)
            if looks is not None and found.question.target is self._target:
                looks.answers.append(found)
                while len(looks.answers) > self.settings.looks:
                    looks.answers.popleft()

    def wants(self, track_id: int, side: float, stamp_ns: int, held: bool = False) -> bool:
        """Whether a track, ``side`` pixels long, should be looked at now; ``held``: it stands clear of the shelf."""
        looks = self._tracks.get(track_id)
        if looks is None or stamp_ns < looks.asked_ns:
            return True
        if not looks.answers:
            return False
        settled = self.verified(track_id, stamp_ns) in (Verified.YES, Verified.NO) and len(looks.answers) > 1
        # What hid the place where look-alikes differ may have gone from there.
        settled = settled and not (held and self._contested(looks))
        again_s = self.settings.held_again_s if held else self.settings.again_s
        again_s = self.settings.recheck_s if self._refuted_once(looks) else again_s
        waited = stamp_ns - looks.asked_ns >= again_s * 1e9
        return side >= self.settings.growth * looks.side or (waited and not settled)

    def ask(
        self,
        track_id: int,
        crop: ImageArray,
        references: tuple[ImageArray, ...],
        rivals: tuple[str, ...],
        stamp_ns: int,
        around: Surroundings | None = None,
    ) -> None:
        """Have a track looked at; see Question."""
        looks = self._tracks.setdefault(track_id, _TrackLooks(stamp_ns, stamp_ns, 0.0))
        looks.asked_ns, looks.side = stamp_ns, float(max(crop.shape[:2]))
        self.worker.ask(Question(self._target, track_id, crop.copy(), references, rivals, around))

    def verified(self, track_id: int, stamp_ns: int) -> Verified:
        """What is known of a track by now."""
        looks = self._tracks.get(track_id)
        if looks is None:
            return Verified.UNKNOWN
        if not looks.answers:
            waited = abs(stamp_ns - looks.first_ns)
            return Verified.PENDING if waited < self.settings.deadline_s * 1e9 else Verified.UNKNOWN
        if self._refuted_once(looks) and abs(stamp_ns - looks.asked_ns) < self.settings.deadline_s * 1e9:
            return Verified.PENDING
        log_odds = looks.all_told()
        if log_odds is None:
            return Verified.UNKNOWN
        return Verified.YES if log_odds >= self._yes else Verified.NO if log_odds <= self._no else Verified.UNKNOWN

    def _contested(self, looks: _TrackLooks) -> bool:
        """Whether it cannot be told by now from a look-alike that was named."""
        between = looks.between()
        return bool(looks.answers[-1].question.rivals) and (between is None or self._no < between < self._yes)

    def _refuted_once(self, looks: _TrackLooks) -> bool:
        """Whether one look alone said no: a glance at a pack that moves, or that fingers hide, may be wrong."""
        log_odds = looks.all_told()
        return len(looks.answers) == 1 and log_odds is not None and log_odds <= self._no

    def has_to_recheck(self, track_id: int) -> bool:
        """Whether one look alone said no of a track, however unlikely that has made it."""
        return self._refuted_once(self._tracks.get(track_id, _NEVER))

    def refuted(self, track_id: int) -> bool:
        """Whether the looks at a track say that it is not the target."""
        log_odds = self._tracks.get(track_id, _NEVER).all_told()
        return log_odds is not None and log_odds <= self._no

    def verification(self, track_ids: Sequence[int], rivals: Sequence[str]) -> Verification:
        """For the matcher: T tracks, and the catalogue product that each resembles most beside the target."""
        looks = [self._tracks.get(track_id, _NEVER) for track_id in track_ids]
        return Verification(
            target=_known([seen.target() for seen in looks], math.inf),
            other=_known([seen.rival(rival) for seen, rival in zip(looks, rivals, strict=True)], math.inf),
            between=_known([seen.between(rival) for seen, rival in zip(looks, rivals, strict=True)], 0.0),
        )


def _known(values: Sequence[float | None], otherwise: float) -> FloatArray:
    return np.array([otherwise if value is None else value for value in values], np.float32)
