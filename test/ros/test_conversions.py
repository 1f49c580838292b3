"""A verdict on its way through a message is the same verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.nodes.conversions import from_camera_info, from_target, to_camera_info, to_target
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


@pytest.mark.parametrize("size", [(640, 480), (65535, 3)])
@pytest.mark.parametrize(
    "lens", [(1e308, 600, 320, 240), (600, 5e-324, 320, 240), (600, 600, -1e308, 240), (np.nan, 600, 320, 240)]
)
def test_a_calibration_as_no_camera_has_it_is_none(lens: tuple[float, ...], size: tuple[int, int]) -> None:
    """Else the first picture of another size would bring numbers that no lens has, and no direction at all."""
    message = to_camera_info(CameraModel(*size, 600, 600, 320, 240), 0, "camera")
    assert from_camera_info(message) == CameraModel(*size, 600, 600, 320, 240)
    message.k[[0, 4, 2, 5]] = lens
    assert from_camera_info(message) is None
