"""Networks between and around trained ones: WiSE-FT and model soups. All of one architecture and one ancestry.

WiSE-FT: Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022. Soups: Wortsman et al., Model soups, ICML
2022. What is no floating-point number (counters) is not averaged but taken from the last network given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shelfhelp_ros.errors import ShelfHelpError

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Soup:
    """Averaged weights, the places of the networks that went in (in the order in which they did), and its score."""

    weights: dict[str, Tensor]
    chosen: tuple[int, ...]
    score: float


def interpolate(start: Weights, end: Weights, alpha: float) -> dict[str, Tensor]:
    """(1 - ``alpha``) · ``start`` + ``alpha`` · ``end``; exactly one of them at 0 and 1.

    Raises ShelfHelpError when ``alpha`` is outside 0..1 or the networks are not of one architecture.
    """
    if not 0 <= alpha <= 1:
        raise ShelfHelpError(f"alpha has to be between 0 (the start) and 1 (the fine-tuned network), not {alpha:g}")
    _require_same([start, end])
    return {
        name: torch.lerp(start[name], weight, alpha) if weight.is_floating_point() else weight.clone()
        for name, weight in end.items()
    }


def mean_weights(networks: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of several networks' weights: the uniform soup. Raises ShelfHelpError when they differ in shape."""
    if not networks:
        raise ShelfHelpError("nothing to average; give at least one checkpoint")
    _require_same(networks)
    return {
        name: torch.stack([network[name] for network in networks]).mean(dim=0)
        if weight.is_floating_point()
        else weight.clone()
        for name, weight in networks[-1].items()
    }


def greedy_soup(networks: Sequence[Weights], score: Callable[[Weights], float]) -> Soup:
    """The best network, averaged with each of the others, best first, that does not lower the score.

    Args:
        networks: candidates, such as trainings of several settings from one start.
        score: what is to be high, on data none of them was trained on.
    """
    if not networks:
        raise ShelfHelpError("nothing to average; give at least one checkpoint")
    alone = [score(network) for network in networks]
    order = sorted(range(len(networks)), key=lambda place: -alone[place])
    chosen, best = [order[0]], alone[order[0]]
    for place in order[1:]:
        found = score(mean_weights([networks[i] for i in [*chosen, place]]))
        if found >= best:
            chosen, best = [*chosen, place], found
    return Soup(mean_weights([networks[i] for i in chosen]), tuple(chosen), best)


def _require_same(networks: Sequence[Weights]) -> None:
    first = {name: weight.shape for name, weight in networks[0].items()}
    for network in networks[1:]:
        other = {name: weight.shape for name, weight in network.items()}
        if first != other:
            differing = sorted(set(first.items()) ^ set(other.items()))[0][0]
            raise ShelfHelpError(f"the checkpoints are of different networks ({differing}); give those of one")
