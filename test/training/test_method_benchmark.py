"""The benchmark of the methods: fair settings for all, finished runs kept, a table that says what came of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.cli import METHODS
from shelfhelp_training.evaluation import method_benchmark
from shelfhelp_training.evaluation.method_benchmark import Run, as_markdown, read_benchmark, take

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "benchmark.yaml"
SMALL = {
    "seeds": [0],
    "common": {
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "limit_val_batches": 0,
        },
        "model": {"backbone": "test_resnet", "pretrained": False, "image_size": 32, "learning_rate": 0.003},
        "data": {"size": 36, "batch_size": 12, "batches_per_epoch": 2},
    },
    "datasets": {
        "packs": {
            "train": {"kind": "drawn", "name": "seen", "count": 6, "seed": 1, "photos": 4},
            "test": {"kind": "drawn", "name": "unseen", "count": 6, "seed": 2, "photos": 2},
            "labelled": {"limit": 2},
        }
    },
    "methods": {
        "untrained": {},
        "simclr": {"method": "simclr", "model": {"optimiser": "adamw", "hidden": 16, "dimensions": 8}},
        "classifier": {"method": "classifier", "start_from": "simclr"},
        "triplet": {"method": "metric", "per_class": 3, "model": {"loss": "soft_triplet", "dimensions": 16}},
    },
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "benchmark.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    return path


def test_the_shipped_benchmark_covers_the_methods_and_is_fair() -> None:
    """Every method on crops is there, and none has another backbone, picture size, step count or batch."""
    benchmark = read_benchmark(SHIPPED)
    used = {asked.get("method") for asked in benchmark.methods.values()} - {None}
    assert used == set(METHODS) - {"detector", "retinanet", "clip"}
    for asked in benchmark.methods.values():
        assert not {"backbone", "image_size", "pretrained", "warm_up"} & set(asked.get("model", {}))
        assert not {"trainer", "data"} & set(asked)
    assert len(benchmark.seeds) == 3
    names = [run.name for run in benchmark.runs]
    assert len(set(names)) == len(names) == 3 * len(benchmark.datasets) * len(benchmark.methods)


def test_runs_are_trained_measured_and_kept(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method trains for real; a finished run is not trained again, one with other settings is."""
    monkeypatch.chdir(tmp_path)
    benchmark = read_benchmark(small)
    results = [take(benchmark, run, tmp_path / "runs") for run in benchmark.runs]
    assert {result["method"] for result in results} == set(SMALL["methods"])
    assert all(0 <= result["recall@1"] <= 1 and result["queries"] == 12 for result in results)
    started = next(result for result in results if result["method"] == "classifier")
    assert started["settings"]["model"]["start_from"].endswith("packs-simclr-0/last.ckpt")

    trained = []
    monkeypatch.setattr(method_benchmark, "_train", lambda *arguments: trained.append(arguments) or 1 / 0)
    assert [take(benchmark, run, tmp_path / "runs") for run in benchmark.runs] == results
    assert not trained
    longer = read_benchmark(small, ["trainer.max_epochs=2"])
    with pytest.raises(ZeroDivisionError):
        take(longer, Run("packs", "simclr", 0), tmp_path / "runs")
    assert trained


def test_the_table() -> None:
    """Mean and deviation over seeds; what was not measured is left open."""
    results = [
        {"data": "a", "method": "simclr", "recall@1": 0.5},
        {"data": "a", "method": "simclr", "recall@1": 0.7},
        {"data": "b", "method": "byol", "recall@1": 0.25},
    ]
    assert as_markdown(results).splitlines()[2:] == [
        "| simclr | 0.600 ± 0.100 | – |",
        "| byol | – | 0.250 ± 0.000 |",
    ]


@pytest.mark.parametrize("text", ["", "seeds: [0]", "[]"])
def test_a_file_that_is_no_benchmark(tmp_path: Path, text: str) -> None:
    """One sentence instead of a traceback."""
    (tmp_path / "b.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="no benchmark of methods"):
        read_benchmark(tmp_path / "b.yaml")
