"""The report of retrieval: figures against pytorch-metric-learning and scikit-learn, files, what the command reads."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning comes with the extra 'training'")
pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'training'")

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import average_precision_score, roc_auc_score

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import normalise
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.cli import evaluate_main
from shelfhelp_training.evaluation.embedded import Embedded, read_embeddings, retrieval
from shelfhelp_training.evaluation.gallery_page import Shown, retrieval_rows, write_page
from shelfhelp_training.evaluation.retrieval import interval, retrieve, search
from shelfhelp_training.evaluation.retrieval_report import principal_directions, report, spread, sweep, write
from shelfhelp_training.evaluation.search_speed import measure_search, torch_search

SEEDS = st.integers(0, 100_000)


def embedded(seed: int, count: int, labels: int = 8, dimensions: int = 16, noise: float = 1.2) -> Embedded:
    """Random vectors about random centres; one seed has the same centres for every count."""
    rng = np.random.default_rng([seed, count])
    centres = np.random.default_rng(seed).normal(size=(labels, dimensions))
    names = rng.integers(0, labels, count)
    vectors = normalise(np.asarray(centres[names] + noise * rng.normal(size=(count, dimensions)), np.float32))
    return Embedded(vectors, names.astype(str), np.array([f"{count}/{row}" for row in range(count)]))


def closest_gap(vectors: np.ndarray) -> float:
    """The least difference between two cosines of one vector to others."""
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(cosines, 2.0)
    return float(np.diff(np.sort(cosines, axis=1), axis=1).min())


@given(SEEDS, st.sampled_from([0.5, 1.5, 4.0]))
@settings(max_examples=15, deadline=None)
def test_figures_are_those_of_pytorch_metric_learning(seed: int, noise: float) -> None:
    """Recall@1, MAP@R, R-precision and mAP on random vectors, each against all others."""
    pictures = embedded(seed, 60, noise=noise)
    # Of neighbours that are equally near in single precision either may be the first.
    assume(closest_gap(pictures.vectors) > 1e-6)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r", "r_precision", "mean_average_precision"),
        k=59,
        device=torch.device("cpu"),
    )
    peer = calculator.get_accuracy(torch.from_numpy(pictures.vectors), torch.from_numpy(pictures.labels.astype(int)))
    found = retrieval(pictures, pictures)
    assert found.recall == pytest.approx(peer["precision_at_1"], abs=1e-6)
    assert found.mean_precision == pytest.approx(peer["mean_average_precision_at_r"], abs=1e-5)
    assert found.r_precision.mean() == pytest.approx(peer["r_precision"], abs=1e-5)
    assert found.average.mean() == pytest.approx(peer["mean_average_precision"], abs=1e-5)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_average_precision_and_auroc_are_those_of_scikit_learn(seed: int) -> None:
    """A query's average precision, and the AUROC of its best right answer against the wrong pairs."""
    queries, gallery = embedded(seed, 20), embedded(seed, 50)
    found = retrieval(queries, gallery)
    scores = queries.vectors @ gallery.vectors.T
    for place, row in enumerate(found.queries[:5]):
        expected = average_precision_score(gallery.labels == queries.labels[row], scores[row])
        assert found.average[place] == pytest.approx(expected, abs=1e-5)
    flags = np.concatenate([np.ones(len(found.right)), np.zeros(len(found.wrong))])
    assert found.auroc == pytest.approx(roc_auc_score(flags, np.concatenate([found.right, found.wrong])), abs=1e-6)


