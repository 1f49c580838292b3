"""The losses of learning with few labels have the values that a pencil gives, and the gradients that autograd needs."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="PyTorch comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from shelfhelp_training.losses.entropy import entropy
from shelfhelp_training.losses.fixmatch import fixmatch_loss
from shelfhelp_training.methods.ramps import Ramp

# Logits whose probabilities are 0.7, 0.2, 0.1 and 0.1, 0.1, 0.8.
LOGITS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64).log() + 3


def random_logits(seed: int, rows: int = 6, classes: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def test_entropy_has_its_closed_form() -> None:
    """0.80182 and 0.63903 nats, the mean of which is 0.72042; logits may all be shifted."""
    expected = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    expected -= 2 * 0.1 * math.log(0.1) + 0.8 * math.log(0.8)
    assert entropy(LOGITS).item() == pytest.approx(expected / 2, abs=1e-12)
    assert expected / 2 == pytest.approx(0.72042, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 25])
def test_entropy_lies_between_certainty_and_chance(classes: int) -> None:
    """Even logits give ln C; a logit far above the others nothing, and no NaN."""
    assert entropy(torch.zeros(3, classes, dtype=torch.float64)).item() == pytest.approx(math.log(classes), abs=1e-12)
    certain = torch.zeros(3, classes, dtype=torch.float64)
    certain[:, 1] = 1e4
    assert entropy(certain).item() == pytest.approx(0.0, abs=1e-12)


def test_label_smoothing_has_its_closed_form() -> None:
    """With 0.1 of three classes the right one counts 0.9 + 0.1/3 and each of the others 0.1/3."""
    share = 0.1 / 3
    first = -((1 - 0.1 + share) * math.log(0.7) + share * math.log(0.2) + share * math.log(0.1))
    second = -(share * math.log(0.1) + share * math.log(0.1) + (1 - 0.1 + share) * math.log(0.8))
    found = F.cross_entropy(LOGITS, torch.tensor([0, 2]), label_smoothing=0.1)
    assert found.item() == pytest.approx((first + second) / 2, abs=1e-12)


def test_fixmatch_counts_what_the_weak_view_is_sure_of() -> None:
    """Of 0.7 and 0.8 only the second passes 0.75: -ln 0.1 over two pictures, and half of them counted."""
    strong = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], dtype=torch.float64).log()
    loss, counted = fixmatch_loss(LOGITS, strong, 0.75)
    assert loss.item() == pytest.approx(-math.log(0.1) / 2, abs=1e-12)
    assert counted.item() == 0.5
    loss, counted = fixmatch_loss(LOGITS, strong, 0.6)
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2, abs=1e-12)
    loss, counted = fixmatch_loss(LOGITS, strong, 0.95)
    assert (loss.item(), counted.item()) == (0.0, 0.0)


def test_the_weak_view_is_a_teacher_and_learns_nothing() -> None:
    """Otherwise the two views would agree on nonsense."""
    weak, strong = random_logits(0).requires_grad_(), random_logits(1).requires_grad_()
    fixmatch_loss(weak, strong, 0.3)[0].backward()
    assert weak.grad is None
    assert strong.grad is not None


def test_gradients_are_right() -> None:
    """Against finite differences, in float64."""
    weak = random_logits(2)
    assert torch.autograd.gradcheck(entropy, (random_logits(3).requires_grad_(),))
    assert torch.autograd.gradcheck(lambda x: fixmatch_loss(weak, x, 0.5)[0], (random_logits(4).requires_grad_(),))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(6)))
def test_the_order_of_a_batch_does_not_matter(seed: int, order: list[int]) -> None:
    """A mean over pictures, no more."""
    weak, strong = random_logits(seed), random_logits(seed + 1)
    torch.testing.assert_close(entropy(weak), entropy(weak[order]))
    torch.testing.assert_close(fixmatch_loss(weak, strong, 0.6), fixmatch_loss(weak[order], strong[order], 0.6))


@pytest.mark.parametrize(
    ("shape", "half_way"),
    [("linear", 0.5), ("cosine", 0.5), ("gaussian", (math.exp(-1.25) - math.exp(-5)) / (1 - math.exp(-5)))],
)
def test_ramps_begin_and_end_where_they_should(shape: str, half_way: float) -> None:
    """From start to end in the share of the time that they are given, and constant afterwards."""
    ramp = Ramp(2.0, 4.0, 0.5, shape)  # type: ignore[arg-type]
    assert ramp.at(0.0) == pytest.approx(2.0)
    assert ramp.at(0.25) == pytest.approx(2 + 2 * half_way)
    assert ramp.at(0.5) == ramp.at(0.9) == ramp.at(1.0) == pytest.approx(4.0)
    assert Ramp(2.0, 4.0, 0.0).at(0.0) == 4.0


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["linear", "cosine", "gaussian"]), st.floats(0, 1), st.floats(0, 1))
def test_ramps_never_turn_back(shape: str, first: float, second: float) -> None:
    """Later is never less, on the way up."""
    ramp = Ramp(0.0, 1.0, 0.7, shape)  # type: ignore[arg-type]
    low, high = sorted((first, second))
    assert ramp.at(low) <= ramp.at(high) + 1e-12
