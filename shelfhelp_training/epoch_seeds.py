"""Random numbers that depend on the epoch alone, so that a resumed training draws what it would have drawn anyway."""

from __future__ import annotations

import os
import random

import numpy as np
import pytorch_lightning as pl
import torch


class EpochSeeds(pl.Callback):
    """Seeds PyTorch and Python anew in every epoch, from the run's seed, the epoch and the process.

    Does nothing where the configuration turns seeding off (``seed_everything: false``).
    """

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        seed = os.environ.get("PL_GLOBAL_SEED")
        if seed is not None:
            numbers = np.random.SeedSequence([int(seed), trainer.current_epoch, trainer.global_rank]).generate_state(2)
            torch.manual_seed(int(numbers[0]))
            random.seed(int(numbers[1]))
