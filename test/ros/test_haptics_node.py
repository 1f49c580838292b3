"""The haptics node and the example driver on a real graph: fresh data pull the wrist, and it is let go in time."""

from __future__ import annotations

import importlib.util
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from ros_graph import FRAME, Graph, until
from ros_search import Search
from shelfhelp_interfaces.msg import Haptic

from shelfhelp_ros.nodes.conversions import from_time, to_time
from shelfhelp_ros.nodes.haptics_node import HapticsNode
from shelfhelp_ros.nodes.quality_of_service import WORDS

DRIVER = Path(__file__).resolve().parents[2] / "examples" / "wristband_driver.py"


@pytest.fixture
def search(graph: Graph) -> Search:
    graph.add(HapticsNode)
    return Search(graph)


@pytest.mark.parametrize(
    ("x", "y", "motor"),
    [(-0.3, 0.0, Haptic.LEFT), (0.3, 0.0, Haptic.RIGHT), (0, -0.3, Haptic.UP), (0, 0.3, Haptic.DOWN)],
)
def test_it_pulls_to_the_product_and_lets_go_when_the_data_end(
    graph: Graph, search: Search, x: float, y: float, motor: int
) -> None:
    """The pull rests on the picture's stamp and holds for 300 ms from it; afterwards silence is said too."""
    heard = graph.listen(Haptic, "haptic")
    search.phase("aim")
    pull = heard.wait_for(lambda m: m.motor != Haptic.NONE, lambda: search.see(x, y))
    assert pull.motor == motor
    assert pull.header.frame_id == FRAME
    assert from_time(pull.valid_until) == from_time(pull.header.stamp) + 300_000_000
    assert 1.5 <= pull.pulse_rate <= 8.0
    assert 0 < pull.duty < 0.5
    until(lambda: heard.messages[-1].motor == Haptic.NONE, what="silence after the last picture")


def test_nothing_old_pulls(graph: Graph, search: Search) -> None:
    """Pictures that come late lead nowhere, however many come."""
    heard = graph.listen(Haptic, "haptic")
    search.phase("aim")
    for _ in range(20):
        search.see(0.3, 0.0, age_ms=310)
        time.sleep(0.02)
    assert all(message.motor == Haptic.NONE for message in heard.messages)
    heard.wait_for(lambda m: m.motor == Haptic.RIGHT, lambda: search.see(0.3, 0.0))


def test_stop_lets_go_though_pictures_still_come(graph: Graph, search: Search) -> None:
    """After the stop there are its two taps, and no pull until the next search."""
    heard = graph.listen(Haptic, "haptic")
    search.phase("aim")
    heard.wait_for(lambda m: m.motor == Haptic.UP, lambda: search.see(0.0, -0.3))
    search.phase("stopped")
    heard.wait_for(lambda m: m.motor == Haptic.RIGHT, lambda: search.see(0.0, -0.3))
    count = len(heard.messages)
    for _ in range(20):
        search.see(0.0, -0.3)
        time.sleep(0.02)
    assert {message.motor for message in heard.messages[count:]} <= {Haptic.NONE}
    search.phase("search")
    heard.wait_for(lambda m: m.motor == Haptic.UP and m.pulse_rate > 0, lambda: search.see(0.0, -0.3))


def test_arriving_goes_round_the_wrist(graph: Graph, search: Search) -> None:
    """Single pulses, each with its own end, and silence after them."""
    heard = graph.listen(Haptic, "haptic")
    search.phase("done")
    until(lambda: len(heard.messages) > 1 and heard.messages[-1].motor == Haptic.NONE, what="the end of the pattern")
    steps = [message for message in heard.messages if message.motor != Haptic.NONE]
    assert all(message.pulse_rate == 0.0 and message.duty == 1.0 for message in steps)
    ends = [from_time(message.valid_until) for message in steps]
    assert ends == sorted(set(ends))


# The example


@pytest.fixture
def example() -> Any:
    pytest.importorskip("serial", reason="pyserial is not installed: pip install 'shelfhelp[haptics]'")
    specification = importlib.util.spec_from_file_location("wristband_driver", DRIVER)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """A pseudo-terminal: the wristband's end as a file descriptor, and the name of the computer's."""
    wristband, computer = os.openpty()
    tty.setraw(wristband)
    try:
        yield wristband, os.ttyname(computer)
    finally:
        os.close(wristband)
        os.close(computer)


def test_the_example_writes_what_the_motors_do(graph: Graph, example: Any, terminal: tuple[int, str]) -> None:
    """Over a real serial line: motor, rate, duty and how long it may last; what has expired is silence."""
    wristband, port = terminal
    driver = graph.add(example.WristbandDriver, ros={"port": port})
    publisher = graph.node.create_publisher(Haptic, "haptic", WORDS)
    until(lambda: publisher.get_subscription_count() > 0, what="the driver's listening")
    lines = os.fdopen(os.dup(wristband), "rb")

    def tell(motor: int, valid_ms: int) -> list[bytes]:
        until_ns = graph.node.get_clock().now().nanoseconds + valid_ms * 1_000_000
        publisher.publish(Haptic(motor=motor, pulse_rate=4.25, duty=0.255, valid_until=to_time(until_ns)))
        return lines.readline().split()

    motor, hertz, duty, milliseconds = tell(Haptic.LEFT, 60_000)
    assert (motor, hertz) == (b"L", b"4.25")
    assert float(duty) == pytest.approx(0.255, abs=0.006)
    assert 0 < int(milliseconds) < 60_000
    assert [tell(motor, 60_000)[0] for motor in (Haptic.RIGHT, Haptic.UP, Haptic.DOWN, Haptic.NONE, 99)] == [
        *(b"R", b"U", b"D", b"N", b"N")
    ]
    assert tell(Haptic.LEFT, -1) == [b"N", b"0.00", b"0.00", b"0"]
    driver.close()
    assert lines.readline() == example.SILENCE
    driver.close = lambda: None
    lines.close()
