"""How long something takes that goes on beside the frames."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
# More calls than end between two frames.
_KEPT = 16


class Clocked(Generic[P, R]):
    """A function that notes how long each of its calls takes; it may be called in one thread and asked in another."""

    def __init__(self, call: Callable[P, R]) -> None:
        self._call = call
        self._took_ms: deque[float] = deque(maxlen=_KEPT)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        started = time.perf_counter()
        try:
            return self._call(*args, **kwargs)
        finally:
            self._took_ms.append((time.perf_counter() - started) * 1e3)

    def take_ms(self) -> float | None:
        """Mean milliseconds of the calls that ended since this was asked before; None where none did."""
        ended = [self._took_ms.popleft() for _ in range(len(self._took_ms))]
        return sum(ended) / len(ended) if ended else None
