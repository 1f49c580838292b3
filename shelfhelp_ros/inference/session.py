"""Running a network: one protocol, and ONNX Runtime behind it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import METADATA_KEY

Backend = Literal["auto", "cpu", "cuda"]
BACKENDS: tuple[str, ...] = get_args(Backend)
Tensor = npt.NDArray[np.float32]


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


class OnnxSession:
    """ONNX Runtime on the CPU, or on an NVIDIA GPU where its CUDA build is installed."""

    def __init__(self, model: Path, backend: str = "auto", threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        # Detector and encoder take turns: a pool that spins while it waits would take the cores from the other one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=_providers(backend))
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ShelfHelpError(
                f"{model} is not a usable ONNX model ({_first_line(error)}); reinstall shelfhelp"
            ) from error
        self._backend = "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        if backend == "cuda" and self._backend != "cuda":
            raise ShelfHelpError(
                "the CUDA libraries do not load; install the CUDA version onnxruntime-gpu asks for, or use cpu"
            )
        self._model = model
        self._inputs = tuple(node.name for node in self._session.get_inputs())
        self._outputs = tuple(node.name for node in self._session.get_outputs())

    @property
    def backend(self) -> str:
        return self._backend

    @property
    def input_names(self) -> tuple[str, ...]:
        return self._inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        return self._outputs

    @property
    def metadata_card(self) -> str | None:
        return dict(self._session.get_modelmeta().custom_metadata_map).get(METADATA_KEY)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        try:
            values: list[Any] = self._session.run(list(self._outputs), dict(inputs))
        except Exception as error:
            raise ShelfHelpError(f"{self._model.name} failed on its input ({_first_line(error)})") from error
        return dict(zip(self._outputs, values, strict=True))


def open_session(model: Path, backend: str = "auto", threads: int | None = None) -> Session:
    """Load an ONNX file. ``auto`` takes CUDA where it works, else the CPU; ``threads`` None takes every usable core.

    Raises ShelfHelpError for a missing or damaged file and for a backend that is not installed.
    """
    if backend not in BACKENDS:
        raise ShelfHelpError(f"{backend!r} is not a backend; choose one of {', '.join(BACKENDS)}")
    if threads is not None and threads < 1:
        raise ShelfHelpError(f"the number of threads has to be at least 1, not {threads}")
    if not model.is_file():
        raise ShelfHelpError(f"{model} is missing; reinstall shelfhelp or give another folder with --models")
    return OnnxSession(model, backend, threads)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores this process may use: those it may run on, or fewer under a container's ``quota`` (cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = (int(value) for value in quota.read_text().split())
    except (OSError, ValueError):  # no quota: the file is missing or says "max"
        return cores
    return max(1, min(cores, -(-allowed // period)))


def _providers(backend: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    if backend == "cpu" or (backend == "auto" and "CUDAExecutionProvider" not in available):
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in available:
        raise ShelfHelpError("this onnxruntime has no CUDA; install onnxruntime-gpu or choose the backend cpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
