"""The ``haptics`` node: the way to the product in, what the motors of a wristband do out."""

from __future__ import annotations

from typing import Any, NoReturn

from rclpy.node import Node
from shelfhelp_interfaces.msg import Haptic

from shelfhelp_ros.feedback.haptics import Motor, Pulse, Wristband
from shelfhelp_ros.feedback.way import Way
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.nodes.conversions import to_header, to_time
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.parameters import Parameters, Setting
from shelfhelp_ros.nodes.quality_of_service import WORDS, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.nodes.way_topics import WayTopics

_USUAL = GuidanceSettings()
SETTINGS = (
    Setting("update_rate", 50.0, "how often the motors are looked at, hertz", 10.0, 200.0, fixed=True),
    Setting(
        "side_tolerance",
        _USUAL.side_tolerance,
        "hand and product count as in line within this, metres",
        0.01,
        0.15,
        fixed=True,
    ),
    Setting(
        "aim_tolerance",
        _USUAL.aim_tolerance,
        "without a hand: the camera counts as pointing at it, degrees",
        1.0,
        20.0,
        fixed=True,
    ),
)


class HapticsNode(Node):
    """Publishes ``haptic`` whenever new data come while a motor pulls, and whenever what the motors do changes."""

    def __init__(self, **options: Any) -> None:
        super().__init__("haptics", **options)
        self.parameters = Parameters(self, SETTINGS, lambda changes: None)
        names = ("side_tolerance", "aim_tolerance")
        settings = GuidanceSettings(**{name: self.parameters[name] for name in names})
        self._wristband = Wristband(Way(settings))
        self._published: Pulse | None = None
        self._haptic = self.create_publisher(Haptic, "haptic", **adjustable(WORDS))
        WayTopics(self, self._wristband.way, self._on_phase, self._update)
        self.create_timer(1.0 / self.parameters["update_rate"], self._update)
        self._health = Health(self)

    @property
    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_phase(self, phase: Phase) -> None:
        self._wristband.on_phase(phase, self._now_ns)

    def _update(self) -> None:
        """Publish what the motors do, unless the last message says it already."""
        pulse, last = self._wristband.pulse(self._now_ns), self._published
        if (last is not None and _same(pulse, last)) or not self.context.ok():
            return
        self._published = pulse
        self._haptic.publish(
            Haptic(
                header=to_header(pulse.stamp_ns, pulse.frame_id),
                motor=int(pulse.motor),
                pulse_rate=pulse.rate_hz,
                duty=pulse.duty,
                valid_until=to_time(pulse.valid_until_ns),
            )
        )


def _same(pulse: Pulse, last: Pulse) -> bool:
    if pulse.motor is Motor.NONE:
        return last.motor is Motor.NONE
    return pulse.motor is last.motor and pulse.valid_until_ns == last.valid_until_ns


def main() -> NoReturn:
    """Executable of the node."""
    run(HapticsNode)
