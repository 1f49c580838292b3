"""NT-Xent and BYOL's sum: values worked out by hand, gradients, invariances, and several processes as one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from joint_batch import learn_share, make_network
from torch import multiprocessing

from shelfhelp_training.losses.byol import byol_loss, regression
from shelfhelp_training.losses.nt_xent import nt_xent
from shelfhelp_training.methods.byol import momentum_at

torch.set_num_threads(1)
X, Y = torch.eye(2, dtype=torch.float64)
E = math.e


def vectors(seed: int, count: int = 5, dimensions: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, count, dimensions, dtype=torch.float64, generator=generator)
    return both[0], both[1]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent_of_perfect_pairs(temperature: float) -> None:
    """Two pictures at right angles, both views alike: each finds cosine 1 among 1, 0, 0. Lengths do not matter."""
    first, second = torch.stack([X, Y]), torch.stack([3 * X, 0.5 * Y])
    expected = math.log(1 + 2 * math.exp(-1 / temperature))
    assert nt_xent(first, second, temperature).item() == pytest.approx(expected, rel=1e-12)


def test_nt_xent_of_confused_pairs() -> None:
    """The views of one picture at right angles, and each equal to a view of the other: cosine 0 among 0, 1, 0."""
    loss = nt_xent(torch.stack([X, Y]), torch.stack([Y, X]), 1.0)
    assert loss.item() == pytest.approx(math.log(2 + E), rel=1e-12)


def test_nt_xent_of_unlike_terms() -> None:
    """x, y and x, x: three terms ln(2e+1) − e's share each by itself, worked out on paper.

    Views are a=x, b=y and a'=x, b'=x at temperature 1. a finds a' (1) among 1, 0 (b), 1 (b'): ln(2e+1) − 1. So does a'
    among a, b, b'. b finds b' (0) among 0, 0, 0: ln 3. b' finds b (0) among 1 (a), 1 (a'), 0: ln(2e+1).
    """
    loss = nt_xent(torch.stack([X, Y]), torch.stack([X, X]), 1.0)
    expected = (2 * (math.log(2 * E + 1) - 1) + math.log(3) + math.log(2 * E + 1)) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_nt_xent_is_that_of_lightly() -> None:
    """The same value and gradient as a library's on random vectors."""
    loss = pytest.importorskip("lightly.loss", reason="lightly is no dependency; it is compared with where it is")
    first, second = (v.requires_grad_() for v in vectors(3, 7, 5))
    for temperature in (0.07, 0.5):
        ours = nt_xent(first, second, temperature)
        theirs = loss.NTXentLoss(temperature)(first, second)
        torch.testing.assert_close(ours, theirs)
        for one, other in zip(
            torch.autograd.grad(ours, [first, second]), torch.autograd.grad(theirs, [first, second]), strict=True
        ):
            torch.testing.assert_close(one, other)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(5)))
def test_losses_do_not_see_the_order_of_a_batch(seed: int, order: list[int]) -> None:
    """Nor which view is called the first."""
    first, second = vectors(seed)
    torch.testing.assert_close(nt_xent(first[order], second[order], 0.2), nt_xent(first, second, 0.2))
    torch.testing.assert_close(nt_xent(second, first, 0.2), nt_xent(first, second, 0.2))
    targets = vectors(seed + 1)
    shuffled = byol_loss(first[order], second[order], targets[0][order], targets[1][order])
    torch.testing.assert_close(shuffled, byol_loss(first, second, *targets))
    torch.testing.assert_close(byol_loss(second, first, *targets[::-1]), byol_loss(first, second, *targets))


def test_gradients_are_those_of_the_values() -> None:
    """By finite differences in double precision."""
    first, second = (v.requires_grad_() for v in vectors(1, 4, 3))
    targets = vectors(2, 4, 3)
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), (first, second))
    assert torch.autograd.gradcheck(lambda a, b: byol_loss(a, b, *targets), (first, second))


def test_byol_sums_both_directions() -> None:
    """2 − 2·cosine each: equal 0, at right angles 2, opposite 4; the two are added, not averaged."""
    x, y = X[None], Y[None]
    assert regression(5 * x, x).item() == pytest.approx(0, abs=1e-12)
    assert regression(x, 2 * y).item() == pytest.approx(2, rel=1e-12)
    assert regression(x, -x).item() == pytest.approx(4, rel=1e-12)
    # The first prediction meets the second target (opposite: 4), the second the first target (at right angles: 2).
    assert byol_loss(x, y, x, -x).item() == pytest.approx(6, rel=1e-12)
    assert byol_loss(x, x, -x, -x).item() == pytest.approx(8, rel=1e-12)


def test_no_gradient_reaches_byols_target() -> None:
    """The target follows by its running mean alone."""
    targets = [v.requires_grad_() for v in vectors(5)]
    byol_loss(*(v.requires_grad_() for v in vectors(4)), *targets).backward()
    assert all(target.grad is None for target in targets)


def test_the_targets_momentum_rises_along_a_cosine() -> None:
    """0.9 at the start, half-way between in the middle, 1 at the end, never falling."""
    found = [momentum_at(0.9, step, 100) for step in range(101)]
    assert found[0] == pytest.approx(0.9)
    assert found[50] == pytest.approx(0.95)
    assert found[100] == pytest.approx(1.0)
    assert found == sorted(found)
    assert found[25] == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)


def test_two_processes_learn_what_one_would_from_the_joint_batch(tmp_path: Path) -> None:
    """Every view has the other process's views among its negatives, and its gradient knows of it."""
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(2, 8, 6, dtype=torch.float64, generator=generator)
    multiprocessing.spawn(learn_share, (2, str(tmp_path), pictures), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    network = make_network()
    loss = nt_xent(network(pictures[0]), network(pictures[1]), 0.2)
    loss.backward()
    torch.testing.assert_close((found[0][0] + found[1][0]) / 2, loss.detach())
    for _, gradients in found:
        for gradient, parameter in zip(gradients, network.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
    halves = [nt_xent(network(p[0]), network(p[1]), 0.2) for p in (pictures[:, :4], pictures[:, 4:])]
    assert abs(sum(half.item() for half in halves) / 2 - loss.item()) > 0.1
