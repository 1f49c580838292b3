"""Every transition of the table, through real inputs of the guide."""

from __future__ import annotations

import pytest
from guide_driver import PHRASES, UP, UP_HAND, Driver, product

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.phases import ACTIVE, GUIDED, TRANSITIONS, Cue, Phase
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.sightings import Decision

AT = (0.1, 0.05, 0.6)
AT_IT = (0.1, 0.05, 0.57)
FRONT = (0.14, 0.2)
BESIDE = (-0.2, 0.05, 0.57)
BEFORE = (0.1, 0.05, 0.2)
IN_SIGHT = (0.05, 0.025, 0.3)


def _frame(driver: Driver, cue: Cue) -> None:
    """One frame, or its absence, that means ``cue``."""
    decisions = {
        Cue.NOT_SEEN_YET: Decision.SEARCHING,
        Cue.OUT_OF_VIEW: Decision.LOST,
        Cue.LOOK_ALIKES: Decision.AMBIGUOUS,
        Cue.NOT_ON_SHELF: Decision.ABSENT,
    }
    if cue is Cue.NOT_ON_SHELF and driver.phase in GUIDED:
        # A view is looked at for a moment before it counts as seen.
        driver.watch(6.0, Decision.ABSENT)
    hands = {Cue.OFF_AXIS: BESIDE, Cue.AHEAD: BEFORE, Cue.AT_TARGET: AT_IT}
    if driver.phase in (Phase.AIM, Phase.REACH) and cue in (Cue.OFF_AXIS, Cue.AHEAD):
        # Who is on the way is not sent another way.
        driver.watch(5.0, at=AT, hand=hands[cue])
    elif cue is Cue.NO_PICTURE:
        driver.wait(4.0)
    elif cue in hands:
        driver.see(at=AT, hand=hands[cue])
    elif cue is Cue.LOOK_ALIKES:
        driver.see(Decision.AMBIGUOUS, at=AT, runner_up=product((-0.1, 0.05, 0.6), "Bran"))
    else:
        driver.see(decisions[cue])


def apply(driver: Driver, cue: Cue) -> None:
    if cue is Cue.START:
        driver.start()
    elif cue is Cue.STOP:
        driver.stop()
    elif cue is Cue.CLEAR:
        driver.guide.clear()
    elif cue is Cue.AT_REST:
        driver.watch(0.5, at=AT, hand=AT_IT)
    elif cue is Cue.CONFIRMED:
        driver.watch(6.0, at=UP, hand=UP_HAND)
    elif cue is Cue.REFUTED:
        driver.watch(3.0, at=AT, hand=UP_HAND)
    elif cue is Cue.OBSTRUCTED:
        driver.see(at=AT, hand=IN_SIGHT)
        driver.watch(1.2, Decision.LOST, hand=IN_SIGHT)
    elif cue is Cue.ACTED:
        driver.watch(9.0, Decision.SEARCHING, hand=BEFORE)
    elif cue is Cue.STILL_TAKEN:
        driver.see(at=UP, hand=UP_HAND)
    elif cue is Cue.TOLD_TO_TAKE:
        driver.watch(6.0, seen=product(AT, size=FRONT), hand=BEFORE)
    elif cue is Cue.NOT_REACHED:
        for _ in range(200):
            if driver.phase is Phase.CONFIRM:
                driver.wait(0.05)
            if driver.phase is Phase.CONFIRM:
                driver.see(at=AT, hand=BEFORE)
    else:
        _frame(driver, cue)


