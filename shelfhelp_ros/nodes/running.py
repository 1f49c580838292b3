"""Starting nodes, bringing lifecycle nodes to active, spinning them and stopping them without a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import rclpy
from rclpy import _rclpy_pybind11
from rclpy._rclpy_pybind11 import RCLError
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.lifecycle import AUTOSTART
from shelfhelp_ros.nodes.memory import keep_memory_of_images
from shelfhelp_ros.nodes.transport import make_room_for_images

N = TypeVar("N", bound=Node)
#: How a node ends that worked and then could not go on: EX_SOFTWARE. One that cannot start ends with 1.
INTERNAL_ERROR = 70
# For measurements.
EXECUTOR_VARIABLE = "SHELFHELP_EXECUTOR"
EXECUTORS = ("single", "multi", "events")
# For so long a thread of Python keeps another waiting that is ready; its own 5 ms add up on the way of a picture.
SWITCH_SECONDS = 0.001
# The class behind rclpy.experimental.EventsExecutor, which also turns on faulthandler for the whole process, and fails
# where stderr is no file.
_EVENTS: Any = getattr(_rclpy_pybind11, "EventsExecutor", None)


class Crew:
    """Nodes of one process, each with an executor in a thread of its own, so that none waits for another's callback.

    A service or an action that takes long is better answered beside (see `beside`). `stop` may be called from any
    thread, signal handlers included; `wait` returns the exit status.
    """

    def __init__(self, context: Context | None = None) -> None:
        self._context = context
        self._stopping = threading.Event()
        self._status = 0
        self._running: list[tuple[Node, Any, threading.Thread]] = []

    @property
    def nodes(self) -> list[Node]:
        return [node for node, _, _ in self._running]

    def add(self, node: N) -> N:
        """Spin ``node`` from now on."""
        executor = _executor(self._context)
        executor.add_node(node)
        thread = threading.Thread(target=self._spin, args=(node, executor), name=node.get_name(), daemon=True)
        self._running.append((node, executor, thread))
        thread.start()
        return node

    def activate(self) -> None:
        """Configure and activate the lifecycle nodes in the order they were added.

        Raises ShelfHelpError with the node's own reason when one refuses.
        """
        for node in self.nodes:
            if isinstance(node, LifecycleNode):
                for step in (node.trigger_configure, node.trigger_activate):
                    if step() != TransitionCallbackReturn.SUCCESS:
                        reason = getattr(node, "failure", "") or "see its log"
                        raise ShelfHelpError(f"{node.get_name()} did not start: {reason}")

    def stop(self, status: int = 0) -> None:
        self._status = self._status or status
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status once something stopped the crew, or None after ``timeout`` seconds."""
        return self._status if self._stopping.wait(timeout) else None

    def close(self) -> None:
        """Stop spinning and destroy the nodes. The context stays as it is."""
        self._stopping.set()
        for node, _, _ in self._running:
            closing = getattr(node, "close", None)
            if closing is not None:
                closing()
        for _, executor, thread in self._running:
            executor.wake()
            thread.join(5.0)
            # shutdown() does not wait for callbacks that run in the pool, and what they use is destroyed next.
            if isinstance(executor, MultiThreadedExecutor):
                executor._executor.shutdown(wait=True)
            executor.shutdown(timeout_sec=1.0)
        for node, _, _ in self._running:
            node.destroy_node()
        self._running.clear()

    def _spin(self, node: Node, executor: Any) -> None:
        try:
            while not self._stopping.is_set() and executor.context.ok():
                try:
                    executor.spin_once(timeout_sec=0.5)
                except InvalidHandle:
                    # A callback in the pool destroyed what this thread was about to wait for, as a cleanup does. What
                    # else was ready is still ready in the next round.
                    continue
                except RCLError as error:
                    # How rclpy takes a change_state that the present state does not allow; anybody may ask for one.
                    if "lifecycle state machine" not in str(error):
                        raise
                    node.get_logger().warning("a change of state that is not possible now was asked for")
        except ExternalShutdownException:
            pass
        except Exception as error:
            if not self._stopping.is_set():
                node.get_logger().fatal(f"stopped by an internal error: {type(error).__name__}: {error}")
                self.stop(INTERNAL_ERROR)


def _executor(context: Context | None) -> Any:
    """One thread. The events executor is the quickest (docs/benchmarks.md), and only
    chosen by name: it does not hold on to what it works on, and a demo ended in a SystemError of it.
    """
    wanted = os.environ.get(EXECUTOR_VARIABLE, "")
    if wanted not in ("", *EXECUTORS):
        raise ShelfHelpError(f"{EXECUTOR_VARIABLE} is {wanted!r}; it has to be one of {', '.join(EXECUTORS)}")
    if wanted == "multi":
        return MultiThreadedExecutor(2, context=context)
    if _EVENTS is None or wanted != "events":
        return SingleThreadedExecutor(context=context)
    context = context or rclpy.get_default_context()
    executor = _EVENTS(context)
    context.on_shutdown(executor.wake)
    return executor


@contextmanager
def ros(arguments: Sequence[str] | None = None) -> Iterator[None]:
    """rclpy, initialised with ROS ``arguments``, for as long as the block runs. Signals stay with the caller."""
    make_room_for_images()
    keep_memory_of_images()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        rclpy.init(
            args=list(arguments) if arguments is not None else None, signal_handler_options=SignalHandlerOptions.NO
        )
    except (RuntimeError, ValueError) as error:
        raise ShelfHelpError(f"ROS 2 does not start: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def stopped_by_signals(crew: Crew) -> Iterator[None]:
    """SIGINT and SIGTERM stop the crew instead of raising, so that shutting down is the same quiet way always."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: crew.stop())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(make_node: Callable[[], Node]) -> NoReturn:
    """The ``main`` of a node's executable: make it, spin it until a signal, exit. Wrong input is one line, status 1.

    A lifecycle node goes to active by itself when its parameter ``autostart`` says so.
    """
    status = 0
    try:
        with ros():
            crew = Crew()
            with stopped_by_signals(crew):
                try:
                    node = crew.add(make_node())
                    if node.get_parameter_or(AUTOSTART.name).value:
                        crew.activate()
                    status = crew.wait() or 0
                finally:
                    crew.close()
    except ShelfHelpError as error:
        print(f"shelfhelp: error: {error}", file=sys.stderr)
        status = 1
    except RuntimeError as error:
        # How rclpy refuses the value of a parameter qos_overrides.…
        if "QoS override" not in str(error):
            raise
        print(f"shelfhelp: error: {error}; correct it in the configuration", file=sys.stderr)
        status = 1
    sys.exit(status)
