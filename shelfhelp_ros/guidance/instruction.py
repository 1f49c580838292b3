"""One thing to say to the person, and until when it may be said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from shelfhelp_ros.guidance.phases import Phase


class Urgency(IntEnum):
    """How an instruction treats what is being said. The values are those of ``Instruction.msg``.

    LOW and NORMAL wait for their turn; HIGH, an answer to what the person asked or word that the camera is lost, and
    STOP cut off what is being said.
    """

    LOW = 0
    NORMAL = 1
    HIGH = 2
    STOP = 3


@dataclass(frozen=True)
class Instruction:
    """Mirrors ``Instruction.msg``.

    ``stamp_ns`` and ``frame_id`` are those of the data it rests on. ``axis`` is x, y or z of the optical frame (x
    right, y down, z forward), or empty when the text is no direction. ``distance`` is signed metres along the axis, NaN
    when unknown. Speech must not begin at or after ``valid_until_ns``.
    """

    sequence: int
    stamp_ns: int
    frame_id: str
    phase: Phase
    text: str
    axis: str = ""
    distance: float = math.nan
    urgency: Urgency = Urgency.NORMAL
    valid_until_ns: int = 0

    @property
    def is_direction(self) -> bool:
        return self.axis != ""
