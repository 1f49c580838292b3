"""Lanes, buffers and graphs on a driver that is drawn: the order of calls, what is given back, and runs unrecorded."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX comes with the extra 'rtx'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda
from shelfhelp_ros.inference.tensorrt_engine import Lane, Stage

Work = list[Callable[[], object]]
PICTURES = [np.full((2, 3), value, np.float32) for value in (1, 5, -2, 7)]


class Driver:
    """CUDA's driver in the processor's memory. What is queued is done when a stream is waited for, not before."""

    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}
        self.pinned: set[int] = set()
        self.queue: Work = []
        self.captured: Work | None = None
        self.launches = 0
        self.refuses_to_end = False
        self.allocations_left = 1000

    def call(self, name: str, *arguments: Any) -> Any:
        return getattr(self, name)(*arguments)

    def add(self, work: Callable[[], object]) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def cuMemAlloc(self, size: int) -> int:
        if not self.allocations_left:
            raise ShelfHelpError("out of memory")
        self.allocations_left -= 1
        memory = ctypes.create_string_buffer(size)
        self.kept[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cuMemHostAlloc(self, size: int, flags: int) -> int:
        address = self.cuMemAlloc(size)
        self.pinned.add(address)
        return address

    def cuMemFree(self, address: int) -> None:
        assert address not in self.pinned
        del self.kept[address]

    def cuMemFreeHost(self, address: int) -> None:
        self.pinned.remove(address)
        del self.kept[address]

    def cuMemcpyHtoDAsync(self, to: int, source: int, size: int, stream: int) -> None:
        assert source in self.pinned
        assert to not in self.pinned
        self.add(lambda: ctypes.memmove(to, source, size))

    def cuMemcpyDtoHAsync(self, to: int, source: int, size: int, stream: int) -> None:
        assert to in self.pinned
        assert source not in self.pinned
        self.add(lambda: ctypes.memmove(to, source, size))

    def cuStreamCreate(self, flags: int) -> int:
        self.kept[1] = "stream"
        return 1

    def cuStreamDestroy(self, stream: int) -> None:
        del self.kept[stream]

    def cuStreamSynchronize(self, stream: int) -> None:
        assert self.captured is None, "a stream that records cannot be waited for"
        while self.queue:
            self.queue.pop(0)()

    def cuStreamBeginCapture(self, stream: int, mode: int) -> None:
        self.captured = []

    def cuStreamEndCapture(self, stream: int) -> Work | None:
        captured, self.captured = self.captured, None
        if self.refuses_to_end:
            raise ShelfHelpError("no graph came of it")
        return captured

    def cuGraphInstantiate(self, graph: Work, flags: int) -> Work:
        self.kept[2] = "graph"
        return graph

    def cuGraphDestroy(self, graph: Work) -> None:
        pass

    def cuGraphLaunch(self, graph: Work, stream: int) -> None:
        self.launches += 1
        self.queue += graph

    def cuGraphExecDestroy(self, graph: Work) -> None:
        del self.kept[2]


class Context:
    """Runs an engine's function on device memory."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        driver = self.engine.driver
        if self.engine.refuses_recording and driver.captured is not None:
            return False
        driver.add(self._run)
        return True

    def _run(self) -> None:
        size = int(np.prod(self.shape))
        given, found = (
            np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.addresses[name]))
            for name in (*self.engine.inputs, *self.engine.outputs)
        )
        found[:] = self.engine.function(given)


class Engine:
    """A function of one tensor, with an engine's face."""

    def __init__(self, driver: Driver, names: tuple[str, str], function: Callable[[Any], Any]) -> None:
        self.driver, self.function = driver, function
        self.inputs, self.outputs = names[:1], names[1:]
        self.refuses_recording = False

    def dtype(self, name: str) -> type:
        return np.float32

    def profile_for(self, shapes: Mapping[str, object]) -> int:
        return 0

    def context(self, profile: int, stream: object) -> Context:
        return Context(self)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(cuda, "call", driver.call)
    monkeypatch.setattr(cuda, "_driver", lambda: driver)
    return driver


@pytest.fixture
def engines(driver: Driver) -> list[Any]:
    doubled = Engine(driver, ("pictures", "doubled"), lambda values: values * 2)
    return [doubled, Engine(driver, ("given", "found"), lambda values: values + 1)]


def make_lane(engines: list[Any]) -> Lane:
    stages = [Stage.named(engines[0]), Stage.named(engines[1], given="doubled")]
    return Lane(stages, {"pictures": PICTURES[0]}, ["found"])


def check_runs(lane: Lane) -> None:
    for picture in PICTURES:
        np.testing.assert_array_equal(lane.run({"pictures": picture})["found"], picture * 2 + 1)


def test_the_second_run_is_recorded_and_replayed(driver: Driver, engines: list[Any]) -> None:
    """With what lies in the page-locked memory at each launch."""
    lane = make_lane(engines)
    check_runs(lane)
    assert driver.launches == len(PICTURES) - 1
    assert lane.why_not_recorded == ""


@pytest.mark.parametrize("where", ["in an engine", "at the end"])
def test_what_cannot_be_recorded_is_queued(driver: Driver, engines: list[Any], where: str) -> None:
    """The results are the same, the reason is kept, and it is tried once."""
    engines[1].refuses_recording = where == "in an engine"
    driver.refuses_to_end = where == "at the end"
    lane = make_lane(engines)
    check_runs(lane)
    assert driver.launches == 0
    assert lane.why_not_recorded == (
        "no graph came of it" if driver.refuses_to_end else "TensorRT could not run the engine; the lines above say why"
    )
    lane.free()
    assert not driver.kept


def test_results_are_copies(engines: list[Any]) -> None:
    """The next run does not change what the last one gave."""
    lane = make_lane(engines)
    first = lane.run({"pictures": PICTURES[0]})["found"]
    lane.run({"pictures": PICTURES[1]})
    np.testing.assert_array_equal(first, PICTURES[0] * 2 + 1)


def test_everything_is_given_back(driver: Driver, engines: list[Any]) -> None:
    """Memory, stream and graph; and only what goes to the device or comes from it has page-locked memory."""
    lane = make_lane(engines)
    check_runs(lane)
    assert len(driver.pinned) == 2
    lane.free()
    assert not driver.kept


@pytest.mark.parametrize("allocations", range(5))
def test_a_lane_that_does_not_fit_leaves_nothing(driver: Driver, engines: list[Any], allocations: int) -> None:
    """Where memory runs out in the middle, what was taken before is given back."""
    driver.allocations_left = allocations
    with pytest.raises(ShelfHelpError, match="out of memory"):
        make_lane(engines)
    assert not driver.kept
    driver.allocations_left = 5
    check_runs(make_lane(engines))
