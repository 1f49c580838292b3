"""What perception says about itself once a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from shelfhelp_ros.nodes.frame_statistics import Interval

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.perception_node import PerceptionNode

# A picture older than this when it is published is of no use to a moving hand.
OLD_MS = 300.0
# A stamp this far from our clock comes from another clock.
OTHER_CLOCK_MS = 5000.0


def diagnostics(node: PerceptionNode, interval: Interval) -> DiagnosticArray:
    """The message for one interval."""
    assert node.pipeline is not None
    level, summary = _judge(node, interval)
    values = {
        "frames a second": str(interval.frames),
        "frames published": str(node.statistics.total_frames),
        "frames received": str(node.matcher.received),
        "frames dropped for newer ones": str(node.matcher.dropped),
        "faults": str(node.statistics.total_faults),
        "last fault": interval.faults[-1] if interval.faults else "",
        "backend": node.pipeline.detector.session.backend,
        "target": node.pipeline.target.name if node.pipeline.target else "",
        "catalogue products": str(len(node.pipeline.catalogue.list())),
    }
    if interval.ages:
        values["age at publish, ms (median)"] = f"{np.median(interval.ages):.1f}"
        values["age at publish, ms (largest)"] = f"{max(interval.ages):.1f}"
    values |= {f"{stage}, ms": f"{mean:.1f}" for stage, mean in interval.stage_means().items()}
    status = DiagnosticStatus(
        level=level,
        name=f"{node.get_name()}: frames",
        message=summary,
        hardware_id="camera",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[status])
    message.header.stamp = node.get_clock().now().to_msg()
    return message


def _judge(node: PerceptionNode, interval: Interval) -> tuple[bytes, str]:
    if not node.is_active:
        return DiagnosticStatus.OK, "not active"
    if interval.faults:
        return DiagnosticStatus.WARN, interval.faults[-1]
    if not interval.frames:
        return DiagnosticStatus.WARN, "no camera images"
    age = float(np.median(interval.ages))
    if abs(age) > OTHER_CLOCK_MS:
        return DiagnosticStatus.WARN, f"stamps are {age / 1000:.1f} s off this machine's clock; synchronise the clocks"
    if age > OLD_MS:
        return DiagnosticStatus.WARN, "too slow: results are older than 300 ms"
    return DiagnosticStatus.OK, "working"
