"""A verdict on its way through a message is the same verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from shelfhelp_ros.nodes.conversions import from_target, to_target
from shelfhelp_ros.sightings import Decision, HeldPack, Position, TargetSighting, TrackedProduct, Verified


def pack(track_id: int, depth: float) -> TrackedProduct:
    point = np.array([0.1, -0.05, depth])
    box = np.array([10, 20, 50, 90], np.float32)
    bearing = point / np.linalg.norm(point)
    return TrackedProduct(track_id, box, 0.5, "oats", "Oats", 0.75, bearing, Position(point, np.eye(3)), (0.1, 0.25))


VERDICT = TargetSighting(
    7_000_000_001, "camera", "oats", "Oats", Decision.FOUND, 0.875, pack(3, 0.75), pack(4, 0.5), 0.25
)


@pytest.mark.parametrize("held", [None, HeldPack(pack(9, 0.25), 0.625, Verified.YES), HeldPack(pack(9, 0.25), 0.0)])
def test_a_verdict_comes_through(held: HeldPack | None) -> None:
    """What is told of the pack in the hand is told of that one, and of nothing where nothing was said."""
    sent = replace(VERDICT, held=held, verified=Verified.PENDING)
    got = from_target(to_target(sent))
    for name in ("stamp_ns", "target_id", "decision", "probability", "runner_up_probability", "verified"):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.product.track_id, got.runner_up.track_id) == (3, 4)
    assert (got.held is None) is (held is None)
    if held is not None:
        assert (got.held.probability, got.held.verified) == (held.probability, held.verified)
        assert got.held.product.track_id == 9
        assert got.held.product.position.xyz == pytest.approx(held.product.position.xyz)
