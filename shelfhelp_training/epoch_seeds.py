"""Random numbers that depend on epoch and batch alone: a resumed training draws what it would have drawn anyway."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class EpochSeeds(pl.Callback):
    """Seeds PyTorch and Python anew before every batch, from the run's seed, the epoch, the batch and the process.

    Once an epoch would not do: the loader draws a number of its own when it starts, which in a resumed training is
    before the epoch's beginning and otherwise after it. Does nothing where the configuration turns seeding off
    (``seed_everything: false``).
    """

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        seed = os.environ.get("PL_GLOBAL_SEED")
        if seed is not None:
            facts = [int(seed), trainer.current_epoch, index, trainer.global_rank]
            numbers = np.random.SeedSequence(facts).generate_state(2)
            torch.manual_seed(int(numbers[0]))
            random.seed(int(numbers[1]))
