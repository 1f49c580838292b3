"""The little of CUDA that running an engine needs: a device, pinned and device memory, a stream, graphs.

Through cuda-bindings, NVIDIA's own and typed binding, on Jetsons and workstations alike. PyCUDA would do for memory and
streams; but it has no CUDA graphs, and is built from source against CUDA's headers.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.engine_recipe import Gpu

Array = npt.NDArray[Any]
_DRIVERS = ("libcuda.so.1", "libcuda.so")


def obstacle() -> str:
    """What keeps CUDA from being used on this machine; an empty text when nothing does. Quick where there is no GPU."""
    if not any(_loads(name) for name in _DRIVERS):
        return "there is no NVIDIA driver"
    if not importlib.util.find_spec("cuda") or not importlib.util.find_spec("cuda.bindings"):
        return "cuda-bindings is not installed (extra `rtx` or `jetson`)"
    try:
        Device()
    except ShelfHelpError as error:
        return str(error)
    return ""


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _driver() -> Any:
    """The module of driver calls. Raises ShelfHelpError where it is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise ShelfHelpError("cuda-bindings is not installed; pip install 'shelfhelp[rtx]'") from error
    return driver


def call(name: str, *arguments: Any) -> Any:
    """Call a function of the CUDA driver: its result, a tuple of them, or None. Raises ShelfHelpError when it fails."""
    driver = _driver()
    try:
        status, *results = getattr(driver, name)(*arguments)
    except RuntimeError as error:  # the driver library is missing
        raise ShelfHelpError(f"CUDA does not start: {str(error).splitlines()[0]}") from error
    if status != driver.CUresult.CUDA_SUCCESS:
        text = driver.cuGetErrorString(status)[1]
        reason = text.decode() if isinstance(text, bytes) else str(status)
        raise ShelfHelpError(f"{name} failed: {reason}")
    return results[0] if len(results) == 1 else tuple(results) or None


class Device:
    """A GPU and its primary context, which TensorRT uses too. Raises ShelfHelpError without a working one."""

    def __init__(self, number: int = 0) -> None:
        call("cuInit", 0)
        if call("cuDeviceGetCount") <= number:
            raise ShelfHelpError("the NVIDIA driver finds no GPU")
        device = call("cuDeviceGet", number)
        name: bytes = call("cuDeviceGetName", 128, device)
        known = _driver().CUdevice_attribute
        wanted = (
            known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
        major, minor = (int(call("cuDeviceGetAttribute", attribute, device)) for attribute in wanted)
        self.gpu = Gpu(name.split(b"\0")[0].decode(errors="replace"), (major, minor))
        self._context = call("cuDevicePrimaryCtxRetain", device)

    def use(self) -> None:
        """Make it this thread's device: networks are loaded in one thread and run in another."""
        call("cuCtxSetCurrent", self._context)


class Buffer:
    """Room for a tensor: device memory, and as much page-locked host memory, from which copies run without waiting.

    A tensor that never leaves the device needs no ``host`` memory.
    """

    def __init__(self, size: int, host: bool = True) -> None:
        self.size = max(1, size)
        self.device = int(call("cuMemAlloc", self.size))
        self._pinned = 0
        self._bytes: Array = np.zeros(0, np.uint8)
        if host:
            self._lock_pages()

    def _lock_pages(self) -> None:
        try:
            self._pinned = int(call("cuMemHostAlloc", self.size, 0))
        except ShelfHelpError:
            self.free()
            raise
        self._bytes = np.ctypeslib.as_array((ctypes.c_uint8 * self.size).from_address(self._pinned))

    def host(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """The host memory as an array; it is overwritten by the next use."""
        needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.asarray(self._bytes[:needed].view(dtype).reshape(shape))

    def upload(self, needed: int, stream: Stream) -> None:
        call("cuMemcpyHtoDAsync", self.device, self._pinned, needed, stream.handle)

    def download(self, needed: int, stream: Stream) -> None:
        call("cuMemcpyDtoHAsync", self._pinned, self.device, needed, stream.handle)

    def free(self) -> None:
        self._bytes = np.zeros(0, np.uint8)
        call("cuMemFree", self.device)
        if self._pinned:
            call("cuMemFreeHost", self._pinned)


class Stream:
    """A queue of work on the GPU."""

    def __init__(self) -> None:
        flag = _driver().CUstream_flags.CU_STREAM_NON_BLOCKING
        self.handle: Any = call("cuStreamCreate", flag)

    @property
    def address(self) -> int:
        return int(self.handle)

    def wait(self) -> None:
        call("cuStreamSynchronize", self.handle)

    def free(self) -> None:
        call("cuStreamDestroy", self.handle)

    def record(self, work: Callable[[], None]) -> Graph:
        """Record what ``work`` queues, as a graph. Raises what ``work`` raises; ShelfHelpError for what cannot be."""
        driver = _driver()
        call("cuStreamBeginCapture", self.handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        try:
            work()
        except BaseException:
            # A capture that went wrong has to be ended before the stream can be used again.
            driver.cuStreamEndCapture(self.handle)
            raise
        return Graph(call("cuStreamEndCapture", self.handle))


class Graph:
    """Recorded work that is queued again as a whole, at the cost of one call."""

    def __init__(self, graph: Any) -> None:
        try:
            self._work = call("cuGraphInstantiate", graph, 0)
        finally:
            call("cuGraphDestroy", graph)

    def launch(self, stream: Stream) -> None:
        call("cuGraphLaunch", self._work, stream.handle)

    def free(self) -> None:
        call("cuGraphExecDestroy", self._work)
