#!/usr/bin/env python3
"""Write type stubs of TensorRT's bindings to build/typings, made from the bindings themselves, for mypy.

The bindings carry none, and what is generated is NVIDIA's text: it is made where it is needed and never committed.
Nothing is done when the stubs of the installed version are there; without the bindings mypy takes them as Any.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import io
import re
import shutil
import sys
from pathlib import Path

MODULE = "tensorrt_rtx_bindings.tensorrt_rtx"
DISTRIBUTION = "tensorrt_rtx_cu13_bindings"
TYPINGS = Path(__file__).resolve().parent.parent / "build" / "typings"


def make_stubs(folder: Path) -> str:
    """Write the stubs unless they are there; returns what was done, as a line for people."""
    package = folder / MODULE.partition(".")[0]
    try:
        version = importlib.metadata.version(DISTRIBUTION)
        import pybind11_stubgen
    except (importlib.metadata.PackageNotFoundError, ImportError) as error:
        shutil.rmtree(package, ignore_errors=True)
        return f"no stubs of TensorRT ({error} is not installed): its calls are not checked"
    stamp = package / "version"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == version:
        return f"stubs of {DISTRIBUTION} {version} are there"
    shutil.rmtree(package, ignore_errors=True)
    arguments = [MODULE, "--output-dir", str(folder), "--ignore-all-errors"]
    # It prints what it cannot express, hundreds of lines of it.
    with contextlib.redirect_stderr(io.StringIO()):
        pybind11_stubgen.main(arguments)
    stub = package / f"{MODULE.rpartition('.')[2]}.pyi"
    stub.write_text(mended(stub.read_text(encoding="utf-8")), encoding="utf-8")
    (package / "__init__.pyi").write_text("", encoding="utf-8")
    stamp.write_text(version, encoding="utf-8")
    return f"made stubs of {DISTRIBUTION} {version}"


def mended(stub: str) -> str:
    """The stub with those lines made valid that pybind11's own texts leave invalid: a few plugin methods.

    The data types are also module attributes; the one called `bool` would hide what methods return.
    """
    lines = ["# mypy: ignore-errors\n", *re.sub(r"^bool: .*\n", "", stub, flags=re.MULTILINE).splitlines(keepends=True)]
    while True:
        try:
            ast.parse("".join(lines))
        except SyntaxError as error:
            if error.lineno is None or not (method := re.match(r"\s*def \w+\(", lines[error.lineno - 1])):
                raise
            lines[error.lineno - 1] = f"{method[0]}*args: typing.Any, **kwargs: typing.Any) -> typing.Any:\n"
        else:
            return "".join(lines)


if __name__ == "__main__":
    print(make_stubs(TYPINGS), file=sys.stderr)