@given(SEEDS, st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_blocks_change_nothing(seed: int, block: int) -> None:
    """Queries compared in blocks give what one matrix gives; of too many wrong pairs evenly spaced ones are kept."""
    queries, gallery = embedded(seed, 30), embedded(seed, 45)
    same = queries.labels[:, None] == gallery.labels[None]
    every = np.ones_like(same)
    whole = retrieve(queries.vectors @ gallery.vectors.T, same, every)
    pieces = search(queries.vectors, gallery.vectors, lambda rows: same[rows], lambda rows: every[rows], block)
    np.testing.assert_array_equal(pieces.rank, whole.rank)
    np.testing.assert_array_equal(pieces.queries, whole.queries)
    np.testing.assert_allclose(pieces.average, whole.average, atol=1e-6)
    np.testing.assert_allclose(np.sort(pieces.wrong), np.sort(whole.wrong), atol=1e-6)
    few = search(queries.vectors, gallery.vectors, lambda rows: same[rows], lambda rows: every[rows], block, 400)
    assert len(whole.wrong) / 6 < len(few.wrong) < len(whole.wrong)
    assert np.isin(few.wrong, pieces.wrong).all()


@given(SEEDS, st.integers(2, 30))
@settings(max_examples=25, deadline=None)
def test_intervals_hold_the_figure_and_shrink_with_more_labels(seed: int, labels: int) -> None:
    """The mean lies inside, inside of what is possible; a seed repeats; four times the labels are surer."""
    rng = np.random.default_rng(seed)
    values = rng.random(labels * 4)
    groups = [str(number % labels) for number in range(labels * 4)]
    low, high = interval(values, groups, seed=seed)
    assert values.min() <= low <= values.mean() <= high <= values.max()
    assert interval(values, groups, seed=seed) == (low, high)
    more = interval(np.tile(values, 4), [f"{copy}/{g}" for copy in range(4) for g in groups], seed=seed)
    assert more[1] - more[0] < high - low or high == low


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 200 samples of 40 labels, the 95 % interval misses the true mean in about one of twenty."""
    rng = np.random.default_rng(0)
    hits = 0
    for draw in range(200):
        chance = rng.beta(2, 2, 40)
        values = rng.random((40, 5)) < chance[:, None]
        low, high = interval(values.reshape(-1), [str(g) for g in np.repeat(np.arange(40), 5)], draws=400, seed=draw)
        hits += low <= 0.5 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_spread_tells_labels_that_are_never_found() -> None:
    """One label always right, one never: mean a half, and half of the labels are never found."""
    vectors = normalise(np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 0.5, 1], [0, 0.9, 0.1]], np.float32))
    pictures = Embedded(vectors, np.array(["a", "a", "b", "b", "c"]), np.arange(5).astype(str))
    found = retrieval(pictures, pictures)
    values = spread(found, pictures.labels[found.queries])
    assert values["recall@1 mean of labels"] == pytest.approx(0.5)
    assert values["labels never found"] == pytest.approx(0.5)


def test_principal_directions_keep_more_than_the_first_numbers() -> None:
    """Vectors that vary along three turned directions are as good with as many principal ones."""
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(64, 64)))
    pictures = embedded(3, 200, dimensions=8, noise=0.6)
    wide = pictures.with_vectors(np.asarray(pictures.vectors @ turned[:8], np.float32))
    rows = {(row["size"], row["by"]): row["recall@1"] for row in sweep(wide, None)}
    assert set(rows) == {(8, "first"), (8, "principal"), (16, "first"), (16, "principal"), (32, "first"),
                         (32, "principal"), (64, "first")}  # fmt: skip
    assert rows[8, "principal"] == pytest.approx(rows[64, "first"], abs=0.01)
    assert rows[8, "first"] < rows[8, "principal"] - 0.05
    directions = principal_directions(wide.vectors)
    np.testing.assert_allclose(directions.T @ directions, np.eye(64), atol=1e-5)


def test_search_is_exact_where_it_says_so_and_gains_by_effort() -> None:
    """The exact index finds itself; approximate ones find most, and more with more effort; a GPU is used or refused."""
    pictures = embedded(0, 2000, labels=50, dimensions=32)
    speeds = {speed.index + speed.device: speed for speed in measure_search(pictures.vectors[:200], pictures.vectors)}
    assert speeds["exactcpu"].ten_nearest == 1.0
    efforts = [speeds[f"HNSW32, efSearch {effort}cpu"].ten_nearest for effort in (16, 64, 256)]
    assert efforts == sorted(efforts)
    assert efforts[-1] > 0.98
    cells = [speed.ten_nearest for speed in speeds.values() if speed.index.startswith("IVF")]
    assert cells == sorted(cells)
    assert 0.1 < cells[0] < cells[-1]
    gpu = [speed for speed in speeds.values() if speed.device == "gpu"]
    assert len(gpu) == 1
    assert gpu[0].ten_nearest == 1.0 or "GPU" in gpu[0].skipped


def test_search_by_pytorch_is_exact() -> None:
    """What a GPU without FAISS's GPU build runs, here on the processor."""
    pictures = embedded(1, 300)
    found = torch_search(pictures.vectors, "cpu")(pictures.vectors[:20], 5)
    expected = np.argsort(-(pictures.vectors[:20] @ pictures.vectors.T), axis=1)[:, :5]
    np.testing.assert_array_equal(found, expected)


def test_a_page_shows_failures_first_and_says_right_or_wrong_in_words(tmp_path: Path) -> None:
    """Not by colour alone; text is escaped; pictures are inside."""
    pictures = embedded(2, 80, noise=2.0)
    found = retrieval(pictures, pictures)
    rows = retrieval_rows(found, pictures, pictures, 3, 2)
    assert len(rows) == 5
    assert [row[1].right for row in rows] == [False, False, False, True, True]
    assert all("asked" in row[0].caption for row in rows)
    path = tmp_path / "deep" / "page.html"
    write_page(path, "A <test>", "note", [[Shown(np.zeros((40, 300, 3), np.uint8), "a & b", True)], *rows])
    text = path.read_text()
    assert "A &lt;test&gt;" in text
    assert "right: a &amp; b" in text
    assert text.count("data:image/jpeg;base64,") == 1
    assert "wrong: " in text


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["shelfhelp-evaluate", "retrieval", *arguments])
    with pytest.raises(SystemExit) as stop:
        evaluate_main()
    return int(stop.value.code or 0)


