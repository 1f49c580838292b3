"""From one verdict a frame to a steady decision on a live stream: found, ambiguous, absent, lost or searching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.catalogue.matching import Match, Thresholds, Verdict
from shelfhelp_ros.perception.motion import Affine
from shelfhelp_ros.sightings import Decision


@dataclass(frozen=True)
class WatchSettings:
    """``absent_after_s``: seconds that one view has to be seen whole, without a candidate, before the product is called
    absent; ``doubtful_after_s``: the same where an unsure candidate never became sure. ``new_view``: how far the camera
    may pan, in shares of the image, before that is another view. ``unsure_after_s``: seconds after which a likely
    product that has no rival, and is not sure enough to be named, is worth asking about. ``lost_for_s``: seconds for
    which a product that went out of view is called lost; afterwards it is searched for."""

    absent_after_s: float = 3.0
    doubtful_after_s: float = 8.0
    new_view: float = 0.4
    unsure_after_s: float = 1.5
    lost_for_s: float = 10.0


class TargetWatch:
    """The memory behind the decision: which track was chosen, when it was last seen, how long this view has been."""

    def __init__(self, thresholds: Thresholds, settings: WatchSettings | None = None) -> None:
        self.settings = settings or WatchSettings()
        self.thresholds = thresholds
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for another target."""
        self.chosen: int | None = None
        self._found_ns: int | None = None
        self._view_since_ns: int | None = None
        self._doubt_ns: int | None = None
        self._likely: tuple[int, int] | None = None
        self._pan = np.zeros(2)

    def give_up_choice(self) -> None:
        """The chosen product turned out to be another one: it is neither found nor lost."""
        self.chosen = self._found_ns = None

    def update(
        self,
        match: Match,
        track_ids: list[int],
        whole: bool,
        stamp_ns: int,
        motion: Affine | None = None,
        image_size: tuple[int, int] = (1, 1),
    ) -> Decision:
        """The decision after one frame. ``match`` is over the tracks of ``track_ids``; ``whole`` says that products
        are in view and each of them has been embedded."""
        self._follow_view(whole, stamp_ns, motion, image_size)
        if match.verdict is not Verdict.ABSENT:
            self._doubt_ns = stamp_ns
        if match.best is not None:
            decision = self._of_candidate(match, track_ids[match.best], stamp_ns)
            if decision is Decision.FOUND:
                self.chosen, self._found_ns = track_ids[match.best], stamp_ns
            if decision is not None:
                self._view_since_ns = None
                return decision
        if self._found_ns is not None and 0 <= stamp_ns - self._found_ns <= self.settings.lost_for_s * 1e9:
            return Decision.LOST
        self.chosen = self._found_ns = None
        return Decision.ABSENT if self._looked_long_enough(stamp_ns) else Decision.SEARCHING

    def _of_candidate(self, match: Match, track_id: int, stamp_ns: int) -> Decision | None:
        """What a candidate alone allows to say; None when it is too unsure to be named, or asked about."""
        likely_since = self._follow_likely(match, track_id, stamp_ns)
        if match.verdict is Verdict.FOUND:
            return Decision.FOUND
        if match.rivalled:
            return Decision.AMBIGUOUS
        # A product that was named keeps its name until it is as likely not there: no flicker around one threshold.
        doubtful = (self.thresholds.found + self.thresholds.present) / 2
        keeps = track_id == self.chosen and match.best is not None and match.probabilities[match.best] >= doubtful
        if keeps:
            return Decision.FOUND
        unsure = likely_since is not None and stamp_ns - likely_since >= self.settings.unsure_after_s * 1e9
        return Decision.AMBIGUOUS if unsure else None

    def _follow_likely(self, match: Match, track_id: int, stamp_ns: int) -> int | None:
        """Since when this candidate is likely, though perhaps not sure enough to be named; None when it is not."""
        if match.best is None or match.probabilities[match.best] < self.thresholds.found:
            self._likely = None
        elif self._likely is None or self._likely[0] != track_id or stamp_ns < self._likely[1]:
            self._likely = track_id, stamp_ns
        return None if self._likely is None else self._likely[1]

    def _looked_long_enough(self, stamp_ns: int) -> bool:
        """Whether this view has been seen whole for long enough to say that the product is not in it."""
        if self._view_since_ns is None:
            return False
        clear_since = max(self._view_since_ns, self._doubt_ns or 0)
        clear, seen = (stamp_ns - since for since in (clear_since, self._view_since_ns))
        return clear >= self.settings.absent_after_s * 1e9 or seen >= self.settings.doubtful_after_s * 1e9

    def _follow_view(self, whole: bool, stamp_ns: int, motion: Affine | None, image_size: tuple[int, int]) -> None:
        """Keep the time since when this one view has been seen whole without the product being found."""
        if motion is not None:
            self._pan = self._pan + motion[:, 2] / np.array(image_size)
        backwards = self._view_since_ns is not None and stamp_ns < self._view_since_ns
        if not whole or backwards or float(np.abs(self._pan).max()) > self.settings.new_view:
            self._pan = np.zeros(2)
            self._view_since_ns = self._doubt_ns = None
        if whole and self._view_since_ns is None:
            self._view_since_ns = stamp_ns
