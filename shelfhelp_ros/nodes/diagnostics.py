"""What perception says about itself once a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from shelfhelp_ros.guidance.settings import AHEAD_NS
from shelfhelp_ros.nodes.frame_statistics import Interval
from shelfhelp_ros.perception.pipeline import Pipeline

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.perception_node import PerceptionNode

# A picture older than this when it is published is of no use to a moving hand.
OLD_MS = 300.0
# A stamp this far behind our clock, or ahead of it, comes from another clock.
OTHER_CLOCK_MS = 5000.0
AHEAD_MS = AHEAD_NS / 1e6


def diagnostics(node: PerceptionNode, pipeline: Pipeline, interval: Interval) -> DiagnosticStatus:
    """What one interval says of the frames."""
    level, summary = _judge(node, pipeline, interval)
    values = {
        "frames a second": str(interval.frames),
        "frames published": str(node.statistics.total_frames),
        "frames received": str(node.matcher.received),
        "frames dropped for newer ones": str(node.matcher.dropped),
        "faults": str(node.statistics.total_faults),
        "last fault": interval.faults[-1] if interval.faults else "",
        "backend": pipeline.detector.session.backend,
        "target": target.name if (target := pipeline.target) else "",
        "catalogue products": str(pipeline.known_products),
        "frames with depth": str(interval.with_depth),
        "frames with camera_info": str(interval.with_calibration),
    }
    sessions = pipeline.detector.session, pipeline.encoder.session
    if unrecorded := {reason for session in sessions for reason in getattr(session, "unrecorded", ())}:
        values["runs without a CUDA graph"] = "; ".join(sorted(unrecorded))
    if interval.ages:
        values["age at publish, ms (median)"] = f"{np.median(interval.ages):.1f}"
        values["age at publish, ms (largest)"] = f"{max(interval.ages):.1f}"
    values |= {f"{stage}, ms": f"{mean:.1f}" for stage, mean in interval.stage_means().items()}
    return DiagnosticStatus(
        level=level,
        name=f"{node.get_name()}: frames",
        message=summary,
        hardware_id="camera",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _judge(node: PerceptionNode, pipeline: Pipeline, interval: Interval) -> tuple[bytes, str]:
    if not node.is_active:
        return DiagnosticStatus.OK, "not active"
    if interval.faults:
        return DiagnosticStatus.WARN, interval.faults[-1]
    if not interval.frames:
        return DiagnosticStatus.WARN, "no camera images"
    complaints = list(_complaints(node, pipeline, interval))
    if complaints:
        return DiagnosticStatus.WARN, "; ".join(complaints)
    return DiagnosticStatus.OK, "working"


def _complaints(node: PerceptionNode, pipeline: Pipeline, interval: Interval) -> Iterator[str]:
    if complaint := judge_age(float(np.median(interval.ages)), "results"):
        yield complaint
    if pipeline.catalogue_fault:
        yield pipeline.catalogue_fault
    if node.matcher.depth_comes and not interval.with_depth:
        yield "no depth image has the stamp of a picture; synchronise them or raise depth_slop"
    if not interval.with_calibration:
        yield "no camera_info comes; the parameter field_of_view is used in its place"


def judge_age(age_ms: float, what: str) -> str:
    """What is wrong with this age at publishing, or an empty text; ``what`` is published."""
    if age_ms < -AHEAD_MS or age_ms > OTHER_CLOCK_MS:
        way = "behind" if age_ms > 0 else "ahead of"
        return f"stamps are {abs(age_ms) / 1000:.1f} s {way} this machine's clock; synchronise the clocks"
    if age_ms > OLD_MS:
        return f"too slow: {what} are older than 300 ms"
    return ""
