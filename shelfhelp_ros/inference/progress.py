"""What long work says while it lasts: to the log, and to whoever asked to be told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOG = logging.getLogger(__name__)
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def told_to(listener: Callable[[str], None]) -> Iterator[None]:
    """Hand every line of `tell` in this thread to ``listener`` while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(line: str) -> None:
    """One line about how far the work is."""
    listening()(line)


def listening() -> Callable[[str], None]:
    """What `tell` does in this thread now, for threads that work for it: who listens is not known there."""
    listener = _listener.get()

    def tell_it(line: str) -> None:
        _LOG.info(line)
        if listener is not None:
            listener(line)

    return tell_it
