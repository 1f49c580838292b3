"""Metric learning: a network whose vectors point the same way for pictures of the same product.

Losses come from pytorch-metric-learning: multi-similarity (Wang et al., CVPR 2019) and supervised contrastive (Khosla
et al., NeurIPS 2020).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor, nn
from torch.nn import functional as F

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.evaluation.retrieval import across_photos
from shelfhelp_training.methods.backbone import MEAN, STD, efficientnet_lite0, fold_batch_norm

LossName = Literal["multi_similarity", "supervised_contrastive"]


class GeneralisedMean(nn.Module):
    """Generalised-mean pooling over the map, N×C×H×W to N×C: the mean at power 1, towards the maximum above it.

    Radenović, Tolias, Chum: Fine-tuning CNN image retrieval with no human annotation, TPAMI 2019, eq. 3.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-4).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


def cells(x: Tensor, rows: int, columns: int) -> Tensor:
    """N×C×H×W to N×(C·rows·columns) of length one: the mean of each cell of a grid. H and W are multiples of it."""
    means = torch.unflatten(torch.unflatten(x, 2, (rows, -1)), 4, (columns, -1)).mean(dim=(3, 5))
    return F.normalize(means.flatten(1))


def computes_bfloat16(device: torch.device) -> bool:
    """Whether there are instructions for bfloat16; processors without AVX-512 take ten times as long as for float32."""
    if device.type != "cpu":
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return supported is not None and bool(supported())


class ProductEncoder(nn.Module):
    """EfficientNet-Lite0 with pooled features of three depths, projected to a vector of length one.

    The deepest features name things. Those of the middle, in strips from top to bottom, and of an early stage, in a
    grid, say which colour and print is where on the pack, which is what near-duplicates differ in; part-based pooling
    is that of Sun et al., Beyond part models, ECCV 2018.

    Args:
        dimensions: length of the vector.
        pretrained: start from the ImageNet weights.
        frozen_stages: leading stages (and with them the stem) that keep their weights.
        train_depthwise: train depthwise filters too.
    """

    EARLY, EARLY_CHANNELS, EARLY_GRID = 2, 40, (4, 2)
    MIDDLE, MIDDLE_CHANNELS, MIDDLE_GRID = 5, 192, (3, 1)
    TOP_CHANNELS = 1280
    FEATURES = TOP_CHANNELS + MIDDLE_CHANNELS * 3 + EARLY_CHANNELS * 8

    def __init__(
        self, dimensions: int = 256, pretrained: bool = True, frozen_stages: int = 3, train_depthwise: bool = False
    ) -> None:
        super().__init__()
        network = efficientnet_lite0(pretrained)
        fold_batch_norm(network)
        self.stem = nn.Sequential(network.conv_stem, network.bn1)  # type: ignore[arg-type]
        self.stages = nn.ModuleList(list(network.blocks))  # type: ignore[arg-type]
        self.head = nn.Sequential(network.conv_head, network.bn2)  # type: ignore[arg-type]
        self.pool = GeneralisedMean()
        self.projection = nn.Linear(self.FEATURES, dimensions)
        self.dimensions, self.frozen_stages = dimensions, frozen_stages
        self.stem.requires_grad_(frozen_stages == 0)
        self.stages[:frozen_stages].requires_grad_(False)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1 and not train_depthwise:
                module.weight.requires_grad_(False)

    def features(self, images: Tensor) -> Tensor:
        """N×3×H×W normalised images to N×``FEATURES`` pooled features, the three depths each of length one.

        H is a multiple of 96 and W of 32.
        """
        maps = self._early(images)
        for stage in self.stages[self.frozen_stages :]:
            maps.append(stage(maps[-1]))
        early, middle = maps[self.EARLY + 1].float(), maps[self.MIDDLE + 1]
        top = F.normalize(self.pool(self.head(maps[-1])))
        return torch.cat([top, cells(middle, *self.MIDDLE_GRID), cells(early, *self.EARLY_GRID)], dim=1)

    def _early(self, images: Tensor) -> list[Tensor]:
        """The maps of stem and frozen stages; while training in bfloat16 where that takes half the time."""
        training = self.training and torch.is_grad_enabled()
        with torch.set_grad_enabled(training and self.frozen_stages == 0):
            half = training and self.frozen_stages > 0 and computes_bfloat16(images.device)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                maps = [self.stem(images)]
                for stage in self.stages[: self.frozen_stages]:
                    maps.append(stage(maps[-1]))
        maps[-1] = maps[-1].float()
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """N×3×H×W normalised images to N×dimensions vectors of length one."""
        embeddings: Tensor = self.projection(self.features(images))
        return F.normalize(embeddings)

    @torch.no_grad()
    def damp_early(self, share: float) -> None:
        """Let the early features count for ``share`` of what the projection gives them now."""
        self.projection.weight[:, self.TOP_CHANNELS + self.MIDDLE_CHANNELS * 3 :] *= share

    @torch.no_grad()
    def fit_projection(self, features: Tensor, whitening: float = 0.5) -> None:
        """Set the projection to the principal directions of M×``FEATURES`` features.

        ``whitening`` 0 keeps their variances, 1 makes them equal (Jégou and Chum, ECCV 2012); M must be at least the
        number of dimensions.
        """
        if len(features) < self.dimensions:
            raise ValueError(f"{self.dimensions} directions need at least as many crops, not {len(features)}")
        mean = features.mean(dim=0)
        _, spread, directions = torch.linalg.svd(features - mean, full_matrices=False)
        deviation = spread[: self.dimensions, None] / math.sqrt(len(features))
        weight = directions[: self.dimensions] / deviation.clamp(min=1e-6) ** whitening
        self.projection.weight.copy_(weight)
        self.projection.bias.copy_(-weight @ mean)


