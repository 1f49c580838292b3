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

__all__ = ["find_library", "library_version", "trt", "unknown_capability"]

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


def unknown_capability(capability: tuple[int, int]) -> str:
    """What keeps the installed TensorRT from GPUs of a compute capability; an empty text when nothing does.

    TensorRT for RTX lists those it knows; the others build for the GPU that is there, whichever it is.
    """
    version = library_version()
    if "RTX" not in version:
        return ""
    module = importlib.import_module(str(find_library()))
    known = sorted(int(name[2:]) for name in module.ComputeCapability.__members__ if name.startswith("SM"))
    major, minor = capability
    if 10 * major + minor in known:
        return ""
    usable = ", ".join(f"{number / 10:.1f}" for number in known)
    return f"{version} does not know compute capability {major}.{minor}; it knows {usable}"


def __getattr__(name: str) -> object:
    """``trt``, imported when it is first asked for, so that the questions above can be asked without it."""
    if name != "trt":
        raise AttributeError(name)
    library_version()
    return importlib.import_module(str(find_library()))
