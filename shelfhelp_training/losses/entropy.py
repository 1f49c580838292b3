"""Entropy minimisation: a network should make up its mind on pictures whose class nobody has told it.

Grandvalet and Bengio, Semi-supervised learning by entropy minimization, NeurIPS 2004.
"""

from __future__ import annotations

from torch import Tensor


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy in nats of N×C logits' probabilities: 0 where all is certain, ln C where all classes are even."""
    log_probabilities = logits.log_softmax(dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1).mean()
