"""Losses of metric learning and distillation against values worked out by hand, in float64."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="torch comes with the extra 'training'")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import SubCenterArcFaceLoss
from torch import Tensor
from torch.autograd import gradcheck

from shelfhelp_training.losses.arcface import SubCentreArcFace, frequency_margins
from shelfhelp_training.losses.relational import angle_loss, distance_loss
from shelfhelp_training.losses.triplets import TripletLoss, Triplets, curriculum

COUNTS = torch.tensor([1, 16, 81, 10_000])


@pytest.fixture(autouse=True)
def double() -> object:
    """Golden values are worked out in float64."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def directions(*degrees: float) -> Tensor:
    """Vectors of length one in the plane."""
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees: float) -> float:
    """Distance of two vectors of length one with an angle between them."""
    return 2 * math.sin(math.radians(degrees) / 2)


def test_the_soft_margin_has_its_closed_form() -> None:
    """ln(1 + exp(d⁺ - d⁻)), the mean over both anchors of the one pair against the one other product."""
    loss = TripletLoss(soft=True)
    found = loss(directions(0, 60, 180), torch.tensor([0, 0, 1]))
    expected = [math.log1p(math.exp(chord(60) - chord(other))) for other in (180, 120)]
    torch.testing.assert_close(found, torch.tensor(sum(expected) / 2))


def test_the_hard_margin_has_its_closed_form() -> None:
    """max(0, d⁺ - d⁻ + m): one of the two triplets is far enough apart and does not count."""
    loss = TripletLoss(soft=False, margin=0.9)
    found = loss(directions(0, 60, 180), torch.tensor([0, 0, 1]))
    torch.testing.assert_close(found, torch.tensor(chord(60) - chord(120) + 0.9))


@pytest.mark.parametrize(("triplets", "others"), [("all", (30, 70, 170)), ("semihard", (70,)), ("hard", (30,))])
def test_each_step_of_the_curriculum_takes_its_triplets(triplets: Triplets, others: tuple[float, ...]) -> None:
    """From the anchor at 0° with its other photo at 60°: 30° is nearer (hard), 70° within the margin, 170° neither."""
    loss = TripletLoss(soft=True, margin=0.5)
    loss.triplets = triplets
    vectors, labels = directions(0, 60, 30, 70, 170), torch.tensor([0, 0, 1, 2, 3])
    # The second anchor, at 60°: others are 30° and 10° away, which is hard, and 110°, which is beyond the margin.
    at_60 = {"all": (30, 10, 110), "semihard": (), "hard": (30, 10)}[triplets]
    expected = [math.log1p(math.exp(chord(60) - chord(other))) for other in (*others, *at_60)]
    torch.testing.assert_close(loss(vectors, labels), torch.tensor(sum(expected) / len(expected)))


def test_no_triplet_costs_nothing() -> None:
    """A batch without hard triplets leaves the network as it is, with a gradient of nought and not without one."""
    loss = TripletLoss()
    loss.triplets = "hard"
    vectors = directions(0, 1, 180).requires_grad_()
    value = loss(vectors, torch.tensor([0, 0, 1]))
    value.backward()
    assert value == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, "all"), (2, "all"), (3, "semihard"), (5, "semihard"), (6, "hard"), (9, "hard")]
)
def test_the_curriculum_gets_harder(epoch: int, expected: str) -> None:
    """All, then semi-hard from epoch 3, then hard from epoch 6; a step may be left out."""
    assert curriculum(epoch, 3, 6) == expected
    assert curriculum(epoch, None, None) == "all"
    assert curriculum(epoch, None, 6) == ("hard" if epoch >= 6 else "all")


def test_margins_follow_the_number_of_pictures() -> None:
    """0.5 · n^-¼ + 0.05: of 1, 16, 81 and 10,000 pictures."""
    torch.testing.assert_close(frequency_margins(COUNTS), torch.tensor([0.55, 0.3, 0.5 / 3 + 0.05, 0.1]))
    torch.testing.assert_close(frequency_margins(torch.tensor([0])), torch.tensor([0.55]))


