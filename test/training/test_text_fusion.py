"""Words beside the picture: vectors that forgive a misread letter, weights that help, and reading that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")
pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")
pytest.importorskip("rapidocr", reason="rapidocr comes with the extra 'text'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.text import Word
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_training.commands.train_text import command
from shelfhelp_training.data.word_cache import read_words
from shelfhelp_training.evaluation.retrieval import retrieve
from shelfhelp_training.methods.text import Fusion, fit_fusion, load_fusion, text_vectors


def test_a_misread_letter_changes_little_and_another_word_much() -> None:
    """Length one, zero without words, large print first."""
    words = [[Word("vanilla", 0.2)], [Word("vanila", 0.2)], [Word("pepper", 0.2)], []]
    vectors = text_vectors(words)
    cosines = vectors @ vectors.T
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 1, 1, 0])
    assert cosines[0, 1] > 0.7
    assert cosines[0, 2] < 0.2
    large, small = text_vectors([[Word("milk", 0.3), Word("farm", 0.1)], [Word("milk", 0.1), Word("farm", 0.3)]])
    assert large @ text_vectors([[Word("milk", 0.2)]])[0] > small @ text_vectors([[Word("milk", 0.2)]])[0] + 0.2


def pairs(seed: int, words_tell: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cosines of 40 queries with 12 gallery pictures, of which the right one is a little more alike."""
    rng = np.random.default_rng(seed)
    same = np.eye(12, dtype=bool)[rng.integers(0, 12, 40)]
    picture = (0.5 + 0.1 * rng.normal(size=same.shape) + 0.1 * same).astype(np.float32)
    text = (0.3 + 0.1 * rng.normal(size=same.shape) + words_tell * same).astype(np.float32)
    return picture, text, np.zeros(12, bool), same, np.ones_like(same)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_words_that_tell_help_on_other_queries(seed: int) -> None:
    """Fitted on some, recall rises on others."""
    fusion = fit_fusion(*pairs(seed, 0.3))
    picture, text, unread, same, every = pairs(seed + 1, 0.3)
    alone = retrieve(picture, same, every).recall
    assert retrieve(fusion.scores(picture, text, unread), same, every).recall > alone + 0.1
    assert fusion.text > 0


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_weights_are_where_the_likelihood_is_largest(seed: int) -> None:
    """No small step from the weights makes the right answers likelier (the penalty aside)."""
    picture, text, unread, same, every = pairs(seed, 0.1)
    fusion = fit_fusion(picture, text, unread, same, every)

    def likelihood(of_picture: float, of_text: float) -> float:
        scores = of_picture * picture.astype(float) + of_text * text
        penalty = 1e-3 * (of_picture**2 + of_text**2)
        return float(np.mean(scores[same] - np.log(np.exp(scores).sum(axis=1))) - penalty)

    best = likelihood(fusion.picture, fusion.text)
    for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):
        other = fusion.picture + step[0], fusion.text + step[1]
        if min(other) >= 0:
            assert likelihood(*other) <= best + 1e-6


def test_gallery_pictures_without_words_are_not_passed_over() -> None:
    """Where the right answers bear no words, being unread counts for a gallery picture."""
    picture, text, unread, same, every = pairs(0, 0.3)
    unread[:6] = True
    text[:, :6] = 0
    fusion = fit_fusion(picture, text, unread, same, every)
    assert fusion.unread > 0
    alone = retrieve(picture, same, every).recall
    assert retrieve(fusion.scores(picture, text, unread), same, every).recall > alone


def test_weights_are_kept_and_nothing_to_fit_is_refused(tmp_path: Path) -> None:
    """One clear line for both kinds of wrong input."""
    Fusion(10.0, 2.0, 0.5).save(tmp_path / "deep" / "fusion.json", {"config": "mine"})
    assert load_fusion(tmp_path / "deep" / "fusion.json") == Fusion(10.0, 2.0, 0.5)
    (tmp_path / "wrong.json").write_text("{}")
    with pytest.raises(ShelfHelpError, match=r"wrong\.json"):
        load_fusion(tmp_path / "wrong.json")
    picture, text, unread, same, every = pairs(0, 0.3)
    with pytest.raises(ShelfHelpError, match="no query"):
        fit_fusion(picture, text, unread, np.zeros_like(same), every)


