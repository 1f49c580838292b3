"""FixMatch's loss on unlabelled pictures: what a weak view is sure of, a strong view has to say as well.

Sohn et al., FixMatch: simplifying semi-supervised learning with consistency and confidence, NeurIPS 2020, eq. 4.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def fixmatch_loss(weak: Tensor, strong: Tensor, threshold: float = 0.95) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the strong views with the classes that their weak views are at least ``threshold`` sure of.

    Pictures whose weak view is not sure cost nothing and still count in the mean, so that the loss grows as the
    network grows sure.

    Args:
        weak, strong: N×C logits of two views of the same pictures; no gradient flows into ``weak``.
        threshold: least probability of a class that is taken for the truth.

    Returns:
        The loss, and the share of the pictures that counted.
    """
    certainty, classes = weak.detach().softmax(dim=1).max(dim=1)
    sure = (certainty >= threshold).to(strong.dtype)
    return (F.cross_entropy(strong, classes, reduction="none") * sure).mean(), sure.mean()
