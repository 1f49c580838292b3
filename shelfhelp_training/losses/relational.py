"""Relational knowledge distillation: a student keeps the distances and angles between a teacher's vectors.

Park et al., Relational knowledge distillation, CVPR 2019. Neither term asks for vectors of the same length, so a
student of any embedding size can learn from any teacher.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the distances of all pairs, each side in units of its own mean distance (eqs. 4 to 6).

    Args:
        student, teacher: N×D and N×E vectors of the same N ≥ 2 pictures.
    """
    return F.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between the cosines of the angles at every vector, subtended by every pair of others (eqs. 7 to 9).

    Args:
        student, teacher: N×D and N×E vectors of the same N pictures.
    """
    return F.smooth_l1_loss(_angles(student), _angles(teacher))


def _relative_distances(vectors: Tensor) -> Tensor:
    """N×D vectors to N×N distances, divided by the mean of those between different vectors."""
    squared = (vectors[:, None] - vectors[None]).pow(2).sum(dim=2)
    # The square root has no gradient at nought, where every vector meets itself.
    distances = torch.where(squared > 0, squared.clamp(min=1e-12).sqrt(), torch.zeros_like(squared))
    pairs = (distances > 0).sum().clamp(min=1)
    return distances / (distances.sum() / pairs).clamp(min=1e-12)


def _angles(vectors: Tensor) -> Tensor:
    """N×D vectors to N×N×N cosines: entry i, j, k is that of the angle at vector i between vectors j and k."""
    directions = F.normalize(vectors[None] - vectors[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
