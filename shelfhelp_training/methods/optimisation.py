"""Optimisers, learning rates that differ by layer, and the schedule that all trainings share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, cast

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from shelfhelp_training.methods.backbones import Backbone

OptimiserName = Literal["adamw", "sgd", "lars"]
MOMENTUM = 0.9


def build_optimiser(
    name: OptimiserName,
    groups: Iterable[dict[str, Any]] | nn.Module,
    learning_rate: float,
    weight_decay: float,
    nesterov: bool = False,
) -> Optimizer:
    """An optimiser in which the parameters of norms and biases do not decay.

    Args:
        name: ``adamw`` (Loshchilov and Hutter, ICLR 2019), ``sgd`` with momentum 0.9, or ``lars`` (You, Gitman and
            Ginsburg 2017), which leaves what does not decay to plain momentum, as SimCLR does.
        groups: a module, or groups of parameters, each with a rate (``lr``) and ``weight_decay`` of its own or those
            given here. Parameters that need no gradient are left out.
        learning_rate, weight_decay: of groups without their own.
        nesterov: with ``sgd`` and ``lars``, Nesterov's momentum.
    """
    if isinstance(groups, nn.Module):
        groups = [{"params": list(groups.parameters())}]
    split = [half for group in groups for half in _by_decay(group, weight_decay)]
    if name == "adamw":
        return AdamW(split, lr=learning_rate)
    if name == "sgd":
        return SGD(split, lr=learning_rate, momentum=MOMENTUM, nesterov=nesterov)
    from timm.optim.lars import Lars

    return cast(Optimizer, Lars(split, lr=learning_rate, momentum=MOMENTUM, nesterov=nesterov))


def layer_groups(
    backbone: Backbone, head: nn.Module | None, learning_rate: float, decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups whose rate falls by the factor ``decay`` from each layer to the one before it (Clark et al., ELECTRA).

    The head, if any, and the last layer have ``learning_rate`` and ``decay`` × ``learning_rate``; with ``decay`` 1 all
    have the same. Frozen parameters are in none.
    """
    modules = [*backbone.layers(), *([head] if head is not None else [])]
    last = len(modules) - 1 if head is not None else len(modules)
    groups = []
    for depth, module in enumerate(modules):
        parameters = [p for p in module.parameters() if p.requires_grad]
        if parameters:
            rate = learning_rate * decay ** (last - depth)
            groups.append({"params": parameters, "lr": rate, "weight_decay": weight_decay})
    return groups


def warm_up_cosine(optimizer: Optimizer, warm_up_steps: int, total_steps: int) -> LRScheduler:
    """Every rate rises linearly over ``warm_up_steps`` steps and then falls to nothing along half a cosine.

    SGDR's cosine (Loshchilov and Hutter, ICLR 2017) without restarts. To be stepped after every step of the optimiser.
    """
    return LambdaLR(optimizer, lambda step: warm_up_factor(step, warm_up_steps, total_steps))


def warm_up_factor(step: int, warm_up_steps: int, total_steps: int) -> float:
    """The share of the full rate in a step counted from 0: 1/w, 2/w … 1 while warming up; 0 in step ``total_steps``."""
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    done = (step - warm_up_steps) / max(1, total_steps - warm_up_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _by_decay(group: dict[str, Any], weight_decay: float) -> list[dict[str, Any]]:
    """The group in two: weights that decay, and vectors (norms and biases) that do not."""
    parameters = [p for p in group["params"] if p.requires_grad]
    halves = [
        ([p for p in parameters if p.ndim > 1], group.get("weight_decay", weight_decay)),
        ([p for p in parameters if p.ndim <= 1], 0.0),
    ]
    return [{**group, "params": half, "weight_decay": decay} for half, decay in halves if half]