TAKEN = [Cue.START, Cue.AT_TARGET, Cue.AT_REST]
ROADS = {
    Phase.IDLE: [],
    Phase.SEARCH: [Cue.START, Cue.NOT_SEEN_YET],
    Phase.AIM: [Cue.START, Cue.OFF_AXIS],
    Phase.REACH: [Cue.START, Cue.AHEAD],
    Phase.CONTACT: [Cue.START, Cue.AT_TARGET],
    Phase.CONFIRM: TAKEN,
    Phase.DONE: [*TAKEN, Cue.CONFIRMED],
    Phase.BLOCKED: [Cue.START, Cue.OBSTRUCTED],
    Phase.WRONG_ITEM: [*TAKEN, Cue.REFUTED],
    Phase.LOST: [Cue.START, Cue.OUT_OF_VIEW],
    Phase.AMBIGUOUS: [Cue.START, Cue.LOOK_ALIKES],
    Phase.ABSENT: [Cue.START, Cue.NOT_ON_SHELF],
    Phase.STALE: [Cue.START, Cue.NO_PICTURE],
    Phase.STOPPED: [Cue.STOP],
}

# Where the usual road does not lead to what the cue needs.
DETOURS = {
    Cue.STILL_TAKEN: [*TAKEN, Cue.NO_PICTURE],
    Cue.NOT_REACHED: [Cue.START, Cue.AHEAD, Cue.TOLD_TO_TAKE],
}

# Written out by hand, so that a slip in the table cannot hide in the table.
REQUESTS = {Cue.START: Phase.SEARCH, Cue.CLEAR: Phase.IDLE, Cue.STOP: Phase.STOPPED}
SEEN = {
    Cue.NOT_SEEN_YET: Phase.SEARCH,
    Cue.OFF_AXIS: Phase.AIM,
    Cue.AHEAD: Phase.REACH,
    Cue.AT_TARGET: Phase.CONTACT,
    Cue.OUT_OF_VIEW: Phase.LOST,
    Cue.LOOK_ALIKES: Phase.AMBIGUOUS,
    Cue.NOT_ON_SHELF: Phase.ABSENT,
    Cue.OBSTRUCTED: Phase.BLOCKED,
}
HELD = (Phase.CONFIRM, Phase.BLOCKED, Phase.WRONG_ITEM)
EXPECTED = [
    *((phase, cue, target) for phase in Phase for cue, target in REQUESTS.items()),
    *((phase, Cue.NO_PICTURE, Phase.STALE) for phase in ACTIVE),
    *((phase, cue, target) for phase in GUIDED for cue, target in SEEN.items()),
    *((phase, cue, phase) for phase in HELD for cue in SEEN),
    (Phase.CONTACT, Cue.AT_REST, Phase.CONFIRM),
    (Phase.CONFIRM, Cue.CONFIRMED, Phase.DONE),
    (Phase.CONFIRM, Cue.REFUTED, Phase.WRONG_ITEM),
    (Phase.BLOCKED, Cue.ACTED, Phase.SEARCH),
    (Phase.WRONG_ITEM, Cue.ACTED, Phase.SEARCH),
    (Phase.STALE, Cue.STILL_TAKEN, Phase.CONFIRM),
    *((phase, Cue.TOLD_TO_TAKE, Phase.CONFIRM) for phase in (Phase.AIM, Phase.REACH)),
    (Phase.CONFIRM, Cue.NOT_REACHED, Phase.SEARCH),
    *((phase, cue, phase) for phase in (Phase.IDLE, Phase.DONE, Phase.STOPPED) for cue in (*SEEN, Cue.CONFIRMED)),
]


def test_the_list_covers_the_table():
    """A transition that is added to the table has to be tested here."""
    listed = {(phase, cue) for phase, cue, _ in EXPECTED}
    assert {(phase, cue) for phase, row in TRANSITIONS.items() for cue in row} <= listed


@pytest.mark.parametrize(("phase", "cue", "target"), EXPECTED, ids=lambda value: value.value.replace(" ", "-"))
def test_transition(phase, cue, target):
    """From ``phase``, inputs that mean ``cue`` lead to ``target``."""
    planner = PhrasePlanner if cue in (Cue.TOLD_TO_TAKE, Cue.NOT_REACHED) else WorstAxisFirst
    driver = Driver(Guide(GuidanceSettings(search_columns=1, search_rows=1), PHRASES, planner))
    for step in DETOURS.get(cue, ROADS[phase]):
        apply(driver, step)
    assert driver.phase is phase
    apply(driver, cue)
    assert driver.phase is target
