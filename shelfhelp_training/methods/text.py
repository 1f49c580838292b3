"""Words on a pack beside its picture: text vectors, and the weights with which both likenesses are added.

A crop's words become counts of letter triples, which stay alike where a letter was misread (Cavnar and Trenkle, N-gram
based text categorization, 1994). Picture and text are fused late: the score of a gallery picture is a weighted sum of
both cosines. The weights are those of a conditional logit (McFadden 1974): of all gallery pictures of a query the right
one should have the largest share of exp(score). That is convex, and words that say nothing get no weight.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.feature_extraction.text import HashingVectorizer

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import normalise
from shelfhelp_ros.perception.text import Word
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.evaluation.retrieval import Flags

TEXT_DIMENSIONS = 4096
TRIPLES = HashingVectorizer(
    analyzer="char_wb", ngram_range=(3, 3), n_features=TEXT_DIMENSIONS, norm=None, alternate_sign=False, lowercase=False
)
# Keeps the weights finite where words settle everything.
PENALTY = 1e-3
Doubles = npt.NDArray[np.float64]


def text_vectors(words: Sequence[Sequence[Word]]) -> FloatArray:
    """N×4096 vectors of length one from the words of N crops; zero where nothing was read.

    Large print counts more: a word by its height relative to the crop's largest.
    """
    vectors = np.zeros((len(words), TEXT_DIMENSIONS), np.float32)
    for row, of_crop in enumerate(words):
        heights: dict[str, float] = {}
        for word in of_crop:
            heights[word.text] = max(word.height, heights.get(word.text, 0.0))
        if heights:
            counts = TRIPLES.transform(list(heights))
            shares = np.array(list(heights.values())) / max(heights.values())
            vectors[row] = np.asarray(counts.T @ shares, np.float32)
    return normalise(vectors)


@dataclass(frozen=True)
class Fusion:
    """score = ``picture`` · cosine of the pictures + ``text`` · cosine of the words + ``unread``, where the gallery
    picture has no words. Only differences between gallery pictures matter."""

    picture: float
    text: float
    unread: float

    def scores(self, picture: FloatArray, text: FloatArray, unread: Flags) -> FloatArray:
        """Q×G scores from Q×G cosines of pictures and of words and G flags of gallery pictures without words.

        They are divided by the picture's weight, so that a score is a cosine with something added.
        """
        raw = self.picture * picture + self.text * text + self.unread * unread[None]
        return np.asarray(raw / max(self.picture, 1e-6), np.float32)

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Write the weights and ``facts`` as JSON. Raises ShelfHelpError when the file cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"fusion": asdict(self), **facts}, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ShelfHelpError(f"{path} cannot be written: {error.strerror}; give another --output") from error


def load_fusion(path: Path) -> Fusion:
    """The weights of a file that ``Fusion.save`` wrote. Raises ShelfHelpError when it is none."""
    try:
        return Fusion(**json.loads(path.read_text(encoding="utf-8"))["fusion"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShelfHelpError(f"{path} holds no weights of shelfhelp-train text fit: {error}") from error


def fit_fusion(picture: FloatArray, text: FloatArray, unread: Flags, same: Flags, candidate: Flags) -> Fusion:
    """The weights under which the right answers are likeliest.

    Args:
        picture, text: Q×G cosines.
        unread: G flags of gallery pictures without words.
        same, candidate: Q×G, as of ``retrieve``. Queries without a right or without a wrong answer teach nothing.

    Raises ShelfHelpError when no query teaches anything.
    """
    right, wrong = same & candidate, candidate & ~same
    rows = right.any(axis=1) & wrong.any(axis=1)
    if not rows.any():
        raise ShelfHelpError("no query of the fit has both a right and a wrong answer; check the sources of `fit`")
    features = np.stack([picture, text, np.broadcast_to(unread[None], picture.shape)], axis=-1)[rows].astype(np.float64)
    right, allowed = right[rows], candidate[rows]

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        scores = np.where(allowed, features @ weights, -np.inf)
        of_right = np.where(right, scores, -np.inf)
        total, hit = logsumexp(scores, axis=1), logsumexp(of_right, axis=1)
        shares = np.exp(scores - total[:, None]) - np.exp(of_right - hit[:, None])
        gradient = np.einsum("qg,qgf->f", shares, features) / len(features) + 2 * PENALTY * weights
        return float((total - hit).mean() + PENALTY * weights @ weights), gradient

    bounds = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(loss, np.array([10.0, 1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B")
    return Fusion(*(float(v) for v in found.x))
