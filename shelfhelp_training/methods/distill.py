"""A small network learns from what a large one says of the same pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_training.data.image_data import CACHE
from shelfhelp_training.losses.relational import angle_loss, distance_loss
from shelfhelp_training.methods.embedding import Batch, EmbeddingTraining
from shelfhelp_training.teacher import class_means, teacher_vectors


class DistillationLoss(nn.Module):
    """How far a student's vectors are from its teacher's: the weighted sum of four terms.

    ``cosine``: one minus the cosine of the two vectors. ``distance`` and ``angle``: relations within the batch (Park et
    al., CVPR 2019). ``logits``: how both see the classes, the Kullback-Leibler divergence of softmaxes over cosines to
    the teacher's class means (Hinton, Vinyals and Dean 2015, with class means for a classifier, which a teacher of
    vectors does not have).

    Where the student's vectors are shorter or longer than the teacher's, a linear layer that is no part of the student
    brings them to the teacher's length for ``cosine`` and ``logits``; where they are as long, the student's vectors can
    be compared with the teacher's.

    Args:
        dimensions: of the student's vectors.
        means: the teacher's class means, C×E of length one.
        weights: of cosine, distance, angle and logits; a term with weight 0 is not computed.
        temperature: that cosines are divided by before the softmax.
    """

    means: Tensor

    def __init__(
        self, dimensions: int, means: Tensor, weights: tuple[float, float, float, float], temperature: float
    ) -> None:
        super().__init__()
        wide = means.shape[1]
        self.adapter = nn.Identity() if dimensions == wide else nn.Linear(dimensions, wide, bias=False)
        self.weights, self.temperature = weights, temperature
        self.register_buffer("means", means, persistent=False)

    def forward(self, embeddings: Tensor, taught: Tensor) -> Tensor:
        """Of N×D embeddings of the student and N×E vectors of the teacher."""
        cosine, distance, angle, logits = self.weights
        total = embeddings.new_zeros(())
        adapted = F.normalize(self.adapter(embeddings))
        if cosine:
            total = total + cosine * (1 - (adapted * taught).sum(dim=1)).mean()
        own = F.normalize(embeddings)
        if distance:
            total = total + distance * distance_loss(own, taught)
        if angle:
            total = total + angle * angle_loss(own, taught)
        if logits:
            ours, theirs = (v @ self.means.T / self.temperature for v in (adapted, taught))
            divergence = F.kl_div(ours.log_softmax(1), theirs.log_softmax(1), log_target=True, reduction="batchmean")
            total = total + logits * divergence
        return total


class Distillation(EmbeddingTraining):
    """Trains a student on ``ImageData`` to give the vectors that a teacher gives.

    The teacher sees every picture once, as it is; its vectors are kept on disk (see `teacher_vectors`). The student
    sees it varied, and learns that the vector stays the same. Let ``data.size`` be at least what the teacher takes.

    Args:
        teacher: checkpoint of any method, an exported ONNX file, or vectors (``.npy``).
        cosine, distance, angle, logits: weights of the terms, see `DistillationLoss`.
        temperature: of the logits.
        cache: folder of the teacher's vectors.
        options: of the student and its optimisation, see `EmbeddingTraining`.
    """

    def __init__(
        self,
        teacher: str,
        cosine: float = 1.0,
        distance: float = 1.0,
        angle: float = 2.0,
        logits: float = 0.0,
        temperature: float = 0.1,
        cache: Path = CACHE,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.teacher, self.cache = Path(teacher), cache
        self.weights, self.temperature = (cosine, distance, angle, logits), temperature

    def make_loss(self, data: Any) -> nn.Module:
        self.taught = teacher_vectors(self.teacher, data, self.cache)
        means = class_means(self.taught, data.parts["train"].labels, data.num_classes)
        return DistillationLoss(self.dimensions, torch.from_numpy(means), self.weights, self.temperature)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        embeddings = self.embedding(self.features(batch["images"]))
        taught = torch.from_numpy(np.array(self.taught[batch["index"].cpu().numpy()]))
        loss = cast(Tensor, self.loss(embeddings, taught.to(embeddings.device)))
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(embeddings))
        return loss
