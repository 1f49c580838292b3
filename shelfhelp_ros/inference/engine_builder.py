"""From an ONNX file to a serialised TensorRT engine. Nothing here needs a GPU with TensorRT for RTX.

Networks are strongly typed: FP16 and INT8 are what the types and Q/DQ pairs in the ONNX file say (TensorRT 11 knows no
other way, and TensorRT 10 takes it too), so that one file gives the same precision with every version.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, SupportsInt, TypeVar, cast

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.engine_recipe import Recipe
from shelfhelp_ros.inference.progress import listening, tell
from shelfhelp_ros.inference.tensorrt_library import trt, unknown_capability

# Builders report thousands of steps; a line in this many seconds is enough.
TELL_EVERY = 5.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class Built:
    """A serialised engine, the timing cache after it (empty where TensorRT has none), and the seconds it took."""

    engine: bytes
    timing_cache: bytes
    seconds: float


class Complaints(trt.ILogger):
    """TensorRT's log: keeps its errors, and lets the rest go."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(" ".join(msg.split()))

    def last(self) -> str:
        """The last error in one short line."""
        return self.errors[-1][:300] if self.errors else "it gave no reason"


class Steps(trt.IProgressMonitor):
    """Tells how far a build is: its outermost phase, by steps done. Whoever listens when it is made is told.

    TensorRT calls it from threads of its own, where nobody listens. Once ``cancelled`` the build ends at its next step.
    """

    def __init__(self, name: str) -> None:
        trt.IProgressMonitor.__init__(self)
        self._name = name
        self._tell = listening()
        self.cancelled = False
        self._totals: dict[str, int] = {}
        self._told = time.monotonic()

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: SupportsInt) -> None:
        self._totals[phase_name] = int(num_steps)

    def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
        if time.monotonic() - self._told >= TELL_EVERY:
            self._told = time.monotonic()
            total = self._totals.get(phase_name, 0)
            self._tell(f"building the engine of {self._name}: {phase_name}, {int(step) + 1} of {total}")
        return not self.cancelled

    def phase_finish(self, phase_name: str) -> None:
        self._totals.pop(phase_name, None)


def build(recipe: Recipe, timing_cache: bytes = b"") -> Built:
    """Build the engine of a recipe; with TensorRT for RTX its GPU need not be in this machine.

    Raises ShelfHelpError with TensorRT's own reason when the file cannot be parsed or built.
    """
    began = time.monotonic()
    tell(f"building the engine of {recipe.name} ({recipe.precision}) for {recipe.gpu.name}: this can take minutes")
    log = Complaints()
    builder = trt.Builder(log)
    if builder is None:
        raise ShelfHelpError(f"TensorRT does not start ({log.last()}); see `shelfhelp doctor`")
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(recipe.model.read_bytes()):
        reason = parser.get_error(0).desc() if parser.num_errors else log.last()
        raise ShelfHelpError(f"TensorRT cannot read {recipe.model} ({_short(reason)}); export the model again")
    config = builder.create_builder_config()
    config.progress_monitor = steps = Steps(recipe.name)
    _add_profiles(builder, config, recipe)
    _aim_at(config, recipe)
    timing = config.create_timing_cache(timing_cache) if _has_timing_cache(recipe) else None
    if timing is not None:
        config.set_timing_cache(timing, False)
    serialised = _cancellable(lambda: builder.build_serialized_network(network, config), steps)
    if serialised is None:
        raise ShelfHelpError(f"TensorRT cannot build the engine of {recipe.model} ({_short(log.last())})")
    seconds = time.monotonic() - began
    tell(f"built the engine of {recipe.name} in {seconds:.0f} s")
    return Built(_bytes(serialised), _bytes(timing.serialize()) if timing is not None else b"", seconds)


def _cancellable(work: Callable[[], Result], steps: Steps) -> Result:
    """What ``work`` returns, done in a thread of its own: TensorRT swallows a Ctrl-C in the thread that it works in."""
    with ThreadPoolExecutor(1, "engine") as beside:
        building = beside.submit(work)
        try:
            return building.result()
        except BaseException:
            steps.cancelled = True
            raise


def _bytes(memory: trt.IHostMemory) -> bytes:
    # It has the buffer protocol; its stub does not say so.
    return bytes(cast(Any, memory))


def _add_profiles(builder: trt.Builder, config: trt.IBuilderConfig, recipe: Recipe) -> None:
    for shapes in recipe.profiles:
        profile = builder.create_optimization_profile()
        for name, shape in shapes.items():
            profile.set_shape(name, trt.Dims(shape.least), trt.Dims(shape.best), trt.Dims(shape.most))
        if config.add_optimization_profile(profile) < 0:
            raise ShelfHelpError(f"{recipe.model} does not take the shapes of its card ({dict(shapes)})")


def _aim_at(config: trt.IBuilderConfig, recipe: Recipe) -> None:
    """Build for the recipe's GPU, be it here or not. TensorRT for RTX alone can; others build for the one here."""
    if "RTX" not in recipe.library:
        return
    if reason := unknown_capability(recipe.gpu.capability):
        raise ShelfHelpError(reason)
    name = "SM" + "".join(map(str, recipe.gpu.capability))
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.__members__[name], 0)


def _has_timing_cache(recipe: Recipe) -> bool:
    # TensorRT for RTX chooses kernels without timing them: its timing cache does nothing, and warns of it.
    return "RTX" not in recipe.library


def _short(reason: str) -> str:
    """TensorRT's reason without the names of its source files."""
    return re.sub(r"\S+\.(cpp|h)\S*:?\s*", "", " ".join(reason.split()))[:200]
