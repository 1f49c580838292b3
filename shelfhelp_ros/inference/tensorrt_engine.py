"""TensorRT engines on the GPU, and lanes: ways through several of them at fixed shapes, recorded as CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.cuda import Buffer, Graph, Stream
from shelfhelp_ros.inference.engine_recipe import Profile, Shape
from shelfhelp_ros.inference.tensorrt_library import trt

_LOG = logging.getLogger(__name__)
Array = npt.NDArray[Any]


class Quiet(trt.ILogger):
    """TensorRT's log: errors go to Python's, the rest nowhere."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            _LOG.warning("TensorRT: %s", " ".join(msg.split()))


class LoadedEngine:
    """An engine in this process, its named tensors and its profiles. Raises ShelfHelpError when it does not load."""

    def __init__(self, serialised: bytes, profiles: Sequence[Mapping[str, Profile]]) -> None:
        self._log = Quiet()
        # Engine and contexts live only as long as the runtime and its log.
        self._runtime = trt.Runtime(self._log)
        self._engine: trt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(serialised)
        if self._engine is None:
            raise ShelfHelpError("the engine does not load with this TensorRT and GPU")
        self._profiles = profiles
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        self.inputs = tuple(name for name in names if self._is_input(name))
        self.outputs = tuple(name for name in names if not self._is_input(name))

    def _is_input(self, name: str) -> bool:
        assert self._engine is not None
        return bool(self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)

    def dtype(self, name: str) -> npt.DTypeLike:
        """The NumPy type of a tensor."""
        assert self._engine is not None
        known = {
            trt.DataType.FLOAT: np.float32,
            trt.DataType.HALF: np.float16,
            trt.DataType.INT8: np.int8,
            trt.DataType.UINT8: np.uint8,
            trt.DataType.INT32: np.int32,
            trt.DataType.INT64: np.int64,
            trt.DataType.BOOL: np.bool_,
        }
        return known[self._engine.get_tensor_dtype(name)]

    def profile_for(self, shapes: Mapping[str, Shape]) -> int:
        """The first profile that takes the shapes. Raises ShelfHelpError when none does."""
        for number, profile in enumerate(self._profiles):
            if all(allowed.takes(shapes[name]) for name, allowed in profile.items() if name in shapes):
                return number
        raise ShelfHelpError(f"no profile of the engine takes {dict(shapes)}")

    def context(self, profile: int, stream: Stream) -> trt.IExecutionContext:
        """A context of its own for one profile."""
        assert self._engine is not None
        context = self._engine.create_execution_context()
        if context is None or not context.set_optimization_profile_async(profile, stream.address):
            raise ShelfHelpError("the engine cannot be run: the GPU may have no memory left")
        stream.wait()
        return context


def _sizes(shape: trt.Dims) -> Shape:
    return tuple(int(shape[axis]) for axis in range(len(shape)))


@dataclass(frozen=True)
class Stage:
    """An engine in a lane. ``inputs`` and ``outputs`` give the lane's name of each of the engine's tensors."""

    engine: LoadedEngine
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def named(cls, engine: LoadedEngine, **renamed: str) -> Stage:
        """Tensors have the engine's names in the lane too, but for those ``renamed``."""
        return cls(
            engine,
            {name: renamed.get(name, name) for name in engine.inputs},
            {name: renamed.get(name, name) for name in engine.outputs},
        )


class Lane:
    """Stages one after the other at fixed shapes, tensors handed on in device memory.

    The first run is queued call by call, the second is recorded, all others replay the record in one call. Where it
    cannot be recorded every run is queued call by call, and ``why_not_recorded`` says why.
    """

    def __init__(self, stages: Sequence[Stage], inputs: Mapping[str, Array], wanted: Sequence[str]) -> None:
        self._stream = Stream()
        self._shapes: dict[str, Shape] = {name: value.shape for name, value in inputs.items()}
        self._types: dict[str, npt.DTypeLike] = {name: value.dtype for name, value in inputs.items()}
        self._given, self._wanted = tuple(inputs), tuple(wanted)
        self._buffers: dict[str, Buffer] = {}
        self._contexts: list[trt.IExecutionContext] = []
        self._graph: Graph | None = None
        self._runs = 0
        self.why_not_recorded = ""
        try:
            for stage in stages:
                self._contexts.append(self._prepare(stage))
        except BaseException:
            self.free()
            raise

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The wanted outputs by name, as copies."""
        for name in self._given:
            self._host(name)[...] = inputs[name]
        self._runs += 1
        if self._runs == 2:
            self._record()
        if self._graph is not None:
            self._graph.launch(self._stream)
        else:
            self._queue()
        self._stream.wait()
        return {name: self._host(name).copy() for name in self._wanted}

    def free(self) -> None:
        """Give the device memory back; the lane cannot be run any more."""
        if self._graph is not None:
            self._graph.free()
        self._contexts.clear()
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        self._stream.free()

    def _prepare(self, stage: Stage) -> trt.IExecutionContext:
        """A context with the shapes of this lane and the addresses of its tensors."""
        shapes = {tensor: self._shapes[name] for tensor, name in stage.inputs.items()}
        context = stage.engine.context(stage.engine.profile_for(shapes), self._stream)
        for tensor, shape in shapes.items():
            if not context.set_input_shape(tensor, shape):
                raise ShelfHelpError(f"the engine does not take {tensor} of shape {shape}")
        for tensor, name in stage.outputs.items():
            self._shapes[name] = _sizes(context.get_tensor_shape(tensor))
            self._types[name] = stage.engine.dtype(tensor)
        for tensor, name in {**stage.inputs, **stage.outputs}.items():
            if name not in self._buffers:
                self._buffers[name] = Buffer(self._bytes(name), host=name in self._given + self._wanted)
            context.set_tensor_address(tensor, self._buffers[name].device)
        return context

    def _bytes(self, name: str) -> int:
        return int(np.prod(self._shapes[name])) * np.dtype(self._types[name]).itemsize

    def _host(self, name: str) -> Array:
        return self._buffers[name].host(self._shapes[name], self._types[name])

    def _queue(self) -> None:
        for name in self._given:
            self._buffers[name].upload(self._bytes(name), self._stream)
        for context in self._contexts:
            if not context.execute_async_v3(self._stream.address):
                raise ShelfHelpError("TensorRT could not run the engine; the lines above say why")
        for name in self._wanted:
            self._buffers[name].download(self._bytes(name), self._stream)

    def _record(self) -> None:
        """Some engines cannot be recorded (loops, a synchronisation inside, old drivers): it is tried, not assumed."""
        try:
            self._graph = self._stream.record(self._queue)
        except ShelfHelpError as error:
            self.why_not_recorded = str(error)
            _LOG.warning("no CUDA graph (%s); the engine is queued call by call", error)
