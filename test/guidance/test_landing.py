"""Where a moving hand comes to rest: foreseen before it is there, never for one that does not do as it was told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from guide_driver import PHRASES, SHELF, Driver
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.guidance.distances import spoken_amount
from shelfhelp_ros.guidance.gains import Gains
from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.landing import Landing
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.guidance.phrase_planner import PhrasePlanner
from shelfhelp_ros.guidance.planner import Course, Move, Offset, WorstAxisFirst
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.simulation.baselines import GreedyPhrase
from shelfhelp_ros.simulation.hearing import movements_asked_for

START = np.array([0.2, -0.1, 0.45])
REACTION, SPEED = 0.4, 0.3
RIGHT = Move("x", True, 0.2, 0.2, spoken_amount(0.2, "metric"))
FORWARD = Move("z", True, 0.3, 0.3, spoken_amount(0.3, "metric"))
BOTH = Move("x", True, 0.2, 0.2, RIGHT.amount, then=FORWARD)
AXIS = {"x": 0, "y": 1, "z": 2}


def reach(share):
    """Flash and Hogan's course, as a polynomial of its own."""
    share = min(1.0, max(0.0, share))
    return 6 * share**5 - 15 * share**4 + 10 * share**3


class Person:
    """Moves as asked, ``gain`` times as far, ``late`` seconds after the last word, one half after the other."""

    def __init__(self, halves, gain=1.0, late=REACTION, speed=SPEED, start=START):
        self.start, self.strokes, begins = np.array(start), [], late
        for axis, sign, metres in halves:
            seconds = 0.2 + gain * metres / speed
            self.strokes.append((axis, sign * gain * metres, begins, seconds))
            begins += seconds + 0.2
        self.over = begins - 0.2

    def offset(self, since):
        """What separates the hand from its goal then."""
        at = self.start.copy()
        for axis, way, begins, seconds in self.strokes:
            at[axis] -= way * reach((since - begins) / seconds)
        return at


def asked(move):
    halves = [move] if move.then is None else [move, move.then]
    return [(AXIS[half.axis], 1, half.amount.movement) for half in halves]


def offset(xyz):
    return Offset("hand", *(float(value) for value in xyz))


def landing(move):
    return Landing(offset(START), move, Gains.prior(), REACTION, SPEED)


def followed(person, move, until=None, noise=0.0, step=0.1):
    """(since, what is foreseen) while the hand is seen ten times a second, from before the last word on."""
    rng, foreseen = np.random.default_rng(0), landing(move)
    end = person.over if until is None else until
    times = np.arange(-0.5, end, step)
    seen = [(since, person.offset(since) + noise * rng.standard_normal(3)) for since in times]
    return [(since, foreseen.see(offset(at), since)) for since, at in seen]


def errors(person, courses):
    end = person.offset(math.inf)
    return [math.dist((c.rest.x, c.rest.y, c.rest.z), end) for _, c in courses if c.rest is not None]


@pytest.mark.parametrize("move", [RIGHT, FORWARD, BOTH])
@pytest.mark.parametrize("gain", [0.8, 1.0, 1.3])
def test_the_end_of_a_movement_is_foreseen(move, gain):
    """Before the hand is there, of a short movement with the next picture; not where the average person would be."""
    person = Person(asked(move), gain)
    courses = followed(person, move, until=person.over + 0.15, noise=0.005)
    known = [since for since, course in courses if course.rest is not None]
    assert known
    assert gain < 1 or known[0] < person.over
    assert max(errors(person, courses)) < 0.03


def test_a_hand_that_is_seen_more_often_is_not_known_better():
    """Pictures in quick succession err alike: five within some milliseconds tell what one tells."""
    person, once, often = Person(asked(FORWARD)), landing(FORWARD), landing(FORWARD)
    for since in np.arange(-0.5, person.over, 0.1):
        at = offset(np.add(person.offset(since), [0.0, 0.0, 0.01]))
        course = once.see(at, since)
        courses = [often.see(at, since + 0.001 * number) for number in range(5)]
        assert [c.rest is None for c in courses] == [course.rest is None] * 5
        if course.rest is not None:
            assert [c.rest.z for c in courses] == pytest.approx([course.rest.z] * 5, abs=0.003)


people = st.tuples(st.floats(0.7, 1.5), st.floats(0.2, 0.8), st.floats(0.2, 0.45))