def test_arcface_has_its_closed_form() -> None:
    """Two classes at 0° and 90°, the second centre of the first far off: the right angle grows by its own margin."""
    loss = SubCentreArcFace(2, torch.tensor([0.3, 0.1]), centres=2, scale=4.0)
    with torch.no_grad():
        loss.weight.copy_(directions(0, 200, 90, 300))
    vectors, labels = directions(20, 75), torch.tensor([0, 1])
    radians = math.radians
    own = [math.cos(radians(20) + 0.3), math.cos(radians(15) + 0.1)]
    other = [math.cos(radians(70)), math.cos(radians(75))]
    expected = [-4 * a + math.log(math.exp(4 * a) + math.exp(4 * b)) for a, b in zip(own, other, strict=True)]
    torch.testing.assert_close(loss(vectors, labels), torch.tensor(sum(expected) / 2), atol=1e-9, rtol=0)


def test_arcface_goes_on_falling_beyond_half_a_turn() -> None:
    """An angle that the margin would carry past 180° costs more than a smaller one, not less."""
    loss = SubCentreArcFace(2, torch.tensor([1.0]), centres=1, scale=1.0)
    with torch.no_grad():
        loss.weight.copy_(directions(0))
    degrees = torch.arange(0.0, 180.0, 5.0)
    logits = loss.logits(directions(*degrees.tolist()), torch.zeros(len(degrees), dtype=torch.long))[:, 0]
    assert (logits.diff() < 0).all()


def test_one_margin_for_all_is_the_published_loss() -> None:
    """With equal margins it is pytorch-metric-learning's sub-centre ArcFace."""
    theirs = SubCenterArcFaceLoss(num_classes=5, embedding_size=8, sub_centers=3, margin=20.0, scale=16.0)
    ours = SubCentreArcFace(8, torch.full((5,), math.radians(20.0)), centres=3, scale=16.0)
    with torch.no_grad():
        ours.weight.copy_(theirs.W.T)
    vectors, labels = torch.randn(12, 8), torch.randint(0, 5, (12,))
    torch.testing.assert_close(ours(vectors, labels), theirs(vectors, labels), atol=1e-6, rtol=0)


def test_relations_of_a_right_angle() -> None:
    """A right-angled triangle 3-4-5 against an equilateral one: distances over their mean, angles by their cosine."""
    student = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    huber = [0.5 * (side / 4 - 1) ** 2 for side in (3, 4, 5)]
    torch.testing.assert_close(distance_loss(student, teacher), torch.tensor(2 * sum(huber) / 9))
    cosines = (0.0, 3 / 5, 4 / 5)
    huber = [0.5 * (cosine - 0.5) ** 2 for cosine in cosines]
    torch.testing.assert_close(angle_loss(student, teacher), torch.tensor(2 * sum(huber) / 27))


def test_relations_ask_for_no_common_space() -> None:
    """Turned, shifted, enlarged and put into more dimensions, the teacher's vectors still have the same relations."""
    teacher = torch.randn(7, 4)
    turned = torch.linalg.qr(torch.randn(9, 9))[0][:4]
    student = 3 * teacher @ turned + 2
    for loss in (distance_loss, angle_loss):
        torch.testing.assert_close(loss(student, teacher), torch.tensor(0.0), atol=1e-12, rtol=0)
        assert loss(torch.randn(7, 4), teacher) > 0.01


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(8)))
def test_the_order_of_a_batch_does_not_matter(order: list[int]) -> None:
    """No loss may depend on where in a batch a picture stands."""
    generator = torch.Generator().manual_seed(1)
    vectors, others = (torch.randn(8, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.arange(8) // 2
    arcface = SubCentreArcFace(4, frequency_margins(COUNTS)).double()
    for loss in (TripletLoss(), TripletLoss(soft=False, margin=0.5), arcface):
        torch.testing.assert_close(loss(vectors[order], labels[order]), loss(vectors, labels))
    for relational in (distance_loss, angle_loss):
        torch.testing.assert_close(relational(vectors[order], others[order]), relational(vectors, others))


def test_gradients_are_those_of_the_values() -> None:
    """Central differences agree with what backpropagation gives."""
    labels = torch.tensor([0, 0, 1, 1, 2, 3])
    vectors, teacher = torch.randn(6, 4, requires_grad=True), torch.randn(6, 5)
    arcface = SubCentreArcFace(4, frequency_margins(COUNTS), centres=2, label_smoothing=0.1)
    for loss in (TripletLoss(), TripletLoss(soft=False, margin=0.7), arcface):
        assert gradcheck(lambda x, loss=loss: loss(x, labels), vectors)
    for relational in (distance_loss, angle_loss):
        assert gradcheck(lambda x, relational=relational: relational(x, teacher), vectors)
