"""Whose turn it is: reckoned, corrected by the voice, and proof against clocks and lost messages."""

from __future__ import annotations

from shelfhelp_ros.guidance.pacing import Pacing, Stopwatch

S = 1_000_000_000


def test_a_clock_that_jumps_back_adds_nothing():
    """No waiting time grows because a bag starts again."""
    watch = Stopwatch()
    readings = [watch.read(ns) for ns in (100 * S, 101 * S, 5 * S, 6 * S)]
    assert readings == [0, 1, 1, 2]


def test_reckoned_without_reports():
    """Without a voice that reports, text and pause decide."""
    pacing = Pacing()
    pacing.begin(2.0, 1.0, 10.0)
    assert [pacing.speech_over(11.9), pacing.speech_over(12.0)] == [False, True]
    assert [pacing.free(12.9), pacing.free(13.0)] == [False, True]


def test_a_report_corrects_the_end():
    """A speech that began late ends late; one that ended early is over early."""
    pacing = Pacing()
    pacing.begin(2.0, 0.0, 10.0)
    pacing.voice(True, 11.0)
    assert not pacing.speech_over(12.5)
    assert not pacing.speech_over(14.0)
    pacing.voice(False, 14.1)
    assert pacing.speech_over(14.1)
    pacing.begin(2.0, 0.0, 20.0)
    pacing.voice(True, 20.1)
    pacing.voice(False, 21.0)
    assert pacing.free(21.0)


def test_the_end_of_an_earlier_speech_is_not_this_one():
    """After an urgent instruction cut the one before, the report of that end changes nothing."""
    pacing = Pacing()
    pacing.begin(5.0, 0.0, 0.0)
    pacing.voice(True, 0.1)
    pacing.begin(2.0, 0.0, 1.0)
    pacing.voice(False, 1.05)
    assert not pacing.speech_over(2.0)
    pacing.voice(True, 1.1)
    pacing.voice(False, 3.0)
    assert pacing.speech_over(3.0)


def test_a_lost_report_of_the_end_does_not_silence_for_ever():
    """A voice that seems to speak on and on counts as over after a while."""
    pacing = Pacing()
    pacing.begin(1.0, 0.0, 0.0)
    pacing.voice(True, 0.0)
    assert not pacing.speech_over(5.0)
    assert pacing.speech_over(7.0)


def test_a_voice_that_did_not_begin_has_dropped_it():
    """Only a voice that reports at all can be known to have dropped something."""
    silent = Pacing()
    silent.begin(3.0, 0.0, 0.0, begins_within=0.8)
    assert not silent.dropped(2.0)
    reporting = Pacing()
    reporting.voice(True, 0.0)
    reporting.voice(False, 0.1)
    reporting.begin(3.0, 0.0, 1.0, begins_within=0.8)
    assert [reporting.dropped(1.7), reporting.dropped(1.9)] == [False, True]
    reporting.voice(True, 1.9)
    assert not reporting.dropped(2.5)
