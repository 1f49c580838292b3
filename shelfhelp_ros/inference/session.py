"""Running a network: one protocol, ONNX Runtime and TensorRT behind it, and which of them is taken."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda
from shelfhelp_ros.inference.card import METADATA_KEY
from shelfhelp_ros.inference.progress import tell
from shelfhelp_ros.inference.tensorrt_library import INSTALL, find_library, unknown_capability

Tensor = npt.NDArray[np.float32]
_LOG = logging.getLogger(__name__)
# As ONNX Runtime takes them: a name, or a name with its options.
Provider = str | tuple[str, dict[str, str]]


class Session(Protocol):
    """A loaded network. ``backend`` names what it runs on; ``metadata_card`` is the card text kept in the file."""

    @property
    def backend(self) -> str: ...

    @property
    def input_names(self) -> tuple[str, ...]: ...

    @property
    def output_names(self) -> tuple[str, ...]: ...

    @property
    def metadata_card(self) -> str | None: ...

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every output by name. Raises ShelfHelpError when the inputs do not fit the network."""
        ...


class OnnxNetwork:
    """An ONNX file in ONNX Runtime: what every session on it shares. ``backend`` is what it runs on.

    ``exact`` computes a network in eight bits as it is written, and not with the processor's own instructions for eight
    bits, whose sums saturate where there is no VNNI.
    """

    backend: str

    def __init__(self, model: Path, providers: Sequence[Provider], threads: int | None, exact: bool = False) -> None:
        self._options = onnxruntime.SessionOptions()
        if exact:
            self._options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._options.intra_op_num_threads = threads or usable_cores()
        # Detector and encoder take turns: a pool that spins while it waits would take the cores from the other one.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._options.log_severity_level = 3
        self._model, self._providers = model, list(providers)
        try:
            self._loaded = self._open()
        except ShelfHelpError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ShelfHelpError(
                f"{model} is not a usable ONNX model ({_first_line(error)}); reinstall shelfhelp"
            ) from error
        self._inputs = tuple(node.name for node in self._loaded.get_inputs())
        self._outputs = tuple(node.name for node in self._loaded.get_outputs())
        self._metadata_card = dict(self._loaded.get_modelmeta().custom_metadata_map).get(METADATA_KEY)

    @property
    def input_names(self) -> tuple[str, ...]:
        return self._inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        return self._outputs

    @property
    def metadata_card(self) -> str | None:
        return self._metadata_card

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        try:
            return self._run(dict(inputs))
        except ShelfHelpError:
            raise
        except Exception as error:
            raise ShelfHelpError(f"{self._model.name} failed on its input ({_first_line(error)})") from error

    def _open(self) -> Any:
        return onnxruntime.InferenceSession(str(self._model), self._options, providers=self._providers)

    def _run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return self._outputs_of(self._loaded, inputs)

    def _outputs_of(self, session: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip(self._outputs, session.run(list(self._outputs), inputs), strict=True))


class OnnxSession(OnnxNetwork):
    """ONNX Runtime on the processor; see `OnnxNetwork` for ``exact``."""

    backend = "cpu"

    def __init__(self, model: Path, threads: int | None = None, exact: bool = False) -> None:
        super().__init__(model, ["CPUExecutionProvider"], threads, exact)


@dataclass(frozen=True)
class Kind:
    """A backend: what keeps it from being used on this machine (nothing: an empty text), and how it opens a model."""

    obstacle: Callable[[], str]
    open: Callable[[Path, int | None], Session]


@dataclass(frozen=True)
class Choice:
    """What ``auto`` comes to on this machine, and why."""

    backend: str
    why: str


def _tensorrt_obstacle() -> str:
    if find_library() is None:
        return f"TensorRT is not installed ({INSTALL})"
    if obstacle := cuda.obstacle():
        return obstacle
    try:
        return unknown_capability(cuda.Device().gpu.capability)
    except ShelfHelpError as error:  # it is there and does not load
        return str(error)


def _open_tensorrt(model: Path, threads: int | None) -> Session:
    from shelfhelp_ros.inference.tensorrt_session import TensorRtSession

    return TensorRtSession(model)


def _cuda_obstacle() -> str:
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return "" if has_cuda else "this onnxruntime has no CUDA (install onnxruntime-gpu)"


def _open_cuda(model: Path, threads: int | None) -> Session:
    from shelfhelp_ros.inference.cuda_session import CudaSession

    return CudaSession(model, threads)


# The best first: `auto` takes the first that can be used.
KINDS: dict[str, Kind] = {
    "tensorrt": Kind(_tensorrt_obstacle, _open_tensorrt),
    "cuda": Kind(_cuda_obstacle, _open_cuda),
    "cpu": Kind(lambda: "", lambda model, threads: OnnxSession(model, threads)),
}
BACKENDS = ("auto", *sorted(KINDS))


def choose_backend() -> Choice:
    """What ``auto`` tries first here. Loads no network: a backend may yet refuse one."""
    passed_over: list[str] = []
    for name, kind in KINDS.items():
        obstacle = kind.obstacle()
        if not obstacle:
            break
        passed_over.append(f"not {name}: {obstacle}")
    return Choice(name, "; ".join(passed_over) or "the fastest there is")


def open_session(model: Path, backend: str = "auto", threads: int | None = None) -> Session:
    """Load an ONNX file. ``auto`` takes TensorRT, else CUDA, else the CPU, and tells which and why.

    ``threads`` None takes every usable core. Raises ShelfHelpError for a missing or damaged file and for a backend that
    cannot be used.
    """
    if backend not in BACKENDS:
        raise ShelfHelpError(f"{backend!r} is not a backend; choose one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise ShelfHelpError(f"the number of threads has to be at least 1, not {threads}")
    if not model.is_file():
        raise ShelfHelpError(f"{model} is missing; reinstall shelfhelp or give another folder with --models")
    if backend == "auto":
        return _open_best(model, threads)
    if obstacle := KINDS[backend].obstacle():
        raise ShelfHelpError(f"the backend {backend} cannot be used: {obstacle}; choose auto or cpu")
    return KINDS[backend].open(model, threads)


def _open_best(model: Path, threads: int | None) -> Session:
    """The first backend that opens the model; what the last one says when none does."""
    passed_over: list[str] = []
    *better, last = KINDS
    for name in better:
        obstacle = KINDS[name].obstacle()
        if not obstacle:
            try:
                session = KINDS[name].open(model, threads)
            except ShelfHelpError as error:
                obstacle = str(error)
                _LOG.warning("%s does not run on %s: %s", model.name, name, error)
            else:
                tell(f"{model.name} runs on {name} ({'; '.join(passed_over) or 'the fastest there is'})")
                return session
        passed_over.append(f"not {name}: {obstacle}")
    session = KINDS[last].open(model, threads)
    tell(f"{model.name} runs on {last} ({'; '.join(passed_over)})")
    return session


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: those it may run on, or fewer under a container's ``quota`` (cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = (int(value) for value in quota.read_text().split())
    except (OSError, ValueError):  # no quota: the file is missing or says "max"
        return cores
    return max(1, min(cores, -(-allowed // period)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