@given(people, st.sampled_from([RIGHT, FORWARD, BOTH]))
@settings(deadline=None, max_examples=60)
def test_what_is_foreseen_is_so(traits, move):
    """Of whoever moves as people do, slow or quick, far or not: no place is foreseen that the hand does not come to."""
    person = Person(asked(move), *traits)
    assert max(errors(person, followed(person, move)), default=0.0) < 0.06


def test_a_hand_that_stays_is_not_foreseen_to_move():
    """Who did not hear is waited for by the clock, as before."""
    courses = followed(Person([]), RIGHT, until=2.5)
    assert max(errors(Person([]), courses), default=0.0) < 0.01
    assert not any(course.moving for _, course in courses)


def test_a_hand_that_goes_the_other_way_is_not_foreseen():
    """What fits no movement that was asked for is no ground to speak on."""
    other_way = Person([(0, -1, RIGHT.amount.movement)])
    assert not errors(other_way, [pair for pair in followed(other_way, RIGHT) if pair[0] > REACTION + 0.3])


def test_the_second_half_is_waited_for():
    """A hand that has done the first of two movements is not at rest: the second may come yet."""
    half = Person(asked(RIGHT))
    assert not errors(half, followed(half, BOTH, until=half.over + 0.3))


def test_a_hand_in_the_middle_of_its_way_moves():
    """So that nobody is told where to go from a place that they are passing."""
    person = Person(asked(FORWARD))
    courses = {round(since, 1): course for since, course in followed(person, FORWARD)}
    assert courses[1.0].moving
    assert not courses[0.0].moving


def test_the_same_place_tells_nothing_new():
    """The guide asks more often than the hand is seen."""
    person, foreseen = Person(asked(RIGHT)), landing(RIGHT)
    for since in np.arange(0.0, person.over, 0.1):
        first = foreseen.see(offset(person.offset(since)), since)
        assert all(foreseen.see(offset(person.offset(since)), since) == first for _ in range(3))


class Follower(Driver):
    """A person before the shelf who moves as the sentence says, with a camera that shows hand and product."""

    def lead(self, gain=1.0, speed=SPEED, hand=(-0.2, 0.25, 0.2), standoff=0.03):
        """Until the second direction: (seconds from the end of the first's movement to it, what it says)."""
        goal = np.array(SHELF) - [0.0, 0.0, standoff]
        hand, told, person, ends = np.array(hand), 0, None, math.inf
        self.start()
        for _ in range(200):
            self.wait(0.05)
            at = hand if person is None else goal - person.offset(self.seconds - ends)
            before = len(self.said)
            self.see(at=SHELF, hand=at, age_ms=40)
            spoken = [i for _, i in self.said[before:] if i.is_direction]
            if spoken and person is not None:
                return self.seconds - ends - person.over, spoken[-1].text
            if spoken:
                told += 1
                text = spoken[-1].text
                ends = self.seconds + speech_seconds(text, 175)
                halves = [(a.axis, a.sign, a.metres) for a in movements_asked_for(text)]
                person = Person(halves, gain, speed=speed, start=goal - hand)
        raise AssertionError(self.texts)


class Unforeseeing(PhrasePlanner):
    """The same sentences by the clock alone."""

    def watch(self, offset, since):
        return Course()


def follower(**changes):
    return Follower(Guide(GuidanceSettings(**changes), PHRASES))


def test_the_next_sentence_begins_before_the_hand_rests():
    """A person who moves as reckoned hears on while the hand slows down, not after it came to rest."""
    after, _ = follower().lead()
    assert -0.5 <= after < 0.0


def test_who_is_slow_is_not_told_from_a_place_they_pass():
    """Half as quick: the clock alone would speak in the middle of the movement."""
    after, _ = follower().lead(speed=0.16)
    assert after > -0.6
    by_the_clock, _ = Follower(Guide(GuidanceSettings(), PHRASES, Unforeseeing)).lead(speed=0.16)
    assert by_the_clock < -0.6


@pytest.mark.parametrize("planner", [WorstAxisFirst, GreedyPhrase])
def test_other_planners_foresee_nothing(planner):
    """The comparison stays what it is: they go by the clock."""
    assert planner(GuidanceSettings(), PHRASES).watch(offset(START), 1.0) == Course()
