"""BYOL's loss: what one view predicts of the other.

Grill et al., Bootstrap your own latent, NeurIPS 2020, eq. 2, and below it the sum of both directions.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of N×D vectors set to length one: 2 − 2·cosine, from 0 to 4. No gradient to the target."""
    cosine = F.cosine_similarity(prediction, target.detach(), dim=1)
    return 2 - 2 * cosine.mean()


def byol_loss(first: Tensor, second: Tensor, first_target: Tensor, second_target: Tensor) -> Tensor:
    """The sum of both directions: each view's N×D prediction against the other view's N×D target. From 0 to 8."""
    return regression(first, second_target) + regression(second, first_target)
