"""What lies between a network and its fine-tuned self: figures along the line of their weights (WiSE-FT).

Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022: somewhere on that line a network often does better
on data of another kind than either end, and hardly worse on that of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from shelfhelp_training.checkpoints import Checkpoint, between
from shelfhelp_training.evaluation.comparisons import RetrievalSet, compare
from shelfhelp_training.evaluation.line_plots import draw_lines
from shelfhelp_training.methods.embedder import trained_encoder

ALPHA = "alpha"


def recalls(checkpoint: Checkpoint, sets: Sequence[RetrievalSet], root: Path) -> dict[str, float]:
    """Recall@1 of the encoder in a checkpoint on every test set, by name."""
    encoder = trained_encoder(checkpoint).encoder()
    return {one.name: compare(one, encoder, root).retrieval().recall for one in sets}


def sweep(
    start: Checkpoint, end: Checkpoint, sets: Sequence[RetrievalSet], alphas: Sequence[float], root: Path
) -> list[dict[str, float]]:
    """For each ``alpha``, recall@1 by test set, and their ``mean``, of the network that far from start to end.

    ``root`` is the data folder.
    """
    rows = []
    for alpha in tqdm(alphas, desc="between the networks", unit="network"):
        found = recalls(between(start, end, alpha), sets, root)
        rows.append({ALPHA: alpha, **found, "mean": sum(found.values()) / len(found)})
    return rows


def table(rows: Sequence[dict[str, float]]) -> str:
    """The rows of a sweep as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(f"{row[name]:.2f}" if name == ALPHA else f"{row[name]:.3f}" for name in names) + " |"
              for row in rows]  # fmt: skip
    return "\n".join(lines)


def draw_curve(rows: Sequence[dict[str, float]], path: Path) -> None:
    """Recall@1 over alpha, a line for each test set, into a PNG file."""
    alphas = [row[ALPHA] for row in rows]
    lines = {name: (alphas, [row[name] for row in rows]) for name in list(rows[0])[1:]}
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_lines(path, lines, "alpha: 0 the start, 1 the fine-tuned network", "recall@1", logarithmic=False)