def normalised(images: Tensor) -> Tensor:
    """N×3×H×W uint8 RGB to what the backbone takes, channels last."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


class Memory:
    """The last vectors of a training with the numbers of their products, oldest first: cheap negatives.

    Cross-batch memory: Wang et al., CVPR 2020. While a network learns slowly its vectors of some steps ago still hold.
    """

    def __init__(self, size: int, dimensions: int) -> None:
        self.size = size
        self.vectors = torch.zeros(0, dimensions)
        self.labels = torch.zeros(0, dtype=torch.long)

    def add(self, vectors: Tensor, labels: Tensor) -> None:
        """Put a batch in; the oldest beyond ``size`` are forgotten."""
        self.vectors = torch.cat([self.vectors.to(vectors.device), vectors.detach()])[-self.size :]
        self.labels = torch.cat([self.labels.to(labels.device), labels])[-self.size :]


class MetricTraining(pl.LightningModule):
    """Trains a ``ProductEncoder``; ``recall_NAME`` is recall@1 of the held-out source NAME across its photographs.

    The first epoch starts with the projection set to the principal directions of the training crops, so training
    begins where off-the-shelf features end.

    Args:
        dimensions, pretrained, frozen_stages, train_depthwise: of the encoder.
        start_from: checkpoint of an earlier training whose weights to start from.
        loss: which loss, with its authors' settings but for the temperature.
        learning_rate: of the backbone, reached after ``warm_up`` steps and lowered to nothing along a half cosine.
        projection_rate: learning rate of the projection.
        weight_decay: AdamW's.
        warm_up: steps.
        temperature: of the supervised contrastive loss.
        memory: so many earlier vectors are compared with every batch as well (0: none).
    """

    def __init__(
        self,
        dimensions: int = 256,
        pretrained: bool = True,
        frozen_stages: int = 3,
        train_depthwise: bool = False,
        start_from: str | None = None,
        loss: LossName = "multi_similarity",
        learning_rate: float = 2e-4,
        projection_rate: float = 5e-4,
        weight_decay: float = 1e-4,
        warm_up: int = 50,
        temperature: float = 0.07,
        memory: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        pretrained = pretrained and start_from is None
        self.encoder = ProductEncoder(dimensions, pretrained, frozen_stages, train_depthwise)
        self.start_from = start_from
        if start_from is not None:
            self.load_state_dict(_weights_of(Path(start_from)))
        self.encoder.to(memory_format=torch.channels_last)
        self.learning_rate, self.projection_rate = learning_rate, projection_rate
        self.weight_decay, self.warm_up = weight_decay, warm_up
        self.miner: nn.Module | None = None
        self.loss: nn.Module
        if loss == "multi_similarity":
            self.loss = losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
            self.miner = miners.MultiSimilarityMiner(epsilon=0.1)
        else:
            self.loss = losses.SupConLoss(temperature=temperature)
        self.memory = Memory(memory, dimensions) if memory else None
        self.seen: list[tuple[FloatArray, list[int]]] = []

    def forward(self, images: Tensor) -> Tensor:
        """N×3×H×W uint8 RGB to N×dimensions."""
        return cast(Tensor, self.encoder(normalised(images)))

    def on_fit_start(self) -> None:
        """Only a run from off-the-shelf weights sets the projection: any other has learnt its own."""
        if self.start_from is None and self.trainer.ckpt_path is None:
            self.encoder.fit_projection(self._training_features())

    @torch.no_grad()
    def _training_features(self) -> Tensor:
        data = cast(Any, self.trainer).datamodule
        self.encoder.eval()
        batches = [self.encoder.features(normalised(images)) for images, _ in data.plain_loader()]
        self.encoder.train()
        return torch.cat(batches)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        embeddings = self(images)
        loss = self._loss(embeddings, labels)
        if self.memory is not None:
            if len(self.memory.labels):
                loss = loss + self._loss(embeddings, labels, self.memory.vectors, self.memory.labels)
            self.memory.add(embeddings, labels)
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=len(labels))
        return loss

    def _loss(
        self, embeddings: Tensor, labels: Tensor, others: Tensor | None = None, names: Tensor | None = None
    ) -> Tensor:
        """Of a batch among itself, or of a batch against ``others`` with the labels ``names``."""
        mined = self.miner(embeddings, labels, others, names) if self.miner else None
        return cast(Tensor, self.loss(embeddings, labels, mined, others, names))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The memory is kept for resuming; it is no part of the network."""
        if self.memory is not None:
            checkpoint["memory"] = (self.memory.vectors, self.memory.labels)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.memory is not None and "memory" in checkpoint:
            self.memory.vectors, self.memory.labels = checkpoint["memory"]

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, rows = batch
        self.seen.append((self(images).float().cpu().numpy(), rows.tolist()))

    def on_validation_epoch_end(self) -> None:
        vectors = np.concatenate([v for v, _ in self.seen])
        crops = [cast(Any, self.trainer).datamodule.held_out[row] for _, rows in self.seen for row in rows]
        self.seen.clear()
        source = np.array([crop.product.split("/")[0] for crop in crops])
        recalls = []
        for name in dict.fromkeys(source.tolist()):
            here = np.flatnonzero(source == name)
            found = across_photos(vectors[here], [crops[i].product for i in here], [crops[i].photo for i in here])
            self.log(f"recall_{name}", found.recall, prog_bar=True)
            self.log(f"accepts_{name}", found.true_accepts(0.01))
            recalls.append(found.recall)
        self.log("val_recall", float(np.mean(recalls)))

    def configure_optimizers(self) -> Any:
        backbone = [p for n, p in self.encoder.named_parameters() if p.requires_grad and not n.startswith("projection")]
        groups = [
            {"params": backbone, "lr": self.learning_rate},
            {"params": list(self.encoder.projection.parameters()), "lr": self.projection_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=self.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            rising = min(1.0, (step + 1) / max(1, self.warm_up))
            return rising * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _weights_of(checkpoint: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    except (OSError, KeyError, RuntimeError) as error:
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint to start from: {error}") from error
    return weights
