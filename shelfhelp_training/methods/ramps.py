"""Weights of losses that change while a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["linear", "cosine", "gaussian"]


@dataclass(frozen=True)
class Ramp:
    """A weight that goes from ``start`` to ``end`` and stays there.

    Attributes:
        start, end: the weight before and after.
        share: the part of the time that the way takes; with 0 the weight is ``end`` from the first step.
        shape: ``linear``; ``cosine``: slow at both ends; ``gaussian``: exp(-5 (1 - t)²), which stays low for long
            (Laine and Aila, Temporal ensembling, ICLR 2017).
    """

    start: float = 0.0
    end: float = 1.0
    share: float = 0.5
    shape: Shape = "linear"

    def at(self, progress: float) -> float:
        """The weight when ``progress``, from 0 to 1, of the time has gone by."""
        done = min(1.0, progress / self.share) if self.share > 0 else 1.0
        if self.shape == "cosine":
            done = 0.5 - 0.5 * math.cos(math.pi * done)
        elif self.shape == "gaussian":
            # Shifted to begin at 0, which exp alone does not.
            done = (math.exp(-5 * (1 - done) ** 2) - math.exp(-5)) / (1 - math.exp(-5))
        return self.start + (self.end - self.start) * done
