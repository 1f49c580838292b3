"""Every transition of the table, through real inputs of the guide."""

from __future__ import annotations

import pytest
from guide_driver import Driver, product

from shelfhelp_ros.guidance.phases import ACTIVE, TRANSITIONS, Cue, Phase
from shelfhelp_ros.sightings import Decision

AT = (0.1, 0.05, 0.6)
AT_IT = (0.1, 0.05, 0.57)
BESIDE = (-0.2, 0.05, 0.57)
BEFORE = (0.1, 0.05, 0.2)


def _frame(driver: Driver, cue: Cue) -> None:
    """One frame, or its absence, that means ``cue``."""
    decisions = {
        Cue.NOT_SEEN_YET: Decision.SEARCHING,
        Cue.OUT_OF_VIEW: Decision.LOST,
        Cue.LOOK_ALIKES: Decision.AMBIGUOUS,
        Cue.NOT_ON_SHELF: Decision.ABSENT,
    }
    hands = {Cue.OFF_AXIS: BESIDE, Cue.AHEAD: BEFORE, Cue.AT_TARGET: AT_IT}
    if cue is Cue.NO_PICTURE:
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
    elif cue is Cue.CONFIRMED:
        driver.watch(3.0, at=AT, hand=AT_IT)
    else:
        _frame(driver, cue)


ROADS = {
    Phase.IDLE: [],
    Phase.SEARCH: [Cue.START, Cue.NOT_SEEN_YET],
    Phase.AIM: [Cue.START, Cue.OFF_AXIS],
    Phase.REACH: [Cue.START, Cue.AHEAD],
    Phase.CONFIRM: [Cue.START, Cue.AT_TARGET],
    Phase.DONE: [Cue.START, Cue.CONFIRMED],
    Phase.LOST: [Cue.START, Cue.OUT_OF_VIEW],
    Phase.AMBIGUOUS: [Cue.START, Cue.LOOK_ALIKES],
    Phase.ABSENT: [Cue.START, Cue.NOT_ON_SHELF],
    Phase.STALE: [Cue.START, Cue.NO_PICTURE],
    Phase.STOPPED: [Cue.STOP],
}

# Written out by hand, so that a slip in the table cannot hide in the table.
REQUESTS = {Cue.START: Phase.SEARCH, Cue.CLEAR: Phase.IDLE, Cue.STOP: Phase.STOPPED}
SEEN = {
    Cue.NOT_SEEN_YET: Phase.SEARCH,
    Cue.OFF_AXIS: Phase.AIM,
    Cue.AHEAD: Phase.REACH,
    Cue.AT_TARGET: Phase.CONFIRM,
    Cue.OUT_OF_VIEW: Phase.LOST,
    Cue.LOOK_ALIKES: Phase.AMBIGUOUS,
    Cue.NOT_ON_SHELF: Phase.ABSENT,
    Cue.NO_PICTURE: Phase.STALE,
}
EXPECTED = [
    *((phase, cue, target) for phase in Phase for cue, target in REQUESTS.items()),
    *((phase, cue, target) for phase in ACTIVE for cue, target in SEEN.items()),
    (Phase.CONFIRM, Cue.CONFIRMED, Phase.DONE),
    *((phase, cue, phase) for phase in (Phase.IDLE, Phase.DONE, Phase.STOPPED) for cue in (*SEEN, Cue.CONFIRMED)),
]


def test_the_list_covers_the_table():
    """A transition that is added to the table has to be tested here."""
    listed = {(phase, cue) for phase, cue, _ in EXPECTED}
    assert {(phase, cue) for phase, row in TRANSITIONS.items() for cue in row} <= listed


@pytest.mark.parametrize(("phase", "cue", "target"), EXPECTED, ids=lambda value: value.value.replace(" ", "-"))
def test_transition(phase, cue, target):
    """From ``phase``, inputs that mean ``cue`` lead to ``target``."""
    driver = Driver()
    for step in ROADS[phase]:
        apply(driver, step)
    assert driver.phase is phase
    apply(driver, cue)
    assert driver.phase is target
