"""Reading Lightning's checkpoints, and writing one whose weights come from several."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.weight_space import interpolate, mean_weights

Checkpoint = dict[str, Any]
# What is needed to make the network from a checkpoint; the optimiser's state belongs to one training alone.
KEPT = (
    "hparams_name",
    "hyper_parameters",
    "datamodule_hparams_name",
    "datamodule_hyper_parameters",
    "pytorch-lightning_version",
    "epoch",
    "global_step",
)


def read_checkpoint(path: Path) -> Checkpoint:
    """A Lightning checkpoint as it was saved. Raises ShelfHelpError when the file is none."""
    try:
        raw = torch.load(path, map_location="cpu", weights_only=False)
    except (OSError, RuntimeError, EOFError, ValueError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise ShelfHelpError(f"{path} is not a checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("state_dict"), dict):
        raise ShelfHelpError(f"{path} is not a checkpoint of shelfhelp-train")
    return cast(Checkpoint, raw)


def between(start: Checkpoint, end: Checkpoint, alpha: float) -> Checkpoint:
    """WiSE-FT: the network on the line from ``start`` (alpha 0) to ``end`` (1), with the settings of ``end``.

    What only ``end`` has, such as a head that ``start`` was trained without, is taken from it as it is. Raises
    ShelfHelpError when the backbones differ.
    """
    first, last = start["state_dict"], end["state_dict"]
    common = [name for name in last if name in first and first[name].shape == last[name].shape]
    missing = [name for name in last if name.startswith(("backbone.", "encoder.")) and name not in common]
    if missing or not common:
        raise ShelfHelpError(
            f"the checkpoints are of different networks ({(missing or list(last))[0]}); give those of one"
        )
    state = interpolate({name: first[name] for name in common}, {name: last[name] for name in common}, alpha)
    how = {"wise_ft": {"alpha": alpha, "start": start.get("record", {})}}
    return with_weights(end, {**last, **state}, how)


def averaged(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """The uniform soup: the mean of all networks, with the settings of the first."""
    state = mean_weights([checkpoint["state_dict"] for checkpoint in checkpoints])
    how = {"averaged_with": [checkpoint.get("record", {}) for checkpoint in checkpoints[1:]]}
    return with_weights(checkpoints[0], state, how if len(checkpoints) > 1 else {})


def with_weights(checkpoint: Checkpoint, weights: Mapping[str, Tensor], how: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint with other weights, without its optimiser, and ``how`` they came about in its record."""
    kept = {key: checkpoint[key] for key in KEPT if key in checkpoint}
    return {**kept, "state_dict": dict(weights), "record": {**checkpoint.get("record", {}), **how}}


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Save a checkpoint, whole or not at all. Raises ShelfHelpError when the folder cannot be written to."""
    draft = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, draft)
        draft.replace(path)
    except (OSError, RuntimeError) as error:
        raise ShelfHelpError(f"{path} cannot be written: {error}") from error
