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
    CONTACT = "contact"
    CONFIRM = "confirm"
    DONE = "done"
    LOST = "lost"
    AMBIGUOUS = "ambiguous"
    BLOCKED = "blocked"
    WRONG_ITEM = "wrong_item"
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
    OUT_OF_VIEW = "out of view"
    LOOK_ALIKES = "look-alikes"
    NOT_ON_SHELF = "not on this shelf"
    OBSTRUCTED = "something in the way"
    AT_REST = "hand rests there"
    TOLD_TO_TAKE = "told to take it"
    NOT_REACHED = "hand did not come to it"
    CONFIRMED = "verified in the hand"
    REFUTED = "another one in the hand"
    ACTED = "done as asked"
    NO_PICTURE = "no picture"
    STILL_TAKEN = "picture again, pack still taken"


#: Phases in which the newest picture decides what comes next.
GUIDED = (
    Phase.SEARCH,
    Phase.AIM,
    Phase.REACH,
    Phase.CONTACT,
    Phase.LOST,
    Phase.AMBIGUOUS,
    Phase.ABSENT,
    Phase.STALE,
)

#: The phases in which a product is being looked for.
ACTIVE = (*GUIDED, Phase.CONFIRM, Phase.BLOCKED, Phase.WRONG_ITEM)

_REQUESTS = {Cue.START: Phase.SEARCH, Cue.CLEAR: Phase.IDLE, Cue.STOP: Phase.STOPPED}

_ALWAYS = {**_REQUESTS, Cue.NO_PICTURE: Phase.STALE}

_SEEN = {
    Cue.NOT_SEEN_YET: Phase.SEARCH,
    Cue.OFF_AXIS: Phase.AIM,
    Cue.AHEAD: Phase.REACH,
    Cue.AT_TARGET: Phase.CONTACT,
    Cue.OUT_OF_VIEW: Phase.LOST,
    Cue.LOOK_ALIKES: Phase.AMBIGUOUS,
    Cue.NOT_ON_SHELF: Phase.ABSENT,
    Cue.OBSTRUCTED: Phase.BLOCKED,
}

TRANSITIONS: Mapping[Phase, Mapping[Cue, Phase]] = MappingProxyType(
    {
        Phase.IDLE: _REQUESTS,
        **{phase: {**_ALWAYS, **_SEEN} for phase in GUIDED},
        **{phase: {**_ALWAYS, **_SEEN, Cue.TOLD_TO_TAKE: Phase.CONFIRM} for phase in (Phase.AIM, Phase.REACH)},
        Phase.CONTACT: {**_ALWAYS, **_SEEN, Cue.AT_REST: Phase.CONFIRM},
        Phase.STALE: {**_ALWAYS, **_SEEN, Cue.STILL_TAKEN: Phase.CONFIRM},
        Phase.CONFIRM: {
            **_ALWAYS,
            Cue.CONFIRMED: Phase.DONE,
            Cue.REFUTED: Phase.WRONG_ITEM,
            Cue.NOT_REACHED: Phase.SEARCH,
        },
        Phase.BLOCKED: {**_ALWAYS, Cue.ACTED: Phase.SEARCH},
        Phase.WRONG_ITEM: {**_ALWAYS, Cue.ACTED: Phase.SEARCH},
        Phase.DONE: _REQUESTS,
        Phase.STOPPED: _REQUESTS,
    }
)


def after(phase: Phase, cue: Cue) -> Phase:
    """The phase that ``cue`` leads to; a cue that the table does not name for this phase changes nothing."""
    return TRANSITIONS[phase].get(cue, phase)


def diagram() -> str:
    """The table as a Mermaid flowchart; an arrow that leaves every phase of a group is drawn once, from a node of the
    group's."""
    groups = {"looking": ACTIVE, "guided": GUIDED}
    words = {"looking": "while looking: all but idle, done, stopped", "guided": " · ".join(p.value for p in GUIDED)}
    lines = ["flowchart LR", *(f'    {name}(["{text}"])' for name, text in words.items())]
    lines += [f"    {phase.value}" for phase in Phase]
    for cue in Cue:
        sources = {phase: row[cue] for phase, row in TRANSITIONS.items() if cue in row}
        for target in dict.fromkeys(sources.values()):
            leaving = [phase for phase, reached in sources.items() if reached is target]
            group = next((name for name, phases in groups.items() if set(phases) <= set(leaving)), None)
            if group is not None:
                lines.append(f"    {group} -- {cue.value} --> {target.value}")
            lines += [
                f"    {phase.value} -- {cue.value} --> {target.value}"
                for phase in leaving
                if not (group and phase in groups[group]) and phase is not target
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(diagram(), end="")
