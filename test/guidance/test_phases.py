"""The table of phases and its diagram."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfhelp_ros.guidance.phases import ACTIVE, GUIDED, TRANSITIONS, Cue, Phase, after, diagram

DOCS = Path(__file__).resolve().parents[2] / "docs" / "guidance.md"


def test_every_phase_has_a_row():
    """No phase can be entered that the table does not know."""
    assert set(TRANSITIONS) == set(Phase)
    assert {target for row in TRANSITIONS.values() for target in row.values()} == set(Phase)


def test_the_words_are_those_of_the_message():
    """Phase names are an interface: the message lists them."""
    message = Path(__file__).resolve().parents[2] / "shelfhelp_interfaces" / "msg" / "Instruction.msg"
    line = next(line for line in message.read_text().splitlines() if line.startswith("string phase"))
    assert set(line.split("#")[1].split()) <= {phase.value for phase in Phase}


@pytest.mark.parametrize("phase", Phase)
def test_a_stop_always_stops(phase):
    """From anywhere, a stop leads to silence."""
    assert after(phase, Cue.STOP) is Phase.STOPPED


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.DONE, Phase.STOPPED])
def test_pictures_wake_nobody(phase):
    """Once stopped, done or idle, only the person's own request begins a search."""
    requests = {Cue.START, Cue.STOP, Cue.CLEAR}
    assert all(after(phase, cue) is phase for cue in Cue if cue not in requests)


def test_done_is_reached_only_from_confirm():
    """Nothing but a confirmation ends a search as done."""
    leading = {
        (phase, cue) for phase in Phase for cue in Cue if phase is not Phase.DONE and after(phase, cue) is Phase.DONE
    }
    assert leading == {(Phase.CONFIRM, Cue.CONFIRMED)}


def test_the_diagram_has_every_transition():
    """What the diagram shows is the table, no more and no less."""
    arrows = {}
    for line in diagram().splitlines():
        if "-->" in line:
            source, _, rest = line.strip().partition(" -- ")
            cue, _, target = rest.partition(" --> ")
            for phase in {"looking": ACTIVE, "guided": GUIDED}.get(source) or [Phase(source)]:
                arrows[phase, Cue(cue)] = Phase(target)
    table = {(phase, cue): target for phase, row in TRANSITIONS.items() for cue, target in row.items()}
    lasting = {key for key, target in table.items() if key[0] is target and key[0] not in ACTIVE}
    assert arrows == {key: target for key, target in table.items() if key not in lasting}


def test_the_docs_show_the_diagram():
    """The picture in the docs is the code's; `python -m shelfhelp_ros.guidance.phases` prints a new one."""
    assert f"```mermaid\n{diagram()}```" in DOCS.read_text(encoding="utf-8")
