"""Whichever TensorRT is installed, under one name: ``from shelfhelp_ros.inference.tensorrt_library import trt``.

JetPack and NVIDIA's own packages bring ``tensorrt`` (10 and 11). ``pip install shelfhelp[rtx]`` brings TensorRT for
RTX, the same interface in a module of another name. Importing ``trt`` raises ShelfHelpError without either.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from shelfhelp_ros.errors import ShelfHelpError

if TYPE_CHECKING:
    # mypy holds all code against stubs made from these bindings (scripts/make_stubs.py).
    import tensorrt_rtx_bindings.tensorrt_rtx as trt

__all__ = ["find_library", "library_version", "trt"]

MODULES = ("tensorrt", "tensorrt_rtx_bindings")
INSTALL = "install JetPack's python3-libnvinfer on a Jetson, or `pip install shelfhelp[rtx]` on a workstation"


def find_library() -> str | None:
    """The module of the TensorRT that is installed, or None. Imports nothing."""
    return next((name for name in MODULES if importlib.util.find_spec(name)), None)


def library_version() -> str:
    """Name and version of the installed TensorRT. Raises ShelfHelpError when there is none, or a broken one."""
    name = find_library()
    if name is None:
        raise ShelfHelpError(f"TensorRT is not installed; {INSTALL}")
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise ShelfHelpError(f"{name} does not load ({str(error).splitlines()[0]}); {INSTALL}") from error
    return f"{'TensorRT for RTX' if name != 'tensorrt' else 'TensorRT'} {module.__version__}"


def __getattr__(name: str) -> object:
    """``trt``, imported when it is first asked for, so that the questions above can be asked without it."""
    if name != "trt":
        raise AttributeError(name)
    library_version()
    return importlib.import_module(str(find_library()))
