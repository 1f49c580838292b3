"""Two small networks without weights for a GPU, before and after ours; made by `shelfhelp_training.gpu_graphs`."""

from __future__ import annotations

from pathlib import Path


def graph_folder() -> Path:
    """The folder with ``see.onnx`` and ``suppress.onnx``."""
    return Path(__file__).resolve().parent
