"""A network on an NVIDIA GPU with ONNX Runtime, one of its sessions for each shape of the input.

ONNX Runtime's CUDA provider plans the convolutions anew whenever the shape differs from that of the run before, which
takes seconds. A detector that looks at a picture in two sizes, and an encoder with a batch that is not full, would wait
for that in every frame; a session that sees one shape plans once.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.batches import in_batches
from shelfhelp_ros.inference.session import OnnxNetwork, Tensor

CUDA = "CUDAExecutionProvider"
# Shapes that stay prepared: a detector's looks at a few cameras, or the batches of an encoder.
SHAPES = 16


class CudaSession(OnnxNetwork):
    """ONNX Runtime's CUDA build on the GPU of this machine.

    Where the first axis of all inputs and outputs is one and the same free size, it is a batch: run in the sizes that
    TensorRT has engines for, so that every number of crops is not a shape of its own.
    """

    backend = "cuda"

    def __init__(
        self,
        model: Path,
        threads: int | None = None,
        search: str = "HEURISTIC",
        providers: Sequence[str] = (CUDA, "CPUExecutionProvider"),
        shapes: int = SHAPES,
    ) -> None:
        """``search`` is how cuDNN finds its algorithms: asked for, not tried out one by one, which takes far longer.

        Raises ShelfHelpError for a file that is no model, and where the first of the ``providers`` does not load.
        """
        self._wanted, self._shapes = providers[0], shapes
        if CUDA in providers:
            _load_cuda_wheels()
        options = {"cudnn_conv_algo_search": search}
        super().__init__(model, [(name, options) if name == CUDA else name for name in providers], threads)
        self._sessions: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        nodes = [*self._loaded.get_inputs(), *self._loaded.get_outputs()]
        sizes = {node.shape[0] if node.shape else 0 for node in nodes}
        self._batched = len(sizes) == 1 and isinstance(sizes.pop(), str)

    def _open(self) -> Any:
        session = super()._open()
        # It goes on without a provider that does not load, and says nothing.
        if self._wanted not in session.get_providers():
            raise ShelfHelpError(
                "the CUDA libraries do not load; install the CUDA version onnxruntime-gpu asks for, or use cpu"
            )
        return session

    def _run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return in_batches(inputs, tuple(inputs), self._go) if self._batched else self._go(inputs)

    def _go(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return self._outputs_of(self._session_for(inputs), inputs)

    def _session_for(self, inputs: dict[str, Tensor]) -> Any:
        key = tuple((name, value.shape) for name, value in sorted(inputs.items()))
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                if len(self._sessions) >= self._shapes:
                    self._sessions.popitem(last=False)
                # The one that loading made has not run yet: it is the first shape's.
                session = self._sessions[key] = self._loaded or self._open()
                self._loaded = None
            self._sessions.move_to_end(key)
        return session


def _load_cuda_wheels() -> None:
    """CUDA and cuDNN as NVIDIA's wheels bring them lie beside ONNX Runtime, where the system's loader does not look."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        # It prints what it does not find; whether that matters, the session says.
        with contextlib.redirect_stdout(io.StringIO()):
            preload(directory="")
