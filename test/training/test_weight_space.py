"""Interpolated and averaged weights: WiSE-FT and soups, with values that can be checked by eye."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.weight_space import greedy_soup, interpolate, mean_weights

START = {"weight": torch.tensor([0.0, 2.0], dtype=torch.float64), "steps": torch.tensor(3)}
END = {"weight": torch.tensor([1.0, -2.0], dtype=torch.float64), "steps": torch.tensor(9)}


def network(*values: float) -> dict[str, Tensor]:
    return {"weight": torch.tensor(values, dtype=torch.float64)}


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.0, [0.0, 2.0]), (0.25, [0.25, 1.0]), (0.5, [0.5, 0.0]), (1.0, [1.0, -2.0])]
)
def test_interpolation_has_its_values(alpha: float, expected: list[float]) -> None:
    """The ends are the two networks exactly; counters are those of the fine-tuned one."""
    between = interpolate(START, END, alpha)
    assert between["weight"].tolist() == expected
    assert between["steps"] == 9


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1))
def test_a_linear_network_moves_in_a_line(alpha: float) -> None:
    """Of a linear layer the interpolated weights give the interpolated answers."""
    torch.manual_seed(0)
    start, end, between = (nn.Linear(4, 3).double() for _ in range(3))
    between.load_state_dict(interpolate(start.state_dict(), end.state_dict(), alpha))
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(between(x), (1 - alpha) * start(x) + alpha * end(x))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_beyond_the_ends_is_refused(alpha: float) -> None:
    """WiSE-FT lies between its networks."""
    with pytest.raises(ShelfHelpError, match="between 0"):
        interpolate(START, END, alpha)


def test_networks_of_different_shapes_have_no_middle() -> None:
    """The weight that differs is named."""
    for other in (network(1.0, 2.0, 3.0), {"bias": torch.zeros(2)}):
        with pytest.raises(ShelfHelpError, match="different networks"):
            interpolate(network(1.0, 2.0), other, 0.5)
        with pytest.raises(ShelfHelpError, match="different networks"):
            mean_weights([network(1.0, 2.0), other])


def test_the_uniform_soup_is_the_mean() -> None:
    """Of all networks, whichever order they come in; of none there is none."""
    soup = mean_weights([network(0.0), network(1.0), network(5.0)])
    assert soup["weight"].tolist() == [2.0]
    with pytest.raises(ShelfHelpError, match="at least one"):
        mean_weights([])


def test_the_greedy_soup_takes_what_helps() -> None:
    """The nearer the mean to 1, the better: 1.5 first, then 0.4 (mean 0.95), not 4; never worse than the best alone."""
    networks = [network(4.0), network(0.4), network(1.5)]

    def score(weights: object) -> float:
        return -abs(float(weights["weight"]) - 1.0)  # type: ignore[index]

    soup = greedy_soup(networks, score)
    assert soup.chosen == (2, 1)
    assert soup.score == pytest.approx(-0.05)
    torch.testing.assert_close(soup.weights["weight"], torch.tensor([0.95], dtype=torch.float64))
    assert soup.score >= max(score(one) for one in networks)
