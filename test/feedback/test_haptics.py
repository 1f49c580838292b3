"""The wristband: one motor at a time, on the right side, faster when nearer, and silent in time."""

from __future__ import annotations

import numpy as np
import pytest
from way_driver import FRAME, MS, NOW, SURE, searching, sighting

from shelfhelp_ros.feedback.haptics import ARRIVED, FASTEST_HZ, SLOWEST_HZ, Motor, Wristband
from shelfhelp_ros.feedback.way import Way
from shelfhelp_ros.guidance.phases import Phase


def pulse(x: float, y: float, z: float = 0.3):
    """What the motors do for a product at ``x, y, z`` metres from the hand."""
    return Wristband(searching((x, y, 0.6 + z), hand=(0, 0, 0.6))).pulse(NOW)


@pytest.mark.parametrize(
    ("x", "y", "motor"),
    [
        (-0.2, 0.05, Motor.LEFT),
        (0.2, 0.05, Motor.RIGHT),
        (0.05, -0.2, Motor.UP),
        (0.05, 0.2, Motor.DOWN),
        (0.01, -0.01, Motor.NONE),
    ],
)
def test_the_motor_on_the_side_of_the_product_pulls(x, y, motor):
    """Up is against the optical frame's y; in line nothing pulls."""
    assert pulse(x, y).motor is motor


def test_the_nearer_the_faster():
    """Every step nearer is a faster pulse, between the two ends, and a pulse lasts as long at any rate."""
    pulses = [pulse(x, 0.0) for x in (0.9, 0.5, 0.3, 0.15, 0.08, 0.041)]
    rates = [one.rate_hz for one in pulses]
    assert rates == sorted(set(rates))
    assert rates[0] == pytest.approx(SLOWEST_HZ)
    assert rates[-1] == pytest.approx(FASTEST_HZ, rel=0.02)
    assert [one.duty / one.rate_hz for one in pulses] == pytest.approx([0.06] * 6)
    assert all(one.duty < 0.5 for one in pulses)


def test_a_pull_ends_with_its_data():
    """It is valid 300 ms from the older stamp, and silence by itself after that."""
    way = searching((0.3, 0, 0.9))
    way.on_hand(np.zeros(3), SURE, NOW - 100 * MS, FRAME, NOW)
    band = Wristband(way)
    first = band.pulse(NOW)
    assert (first.motor, first.stamp_ns, first.valid_until_ns) == (Motor.RIGHT, NOW - 100 * MS, NOW + 200 * MS)
    assert band.pulse(NOW + 199 * MS).motor is Motor.RIGHT
    assert band.pulse(NOW + 200 * MS).motor is Motor.NONE


def test_a_hand_too_deep_is_not_pulled_sideways():
    """It would sweep along the packs: the voice draws it back first."""
    assert pulse(0.3, 0.0, z=-0.2).motor is Motor.NONE


def test_noise_does_not_change_the_motor():
    """Between two sides of nearly one size the motor stays; in line it stays silent until well out of line."""
    band = Wristband(searching())
    motors = []
    for step in range(20):
        now = NOW + step * 30 * MS
        noise = 0.01 * (-1) ** step
        band.way.on_hand(np.zeros(3), SURE, now, FRAME, now)
        band.way.on_sighting(sighting((0.2 + noise, 0.2 - noise, 0.9), now), now)
        motors.append(band.pulse(now).motor)
    assert len(set(motors)) == 1


def play(band: Wristband, begin_ns: int, milliseconds: int) -> list[tuple[Motor, int]]:
    """The motors over time, as (motor, how many milliseconds)."""
    runs: list[tuple[Motor, int]] = []
    for step in range(milliseconds):
        motor = band.pulse(begin_ns + step * MS).motor
        if runs and runs[-1][0] is motor:
            runs[-1] = (motor, runs[-1][1] + 1)
        else:
            runs.append((motor, 1))
    return runs


def test_arriving_goes_twice_round_the_wrist():
    """Once: a second word about it does not begin it again."""
    band = Wristband(searching((0.0, 0, 0.9), hand=(0, 0, 0.87)))
    band.on_phase(Phase.DONE, NOW)
    round_ = [(motor, 120) for motor in (Motor.LEFT, Motor.UP, Motor.RIGHT, Motor.DOWN)]
    assert play(band, NOW, 1500) == [*round_, *round_, (Motor.NONE, 1500 - 960)]
    band.on_phase(Phase.DONE, NOW + 2000 * MS)
    assert band.pulse(NOW + 2001 * MS).motor is Motor.NONE


def test_stop_ends_the_pull_at_once_and_answers_with_two_taps():
    """However good the data still are; then silence until the next search."""
    band = Wristband(searching((0.3, 0, 0.9), hand=(0, 0, 0.6)))
    assert band.pulse(NOW).motor is Motor.RIGHT
    band.on_phase(Phase.STOPPED, NOW)
    taps = [(Motor.NONE, 200), (Motor.LEFT, 100), (Motor.NONE, 100), (Motor.RIGHT, 100), (Motor.NONE, 500)]
    assert play(band, NOW, 1000) == taps
    now = NOW + 1000 * MS
    band.way.on_sighting(sighting((0.3, 0, 0.9), now), now)
    assert band.pulse(now).motor is Motor.NONE


def test_a_new_search_ends_a_pattern():
    """The pull of the new product does not wait for the end of a celebration."""
    band = Wristband(Way())
    band.on_phase(Phase.DONE, NOW)
    assert band.pulse(NOW).motor is ARRIVED[0].motor
    band.on_phase(Phase.SEARCH, NOW + 100 * MS)
    assert band.pulse(NOW + 100 * MS).motor is Motor.NONE
    band.way.on_sighting(sighting((0.6, 0, 0.9), NOW + 110 * MS), NOW + 110 * MS)
    assert band.pulse(NOW + 110 * MS).motor is Motor.RIGHT


def test_a_pattern_is_not_begun_by_a_clock_that_jumps_back():
    """Its time counts from where it began; before that there is silence, not a motor that runs on."""
    band = Wristband(Way())
    band.on_phase(Phase.DONE, NOW)
    assert band.pulse(NOW - 1000 * MS).motor is Motor.NONE
