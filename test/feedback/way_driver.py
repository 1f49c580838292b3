"""A way in the middle of a search, for the tests of what follows it."""

from __future__ import annotations

import numpy as np

from shelfhelp_ros.feedback.way import Way
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.sightings import Decision, Position, TargetSighting, TrackedProduct

MS = 1_000_000
NOW = 1_000_000 * MS
FRAME = "camera"
SURE = np.eye(3) * 1e-4


def sighting(xyz, stamp_ns=NOW, decision=Decision.FOUND, depth=True, target="flakes"):
    """The product at ``xyz`` metres in the optical frame."""
    xyz = np.asarray(xyz, float)
    position = Position(xyz, SURE) if depth else None
    box = np.array([0, 0, 10, 10], np.float32)
    product = TrackedProduct(1, box, 0.9, "flakes", "Flakes", 0.9, xyz / np.linalg.norm(xyz), position)
    return TargetSighting(stamp_ns, FRAME, target, "Flakes", decision, 0.95, product)


def searching(seen=None, hand=None, now_ns=NOW):
    """A way in the middle of a search, with a sighting and a hand of ``now_ns``."""
    way = Way()
    way.on_phase(Phase.AIM)
    if seen is not None:
        way.on_sighting(sighting(seen, now_ns), now_ns)
    if hand is not None:
        way.on_hand(np.asarray(hand, float), SURE, now_ns, FRAME, now_ns)
    return way
