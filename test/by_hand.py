"""A thread of which the test decides when it gets to its work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from shelfhelp_ros.errors import ShelfHelpError


class ByHand(Executor):
    """What is submitted waits for `run`."""

    def __init__(self) -> None:
        self._work: list[Callable[[], None]] = []

    def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(call(*arguments, **options))
            except ShelfHelpError as error:
                future.set_exception(error)

        self._work.append(work)
        return future

    def run(self) -> None:
        for work in self._work:
            work()
        self._work.clear()
