"""What the ``hand`` node says about itself once a second: above all, that the hand is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from shelfhelp_ros.nodes.diagnostics import judge_age
from shelfhelp_ros.nodes.frame_statistics import Interval
from shelfhelp_ros.sightings import Position

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.hand_node import HandNode


class HandWatch:
    """What the last frames said: when the hand was last published, how sure, and what the frames lacked."""

    def __init__(self) -> None:
        self.seen: float | None = None
        self.published = 0
        self.position: Position | None = None
        self.calibrated = self.depth = True

    def note(self, position: Position | None, calibrated: bool, depth: bool) -> None:
        """One frame was worked on; ``position`` is what was published of it."""
        self.calibrated, self.depth = calibrated, depth
        if position is not None:
            self.seen, self.position = time.monotonic(), position
            self.published += 1


def hand_diagnostics(node: HandNode, interval: Interval) -> DiagnosticStatus:
    """What one interval says of the hand."""
    level, summary = _judge(node, interval)
    watch = node.watch
    values = {
        "frames a second": str(interval.frames),
        "positions published": str(watch.published),
        "faults": str(node.statistics.total_faults),
        "last fault": interval.faults[-1] if interval.faults else "",
        "source": node.finder.source.name if node.finder is not None else "",
        "camera_info": "there" if watch.calibrated else "missing: directions rest on field_of_view",
        "depth": "there" if watch.depth else "missing: the range rests on the size of hand or marker",
    }
    if watch.seen is not None and watch.position is not None:
        values["last seen, s ago"] = f"{time.monotonic() - watch.seen:.1f}"
        spread = float(np.sqrt(np.linalg.eigvalsh(watch.position.covariance)[-1]))
        values["standard deviation, m"] = f"{spread:.3f}"
    if interval.ages:
        values["age at publish, ms (median)"] = f"{np.median(interval.ages):.1f}"
    values |= {f"{stage}, ms": f"{mean:.1f}" for stage, mean in interval.stage_means().items()}
    return DiagnosticStatus(
        level=level,
        name=f"{node.get_name()}: hand",
        message=summary,
        hardware_id="camera",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _judge(node: HandNode, interval: Interval) -> tuple[bytes, str]:
    if not node.is_active:
        return DiagnosticStatus.OK, "not active"
    if interval.faults:
        return DiagnosticStatus.WARN, interval.faults[-1]
    if not interval.frames:
        return DiagnosticStatus.WARN, "no camera images"
    if complaint := judge_age(float(np.median(interval.ages)), "positions"):
        return DiagnosticStatus.WARN, complaint
    if node.watch.seen is None:
        return DiagnosticStatus.OK, "no hand seen yet"
    lost = time.monotonic() - node.watch.seen
    if lost > node.parameters["lost_after"]:
        return DiagnosticStatus.WARN, f"hand lost: not seen for {lost:.1f} s"
    return DiagnosticStatus.OK, "hand in view"
