"""Drive a wristband over a serial line: a ROS 2 node that turns the topic ``haptic`` into lines for a microcontroller.

    pip install "shelfhelp[haptics]"        # pyserial
    python examples/wristband_driver.py --ros-args -p port:=/dev/ttyACM0 -p baud:=115200

One line a message, ASCII, ended by a line feed:

    MOTOR HERTZ DUTY MILLISECONDS           for example: L 4.25 0.26 180

MOTOR is N (none), L, R, U or D; it runs for the part DUTY (0..1) of every period of HERTZ, or all the time when HERTZ
is 0. The microcontroller switches every other motor off, keeps the rhythm when the same motor is named again, and
switches all off MILLISECONDS after the line arrived unless another line comes: a cable that is pulled out, or a
computer that hangs, is silence. What has expired is sent as ``N 0.00 0.00 0``.
"""

from __future__ import annotations

import sys
from typing import Any

import rclpy
import serial
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from shelfhelp_interfaces.msg import Haptic

LETTERS = {Haptic.NONE: "N", Haptic.LEFT: "L", Haptic.RIGHT: "R", Haptic.UP: "U", Haptic.DOWN: "D"}
SILENCE = b"N 0.00 0.00 0\n"


def line(message: Haptic, now_ns: int) -> bytes:
    """The line for a message at ``now_ns``; silence for one that has expired or names no motor."""
    remaining_ms = (message.valid_until.sec * 1_000_000_000 + message.valid_until.nanosec - now_ns) // 1_000_000
    letter = LETTERS.get(message.motor, "N")
    if letter == "N" or remaining_ms <= 0:
        return SILENCE
    return f"{letter} {message.pulse_rate:.2f} {message.duty:.2f} {remaining_ms}\n".encode("ascii")


class WristbandDriver(Node):
    """Listens to ``haptic``. The motors are switched off when the node ends."""

    def __init__(self, **options: Any) -> None:
        super().__init__("wristband_driver", **options)
        port = self.declare_parameter("port", "/dev/ttyACM0").value
        baud = self.declare_parameter("baud", 115200).value
        # A write that does not get through at once is given up: late lines would pulse for a way of the past.
        self._serial = serial.Serial(port, baud, write_timeout=0.1)
        self.create_subscription(Haptic, "haptic", self._on_haptic, 10)

    def close(self) -> None:
        self._serial.write(SILENCE)
        self._serial.close()

    def _on_haptic(self, message: Haptic) -> None:
        try:
            self._serial.write(line(message, self.get_clock().now().nanoseconds))
        except serial.SerialTimeoutException:
            self.get_logger().warning("the wristband does not take what is sent", throttle_duration_sec=5.0)


def main() -> None:
    rclpy.init()
    try:
        node = WristbandDriver()
    except serial.SerialException as error:
        sys.exit(f"wristband_driver: the port cannot be opened: {error}")
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