class Counting:
    """Reads the mean grey of a picture as a word, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def read(self, image: ImageArray) -> tuple[Word, ...]:
        self.asked += 1
        return (Word(f"grey{int(image.mean())}", 0.5),)


def test_a_picture_is_read_once(tmp_path: Path) -> None:
    """Also by a later run; a changed picture is another one; a cache that cannot be written is one clear line."""
    pictures = [np.full((4, 4, 3), grey, np.uint8) for grey in (1, 2, 1)]
    reader, later = Counting(), Counting()
    first = read_words(pictures, tmp_path / "words.sqlite", reader)
    assert reader.asked == 2
    assert first[0] == first[2] == (Word("grey1", 0.5),)
    again = [*pictures, np.full((2, 8, 3), 1, np.uint8)]
    assert read_words(again, tmp_path / "words.sqlite", later)[:3] == first
    assert later.asked == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(ShelfHelpError, match="--cache"):
        read_words(pictures, tmp_path / "file" / "words.sqlite", reader)


def draw_packs(folder: Path, words: list[str], seed: int) -> dict[str, object]:
    """Packs that differ in one word alone: a clean picture of each, and a dim, blurred one; returns the test set."""
    for number, word in enumerate(words):
        pack = np.full((150, 200, 3), (60, 110, 180), np.uint8)
        cv2.rectangle(pack, (8, 45), (192, 105), (245, 245, 245), -1)
        cv2.putText(pack, word, (16, 86), cv2.FONT_HERSHEY_DUPLEX, 1.1, (20, 20, 20), 2, cv2.LINE_AA)
        rng = np.random.default_rng([seed, number])
        matrix = cv2.getRotationMatrix2D((100, 75), float(rng.uniform(-7, 7)), float(rng.uniform(0.8, 0.95)))
        seen = cv2.warpAffine(pack, matrix, (200, 150), borderValue=(90, 90, 90)) * rng.uniform(0.4, 0.8, 3)
        seen = np.clip(seen + rng.normal(0, 8, seen.shape), 0, 255).astype(np.uint8)
        for name, picture in ((f"known/{word}", pack), (f"asked/{word}/1", cv2.GaussianBlur(seen, (0, 0), 0.8))):
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)
    sides = ("queries", "folders", "asked", {"shelves": 1}), ("gallery", "pictures", "known", {})
    return {side: [{"kind": kind, "name": "p", "path": str(folder / p), **more}] for side, kind, p, more in sides}


def test_packs_that_differ_in_a_word_are_found_by_reading(tmp_path: Path) -> None:
    """The real reader and the robot's encoder: recall@1 with words beats recall@1 without."""
    sets = {
        "fit": draw_packs(tmp_path / "fit", ["TOMATO", "GARLIC", "PEPPER", "LEMON"], 1),
        "test": draw_packs(tmp_path / "test", ["VANILLA", "CHERRY", "BANANA", "COFFEE", "ALMOND", "GINGER"], 2),
    }
    config, output, cache = tmp_path / "config.yaml", tmp_path / "fusion.json", tmp_path / "words.sqlite"
    config.write_text(yaml.safe_dump(sets))
    arguments = ["fit", "--config", str(config), "--output", str(output), "--cache", str(cache)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    rows = {row["by"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows["both"]["recall@1"] >= rows["picture"]["recall@1"] + 0.15
    assert rows["both"]["recall@1"] >= 0.8
    assert rows["picture"]["with words"] > 0.8
    assert load_fusion(output).text > 0
    assert json.loads(output.read_text())["figures"] == list(rows.values())
