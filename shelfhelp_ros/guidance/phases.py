"""The phases of a search and the table of what leads from one to the next.

The table is the only place where a phase changes. ``python -m shelfhelp_ros.guidance.phases`` prints it as the diagram
of the docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Phase(str, Enum):
    """Where the search for one product stands. The values are the words of ``Instruction.msg``."""

    IDLE = "idle"
    SEARCH = "search"
    AIM = "aim"
    REACH = "reach"
    CONFIRM = "confirm"
    DONE = "done"
    LOST = "lost"
    AMBIGUOUS = "ambiguous"
    ABSENT = "absent"
    STALE = "stale"
    STOPPED = "stopped"


class Cue(str, Enum):
    """What can happen: a request of the person, or what the newest data say."""

    START = "start"
    CLEAR = "clear"
    STOP = "stop"
    NOT_SEEN_YET = "not seen yet"
    OFF_AXIS = "off to a side"
    AHEAD = "straight ahead"
    AT_TARGET = "hand at the product"
    CONFIRMED = "confirmed"
    OUT_OF_VIEW = "out of view"
    LOOK_ALIKES = "look-alikes"
    NOT_ON_SHELF = "not on this shelf"
    NO_PICTURE = "no picture"


#: The phases in which a product is being looked for.
ACTIVE = (
    Phase.SEARCH,
    Phase.AIM,
    Phase.REACH,
    Phase.CONFIRM,
    Phase.LOST,
    Phase.AMBIGUOUS,
    Phase.ABSENT,
    Phase.STALE,
)

_REQUESTS = {Cue.START: Phase.SEARCH, Cue.CLEAR: Phase.IDLE, Cue.STOP: Phase.STOPPED}

_SEEN = {
    Cue.NOT_SEEN_YET: Phase.SEARCH,
    Cue.OFF_AXIS: Phase.AIM,
    Cue.AHEAD: Phase.REACH,
    Cue.AT_TARGET: Phase.CONFIRM,
    Cue.OUT_OF_VIEW: Phase.LOST,
    Cue.LOOK_ALIKES: Phase.AMBIGUOUS,
    Cue.NOT_ON_SHELF: Phase.ABSENT,
    Cue.NO_PICTURE: Phase.STALE,
}

TRANSITIONS: Mapping[Phase, Mapping[Cue, Phase]] = MappingProxyType(
    {
        Phase.IDLE: _REQUESTS,
        **{phase: {**_REQUESTS, **_SEEN} for phase in ACTIVE},
        Phase.CONFIRM: {**_REQUESTS, **_SEEN, Cue.CONFIRMED: Phase.DONE},
        Phase.DONE: _REQUESTS,
        Phase.STOPPED: _REQUESTS,
    }
)


def after(phase: Phase, cue: Cue) -> Phase:
    """The phase that ``cue`` leads to; a cue that the table does not name for this phase changes nothing."""
    return TRANSITIONS[phase].get(cue, phase)


def diagram() -> str:
    """The table as a Mermaid flowchart; an arrow that leaves every active phase is drawn once, from a common node."""
    active = " · ".join(phase.value for phase in ACTIVE)
    lines = ["flowchart LR", f'    looking(["while looking: {active}"])']
    lines += [f"    {phase.value}" for phase in Phase]
    for cue in Cue:
        sources = {phase: row[cue] for phase, row in TRANSITIONS.items() if cue in row}
        for target in dict.fromkeys(sources.values()):
            leaving = [phase for phase, reached in sources.items() if reached is target]
            shared = all(phase in leaving for phase in ACTIVE)
            if shared:
                lines.append(f"    looking -- {cue.value} --> {target.value}")
            lines += [
                f"    {phase.value} -- {cue.value} --> {target.value}"
                for phase in leaving
                if not (shared and phase in ACTIVE) and phase is not target
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(diagram(), end="")
