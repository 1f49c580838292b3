"""Optimisers and schedules: what decays, which layer learns how fast, and how the rate goes."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("timm", reason="timm comes with the extra 'training'")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from shelfhelp_training.methods.backbones import create_backbone
from shelfhelp_training.methods.optimisation import build_optimiser, layer_groups, warm_up_cosine, warm_up_factor


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_norms_and_biases_do_not_decay(name: str) -> None:
    """With gradients of nought a weight shrinks and a bias or norm stays."""
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    nn.init.constant_(module[0].bias, 0.5)
    before = [p.detach().clone() for p in module.parameters()]
    optimiser = build_optimiser(name, module, learning_rate=0.1, weight_decay=0.5)  # type: ignore[arg-type]
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    weight, *others = [p.detach() for p in module.parameters()]
    assert torch.all(weight.abs() < before[0].abs())
    for after, earlier in zip(others, before[1:], strict=True):
        torch.testing.assert_close(after, earlier, rtol=0, atol=0)


def test_lars_moves_a_weight_by_its_own_length() -> None:
    """You et al., eq. 6: the first step is rate × 0.001 × |w| in the gradient's direction, whatever its length."""
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    optimiser = build_optimiser("lars", [{"params": [weight]}], learning_rate=2.0, weight_decay=1e-30)
    weight.grad = torch.tensor([[0.0, 1000.0]], dtype=torch.float64)
    optimiser.step()
    torch.testing.assert_close(weight.data, torch.tensor([[3.0, 4.0 - 2.0 * 0.001 * 5]], dtype=torch.float64))


def test_layers_learn_the_slower_the_earlier() -> None:
    """Head 1, last layer 0.5, the one before 0.25 …; a frozen layer is in no group, all others are in one."""
    backbone = create_backbone("mobilenetv3_small_050")
    backbone.freeze(2)
    head = nn.Linear(backbone.num_features, 3)
    groups = layer_groups(backbone, head, 1.0, 0.5, 0.01)
    assert [group["lr"] for group in groups] == [0.5**k for k in range(len(backbone.layers()) - 2, -1, -1)]
    held = [id(p) for group in groups for p in group["params"]]
    trained = [id(p) for p in [*backbone.parameters(), *head.parameters()] if p.requires_grad]
    assert sorted(held) == sorted(trained)
    optimiser = build_optimiser("adamw", groups, 99.0, 99.0)
    assert {group["weight_decay"] for group in optimiser.param_groups} == {0.01, 0.0}
    assert max(group["lr"] for group in optimiser.param_groups) == 1.0


def test_a_rate_without_layer_decay_is_one_rate() -> None:
    """Decay 1 is an ordinary training."""
    groups = layer_groups(create_backbone("mobilenetv3_small_050"), None, 0.3, 1.0, 0.0)
    assert {group["lr"] for group in groups} == {0.3}


def test_the_rate_rises_and_falls_as_written() -> None:
    """Four steps up, then half a cosine that ends at nought; groups keep their ratio."""
    module = nn.Linear(2, 2)
    groups = [{"params": [module.weight], "lr": 1.0}, {"params": [module.bias], "lr": 0.1}]
    optimiser = build_optimiser("sgd", groups, 1.0, 0.0)
    schedule = warm_up_cosine(optimiser, 4, 12)
    rates = []
    for _ in range(13):
        rates.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        schedule.step()
    expected = [0.25, 0.5, 0.75, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(9))]
    assert [rate for rate, _ in rates] == pytest.approx(expected, abs=1e-12)
    assert [rate for _, rate in rates] == pytest.approx([0.1 * e for e in expected], abs=1e-12)


@given(st.integers(0, 50), st.integers(1, 200), st.integers(0, 400))
def test_a_rate_is_never_outside_its_bounds(warm_up: int, total: int, step: int) -> None:
    """Even with a warm-up longer than the training, or steps beyond its end."""
    assert 0.0 <= warm_up_factor(step, warm_up, total) <= 1.0
