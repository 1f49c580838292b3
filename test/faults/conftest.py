"""Faults over a real graph; whatever happens, no traceback and no internal error may reach the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ros_fixtures import domain_taken, graph, graph_on, ros_domain

if TYPE_CHECKING:
    from faulty_assistant import Assistant

__all__ = ["graph", "ros_domain"]


@pytest.fixture(autouse=True)
def _no_traceback(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """What every test here promises of the log, beside what it is about."""
    yield
    written = "".join(capfd.readouterr())
    for word in ("Traceback", "internal error"):
        assert word not in written, written[-3000:]


@pytest.fixture(scope="module")
def running_assistant(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """One assistant for all tests of a file: each fault has to leave it as good as new."""
    from faulty_assistant import Assistant

    folder = tmp_path_factory.mktemp("assistant")
    with pytest.MonkeyPatch.context() as patch, domain_taken(patch) as domain, graph_on(domain, folder) as made:
        assistant = Assistant(made, tiny_models)
        assistant.find()
        yield assistant
        assistant.close()


@pytest.fixture
def assistant(running_assistant: Assistant) -> Iterator[Assistant]:
    """An assistant that looks for pack three before a camera that works."""
    running_assistant.begin()
    yield running_assistant
    running_assistant.check()
