"""The numbers of the guidance, each with its range, so that a ROS parameter can be declared from it."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from shelfhelp_ros.errors import ShelfHelpError

#: No direction rests on data older than this. It is a rule of the house, not a setting.
FRESH_NS = 300_000_000

#: A stamp may be this far ahead of our clock (another machine's clock, or a simulated one) and still count as now.
AHEAD_NS = 50_000_000


def _number(default: float, low: float, high: float, text: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "help": text})


def _choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    return field(default=default, metadata={"choices": choices, "help": text})


def _name(default: str, text: str) -> Any:
    return field(default=default, metadata={"pattern": r"[\w.-]{0,64}", "help": text})


@dataclass(frozen=True)
class GuidanceSettings:
    """Settings of ``Guide``. Lengths are metres, angles degrees, times seconds.

    ``dataclasses.fields(GuidanceSettings)`` carries ``low``, ``high`` (or ``choices``, or ``pattern``) and ``help`` in
    each field's metadata. A value out of range raises ShelfHelpError.
    """

    units: Literal["imperial", "metric", "hands"] = _choice(
        "imperial", ("imperial", "metric", "hands"), "units of spoken distances"
    )
    directions: Literal["sides", "clock"] = _choice(
        "sides", ("sides", "clock"), "left and right, or hours of a clock's face"
    )
    relative_to: Literal["hand", "body"] = _choice(
        "hand", ("hand", "body"), "a hand far away is told its way, or where the product is from the body"
    )
    verbosity: Literal["brief", "normal", "full"] = _choice(
        "normal", ("brief", "normal", "full"), "how much is said: the words alone, or reasons too"
    )
    speech_rate_wpm: int = _number(175, 80, 600, "speaking rate that the pacing reckons with, words a minute")
    palm_standoff: float = _number(0.03, 0.0, 0.15, "where the palm stops, metres in front of the product")
    side_tolerance: float = _number(0.04, 0.01, 0.15, "hand and product count as in line within this, metres")
    forward_tolerance: float = _number(0.05, 0.01, 0.2, "the hand counts as at the product within this, metres")
    aim_tolerance: float = _number(6.0, 1.0, 20.0, "without a hand: the camera counts as pointing at it, degrees")
    leave_factor: float = _number(1.6, 1.0, 3.0, "a tolerance once reached is left only at this many times its size")
    confirm_probability: float = _number(0.7, 0.0, 1.0, "probability that the product needs to be confirmed")
    contact_frames: int = _number(2, 1, 30, "sightings in a row with the hand at the product before it is to be taken")
    lift_distance: float = _number(0.1, 0.03, 0.5, "a hand this far from where it took a pack has lifted it, metres")
    held_within: float = _number(0.2, 0.05, 0.5, "a pack whose middle is this near the palm is in the hand, metres")
    refuse_for: float = _number(30.0, 1.0, 600.0, "a look-alike that was not the one is not tried again before this")
    search_columns: int = _number(3, 1, 15, "turns' widths of the shelf that are searched, side by side")
    search_rows: int = _number(3, 1, 9, "the same, one above the other")
    hand_spread: float = _number(0.15, 0.01, 1.0, "a hand position less certain than this is not used, metres")
    hand_timeout: float = _number(1.8, 0.3, 10.0, "a hand not seen for this long is said to be out of view")
    hand_forget: float = _number(6.0, 1.0, 60.0, "a hand not seen for this long is no longer waited for")
    stale_after: float = _number(0.35, 0.3, 5.0, "a picture missing for this long is said to be missing")
    stale_after_start: float = _number(3.0, 0.3, 30.0, "the same for the first picture after the start")
    reaction: float = _number(0.4, 0.0, 3.0, "time from the end of speech to the beginning of the movement")
    movement_speed: float = _number(0.3, 0.05, 2.0, "speed of the person's movement, metres a second")
    repeat_after: float = _number(1.5, 0.0, 20.0, "the same direction is not said again before this")
    reach_repeat_after: float = _number(4.0, 0.0, 60.0, "the same, for reaching forward while no hand is seen")
    scan_every: float = _number(3.0, 0.5, 60.0, "time between two words on where to turn while searching")
    absent_scan_every: float = _number(8.0, 0.5, 120.0, "the same, once the product was said not to be there")
    notice_every: float = _number(6.0, 0.5, 120.0, "a notice (lost, look-alikes, no hand) is said again after this")
    search_settle: float = _number(1.0, 0.0, 10.0, "this long in search before a word on where to turn")
    lost_settle: float = _number(0.7, 0.0, 10.0, "this long out of view before it is said")
    ambiguous_settle: float = _number(0.8, 0.0, 10.0, "this long unsure between look-alikes before it is said")
    contact_settle: float = _number(0.8, 0.0, 10.0, "this long at the product before the person is asked to hold still")
    lift_again_after: float = _number(5.0, 1.0, 60.0, "a pack that was not lifted is asked for again after this")
    confirm_every: float = _number(
        2.0, 0.5, 60.0, "a lifted pack that cannot be told is to be held otherwise after this"
    )
    instruction_price: float = _number(0.5, 0.0, 10.0, "seconds that sparing the person one more sentence is worth")
    touch_price: float = _number(4.0, 0.0, 60.0, "seconds that not touching a neighbour is worth")
    wrong_price: float = _number(
        15.0,
        0.0,
        600.0,
        "seconds that not taking a wrong product is worth; at 600 a hand comes to rest before it takes",
    )
    person: str = _name("", "who listens: how they move is kept under this name; empty: it is not kept")

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            _check(entry.name, getattr(self, entry.name), entry.metadata)


def _check(name: str, value: Any, metadata: Any) -> None:
    choices = metadata.get("choices")
    if choices is not None:
        if value not in choices:
            raise ShelfHelpError(f"{name} is {value!r}; it has to be one of {', '.join(choices)}")
        return
    pattern = metadata.get("pattern")
    if pattern is not None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value) or value.startswith("."):
            raise ShelfHelpError(f"{name} is {value!r}; it has to be letters, digits, dots, dashes and underscores")
        return
    low, high = metadata["low"], metadata["high"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ShelfHelpError(f"{name} is {value!r}; it has to be a number from {low} to {high}")
    if not low <= value <= high:
        raise ShelfHelpError(f"{name} is {value}; it has to be from {low} to {high}")
