"""Retrieval figures against pytorch-metric-learning's own, and by hand on small cases."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning comes with the extra 'training'")

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from shelfhelp_training.evaluation.retrieval import across_photos, against_references, retrieve


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_recall_is_that_of_pytorch_metric_learning(seed: int) -> None:
    """Queries against references, on random vectors around random centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 16))
    labels, names = rng.integers(0, 12, 200), rng.integers(0, 12, 60)
    queries = unit(centres[labels] + 1.5 * rng.normal(size=(200, 16)))
    references = unit(centres[names] + 1.5 * rng.normal(size=(60, 16)))
    peer = AccuracyCalculator(include=("precision_at_1",), k=1, device=torch.device("cpu")).get_accuracy(
        queries, labels, references, names, ref_includes_query=False
    )
    found = against_references(queries, [str(n) for n in labels], references, [str(n) for n in names])
    known = set(names.tolist())
    assert len(found.rank) == sum(label in known for label in labels.tolist())
    assert 0.2 < found.recall < 0.95
    assert found.recall == pytest.approx(peer["precision_at_1"], abs=1e-9)


def test_a_crop_never_finds_its_own_photo() -> None:
    """Neighbouring facings in one photograph are too easy; without another photograph there is no query."""
    vectors = unit(np.array([[1, 0], [1, 0.01], [0.7, 0.7], [0, 1]]))
    found = across_photos(vectors, ["cola", "cola", "cola", "beer"], ["a", "a", "b", "b"])
    assert found.queries.tolist() == [0, 1, 2]
    assert found.rank.tolist() == [0, 0, 0]
    assert found.recall_at(1) == 1.0


def test_rank_counts_the_wrong_answers_before_the_right_one() -> None:
    """Ties count against the encoder, and candidates that are excluded do not."""
    similarity = np.array([[0.9, 0.8, 0.8, 0.95]], np.float32)
    same = np.array([[False, True, False, False]])
    candidate = np.array([[True, True, True, False]])
    found = retrieve(similarity, same, candidate)
    assert found.rank.tolist() == [2]
    assert (found.recall_at(2), found.recall_at(3)) == (0.0, 1.0)
    np.testing.assert_allclose(np.sort(found.wrong), [0.8, 0.9])


def test_true_accepts_at_a_rate_of_false_ones() -> None:
    """Of 1000 wrong pairs from 0 to 1, one in a hundred lies above 0.99."""
    wrong = np.linspace(0, 1, 1000, dtype=np.float32)
    similarity = np.hstack([np.array([[0.5], [0.995], [0.985]]), np.tile(wrong, (3, 1))]).astype(np.float32)
    same = np.zeros(similarity.shape, bool)
    same[:, 0] = True
    found = retrieve(similarity, same, np.ones_like(same))
    assert found.true_accepts(0.01) == pytest.approx(1 / 3)
    assert found.true_accepts(0.2) == pytest.approx(2 / 3)


def test_nothing_to_find_is_not_a_perfect_score() -> None:
    """An empty test set has no figure."""
    found = across_photos(unit(np.eye(2)), ["a", "b"], ["1", "2"])
    assert np.isnan(found.recall)
    assert np.isnan(found.true_accepts(0.01))