def test_a_file_of_embeddings_gives_the_whole_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON, tables, plots and page; what is printed is what is written."""
    pictures = embedded(4, 300, labels=30, noise=0.7)
    np.savez(tmp_path / "mine.npz", embeddings=pictures.vectors * 3, labels=pictures.labels)
    arguments = ["--embeddings", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "out")]
    assert run(arguments, monkeypatch) == 0
    printed = json.loads(capsys.readouterr().out)
    (test,) = json.loads((tmp_path / "out" / "retrieval.json").read_text())["tests"]
    assert {"test_set": "mine.npz", **test["figures"]} == printed
    assert printed["recall@1"] == pytest.approx(retrieval(pictures, pictures).recall, abs=1e-4)
    assert {"recall@10", "recall@100", "mAP", "MAP@R", "R-precision", "AUROC"} <= set(printed)
    assert "recall@1000" not in printed
    assert printed["recall@1 low"] <= printed["recall@1"] <= printed["recall@1 high"]
    assert len(test["classes"]) == 30
    text = (tmp_path / "out" / "retrieval.md").read_text()
    assert f"| recall@1 | {printed['recall@1']:.4f} |" in text
    assert re.search(r"\| exact \| cpu \| [\d.]+ \| [\d.]+ \| [\d.]+ \| 1.0000 \| 1.0000 \|", text)
    for name in ("recall", "accepts", "classes", "sizes", "search"):
        assert cv2.imread(str(tmp_path / "out" / f"{name}.png")).std() > 5
    assert (tmp_path / "out" / "gallery.html").is_file()


def test_an_encoder_on_folders_of_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The robot's encoder, from its ONNX, finds drawn packs again among packshots."""
    for product in make_products(0, 6, near_duplicates=0.0):
        face = draw_face(product, 120)
        for folder, picture in (("asked", face[4:-4, 4:-4]), ("known", face)):
            (tmp_path / folder / product.id).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / folder / product.id / "1.png"), picture)
    model = Path(__file__).parents[2] / "shelfhelp_ros" / "models" / "encoder.onnx"
    arguments = ["--images", str(tmp_path / "asked"), "--against", str(tmp_path / "known"), "--encoder", str(model)]
    assert run([*arguments, "--output", str(tmp_path / "out"), "--no-speed", "--no-sizes"], monkeypatch) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["recall@1"] == 1.0
    assert printed["gallery"] == 6
    assert (tmp_path / "out" / "gallery.html").read_text().count("data:image/jpeg") >= 6


def test_labels_come_from_the_file_a_table_or_the_folders(tmp_path: Path) -> None:
    """In this order; none of them is one clear line."""
    vectors = np.eye(3, dtype=np.float32)
    paths = ["photos/a/1.jpg", "photos/a/2.jpg", "photos/b/1.jpg"]
    np.savez(tmp_path / "folders.npz", embeddings=vectors, paths=paths)
    assert read_embeddings(tmp_path / "folders.npz").labels.tolist() == ["a", "a", "b"]
    np.savez(tmp_path / "own.npz", embeddings=vectors, products=["x", "y", "z"], photos=["1", "1", "2"])
    own = read_embeddings(tmp_path / "own.npz")
    assert (own.labels.tolist(), own.photos.tolist()) == (["x", "y", "z"], ["1", "1", "2"])
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{path},{n}\n" for n, path in enumerate(paths)))
    assert read_embeddings(tmp_path / "folders.npz", table).labels.tolist() == ["0", "1", "2"]
    table.write_text("path,label\nelsewhere.jpg,a\n")
    with pytest.raises(ShelfHelpError, match=r"no label for photos/a/1\.jpg"):
        read_embeddings(tmp_path / "folders.npz", table)
    np.savez(tmp_path / "bare.npz", embeddings=vectors)
    with pytest.raises(ShelfHelpError, match="--labels"):
        read_embeddings(tmp_path / "bare.npz")


@pytest.mark.parametrize(
    ("array", "said"),
    [({"vectors": np.eye(2)}, "embeddings"), ({"embeddings": np.full((2, 2), np.nan)}, "finite")],
)
def test_a_wrong_file_is_one_clear_line(array: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    """What is missing is named."""
    np.savez(tmp_path / "wrong.npz", **array)
    with pytest.raises(ShelfHelpError, match=said):
        read_embeddings(tmp_path / "wrong.npz")


def test_questions_without_answers_are_refused(tmp_path: Path) -> None:
    """Other names on the two sides are a mistake, not a recall of nothing; so are vectors of two networks."""
    one, other = embedded(0, 10), embedded(0, 12, dimensions=8)
    with pytest.raises(ShelfHelpError, match="different lengths"):
        report("test", one, other)
    strangers = Embedded(one.vectors, np.char.add("other ", one.labels), one.photos)
    with pytest.raises(ShelfHelpError, match="no query has an answer"):
        report("test", one, strangers)
    (tmp_path / "file").write_text("")
    with pytest.raises(ShelfHelpError, match="--output"):
        write([report("test", one, None, False, False)], tmp_path / "file" / "below", "command")


def test_the_command_wants_one_thing_to_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """None, or two, is one clear line."""
    assert run([], monkeypatch) == 1
    assert "one of --config, --images and --embeddings" in capsys.readouterr().err
