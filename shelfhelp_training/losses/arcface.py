"""ArcFace with several centres a class and a margin that follows how often a class is seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def frequency_margins(counts: Tensor, least: float = 0.05, scale: float = 0.5, power: float = 0.25) -> Tensor:
    """Margins in radians of C classes with ``counts`` pictures each: ``scale`` · n^-``power`` + ``least``.

    Rare classes get wide margins: few pictures say little of how far the class reaches. Ha et al., Google Landmark
    Recognition 2020 competition third place solution, 2020. A class without a picture counts as one with one.
    """
    return scale * counts.clamp(min=1).double().pow(-power).to(torch.get_default_dtype()) + least


class SubCentreArcFace(nn.Module):
    """Cross-entropy over cosines to class centres, the right one's angle made larger by its margin.

    ArcFace: Deng et al., CVPR 2019; with several centres a class, of which the nearest counts, so that mislabelled and
    odd pictures need not pull at the others: Deng et al., Sub-center ArcFace, ECCV 2020.

    Args:
        dimensions: D of the vectors.
        margins: (C,) radians, one a class.
        centres: centres a class; 1 is plain ArcFace.
        scale: what cosines are multiplied by before the softmax.
        label_smoothing: of the cross-entropy.
    """

    margins: Tensor

    def __init__(
        self, dimensions: int, margins: Tensor, centres: int = 3, scale: float = 30.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.centres, self.scale, self.label_smoothing = centres, scale, label_smoothing
        self.weight = nn.Parameter(torch.empty(len(margins) * centres, dimensions))
        nn.init.xavier_uniform_(self.weight)
        self.register_buffer("margins", margins)

    def scores(self, vectors: Tensor) -> Tensor:
        """N×D vectors of any length to N×C cosines, each with the nearest of the class's centres."""
        every = F.linear(F.normalize(vectors), F.normalize(self.weight))
        return torch.unflatten(every, 1, (len(self.margins), self.centres)).amax(dim=2)

    def logits(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """N×C logits, that of each vector's own class lowered by its margin.

        Where the widened angle would pass π, at which its cosine turns round, the cosine goes on falling in a line.
        """
        cosines = self.scores(vectors).clamp(-1 + 1e-7, 1 - 1e-7)
        margin = self.margins[labels].to(cosines)
        own = cosines.gather(1, labels[:, None])[:, 0]
        wider = torch.cos(torch.acos(own) + margin)
        beyond = own - margin * torch.sin(margin)
        own = torch.where(own > torch.cos(math.pi - margin), wider, beyond)
        return self.scale * cosines.scatter(1, labels[:, None], own[:, None])

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of N×D vectors with their N classes."""
        # Angles are nothing for half precision.
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.to(self.weight.dtype)
            return F.cross_entropy(self.logits(vectors, labels), labels, label_smoothing=self.label_smoothing)
