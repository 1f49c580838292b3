"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# How long one example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent
if WORKERS := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Tests side by side share the cores; read by PyTorch and OpenBLAS when they are imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))
#: What runs in real time, with other processes or a voice: a machine that is shared may stall it for a moment.
IN_REAL_TIME = ("ros", "faults", "feedback")
#: What computes for minutes, and is begun first: a process that took it last would be waited for.
LONG = ("training", "packaging")
#: Tests that compute give way to those in real time beside them, but not for ever to whatever else the machine does.
NICE = 5


def _room(nodeid: str) -> str:
    """The folder of ``test/`` that a test is in."""
    return nodeid.split("/")[1]


def _turn(room: str) -> int:
    if room in IN_REAL_TIME:
        return 0
    return 1 + LONG.index(room) if room in LONG else 1 + len(LONG)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test in real time is broken when it fails three times; each failure is reported."""
    for item in items:
        if _room(item.nodeid) in IN_REAL_TIME:
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=3))
    if WORKERS:
        items.sort(key=lambda item: _turn(_room(item.nodeid)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side (``-n 2 --dist loadfile``), the tests of a file run in one process, and those in real time, too.

    Not by pytest-xdist's own groups, which do nothing under pytest 9.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "in real time" if _room(nodeid) in IN_REAL_TIME else str(super()._split_scope(nodeid))

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A process that begins to compute gives way to the one that runs in real time. There is no way back from that."""
    if WORKERS and _room(item.nodeid) not in IN_REAL_TIME:
        os.nice(max(0, NICE - os.nice(0)))


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs, or a skip that says how to provide it."""
    folder = Path(os.environ.get("SHELFHELP_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "cornershop").is_dir():
        pytest.skip(f"no real photographs at {folder}; set SHELFHELP_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with small real ONNX models (see tiny_models.py), for tests that need no trained weights."""
    pytest.importorskip("onnx", reason="onnx writes the small models of the tests")
    from tiny_models import write_models

    return write_models(tmp_path_factory.mktemp("models"), side=320)


@pytest.fixture(scope="session")
def shipped_models() -> Path:
    """The model folder that comes with the package."""
    folder = REPOSITORY / "shelfhelp_ros" / "models"
    if not (folder / "detector.onnx").is_file() or not (folder / "encoder.onnx").is_file():
        pytest.skip("this checkout carries no trained models")
    return folder
