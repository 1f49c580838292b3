"""Broken messages, photos, catalogues and bags are a result or one sentence; `python test/fuzz.py` tries longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzz import attempt, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TRIES = {"messages": 300, "other messages": 300, "photos and names": 100, "catalogues": 60, "bags": 60}


@pytest.fixture(scope="module")
def fuzzed(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable]:
    return targets(tiny_models, tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", TRIES)
def test_broken_input_is_a_result_or_one_sentence(fuzzed: dict[str, Callable], name: str) -> None:
    """Hypothesis chooses what is broken; a find shrinks to the smallest seed that shows it."""
    if name not in fuzzed:
        pytest.skip("ROS 2, or shelfhelp_interfaces, is not installed")

    @settings(
        max_examples=TRIES[name],
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        database=None,
    )
    @given(st.integers(0, 2**32 - 1))
    def try_once(seed: int) -> None:
        assert attempt(fuzzed[name], (seed,)) in ("result", "sentence")

    try_once()


def test_the_fuzz_is_worth_something(fuzzed: dict[str, Callable]) -> None:
    """Both answers come: inputs that are always refused, or never, would test nothing."""
    for name, target in fuzzed.items():
        answers = {attempt(target, (7, number)) for number in range(60)}
        assert answers == {"result", "sentence"}, name


def test_a_find_would_be_noticed() -> None:
    """Any other exception is one."""

    def broken(random: np.random.Generator) -> None:
        raise KeyError("height")

    assert "KeyError" in attempt(broken, (1,))
