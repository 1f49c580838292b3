"""Every method on the same backbone, pictures, steps and seeds: what each gives, run by run, gone on with later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import InputCard
from shelfhelp_training.cli import METHODS
from shelfhelp_training.data.crop_sources import CropSource, load_crops
from shelfhelp_training.data.shelves import data_folder
from shelfhelp_training.evaluation.embedded import embed_crops, retrieval
from shelfhelp_training.methods.backbones import create_backbone
from shelfhelp_training.methods.embedder import INPUT, Embedder, TrainedEncoder, load_trained

_ONE_SHOT = "shelfhelp_training.methods.one_shot.OneShotTraining"
_IMAGES = "shelfhelp_training.data.image_data.ImageData"


@dataclass(frozen=True)
class Benchmark:
    """What a configuration asks for; see config/training/benchmark.yaml."""

    seeds: tuple[int, ...]
    common: Mapping[str, Any]
    datasets: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any]]

    @property
    def runs(self) -> Iterator[Run]:
        for data in self.datasets:
            for method in self.methods:
                yield from (Run(data, method, seed) for seed in self.seeds)


@dataclass(frozen=True)
class Run:
    """One training. ``name`` is that of its folder."""

    data: str
    method: str
    seed: int
    name: str = field(init=False)

    def __post_init__(self) -> None:
        words = f"{self.data} {self.method} {self.seed}".lower()
        object.__setattr__(self, "name", "-".join("".join(c if c.isalnum() else " " for c in words).split()))


def read_benchmark(path: Path, changes: Sequence[str] = ()) -> Benchmark:
    """The benchmark of a file, with ``trainer|model|data.KEY=VALUE`` put in place of what it says for all methods.

    Raises ShelfHelpError.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        common = deepcopy(raw["common"])
        for change in changes:
            key, value = change.split("=", 1)
            part, name = key.split(".", 1)
            common[part][name] = yaml.safe_load(value)
        return Benchmark(tuple(raw["seeds"]), common, raw["datasets"], raw["methods"])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ShelfHelpError(f"{path} is no benchmark of methods ({error!r:.200})") from error


def take(benchmark: Benchmark, run: Run, folder: Path) -> dict[str, Any]:
    """Train and measure one run, or answer with what was measured before with the same settings; before it the run
    whose network it starts from."""
    if earlier := benchmark.methods[run.method].get("start_from"):
        take(benchmark, Run(run.data, earlier, run.seed), folder)
    result = folder / run.name / "result.json"
    settings = _settings(benchmark, run, folder)
    if result.is_file():
        known: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        if known["settings"] == settings:
            return known
    shutil.rmtree(folder / run.name, ignore_errors=True)
    (folder / run.name).mkdir(parents=True)
    trained = _train(benchmark, run, settings, folder)
    crops = load_crops(CropSource(**benchmark.datasets[run.data]["test"]), data_folder())
    vectors = embed_crops(crops, trained.encoder())
    found = retrieval(vectors, vectors)
    figures = {"recall@1": found.recall, "mAP@R": found.mean_precision, "queries": len(found.queries)}
    measured = {"data": run.data, "method": run.method, "seed": run.seed, **figures, "settings": settings}
    unfinished = result.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(measured, indent=2), encoding="utf-8")
    unfinished.rename(result)
    return measured


def _train(benchmark: Benchmark, run: Run, settings: Mapping[str, Any], folder: Path) -> TrainedEncoder:
    model, method = benchmark.common["model"], benchmark.methods[run.method].get("method")
    if method is None:
        torch.manual_seed(run.seed)
        backbone = create_backbone(model["backbone"], model["pretrained"], model["image_size"]).eval()
        side = backbone.input_size
        shown = InputCard(INPUT, side, side, "letterbox", backbone.mean, backbone.std)
        return TrainedEncoder("untrained", Embedder(backbone, torch.nn.Identity()), shown, backbone.num_features, {})
    from shelfhelp_training.training import TrainingCLI

    config = folder / run.name / "fit.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    arguments = ["fit", "--config", str(config), "--runs", str(folder / run.name), "--name", "run"]
    TrainingCLI(method, METHODS[method], arguments)
    return load_trained([_checkpoint(folder, run)])


def _checkpoint(folder: Path, run: Run) -> Path:
    return folder / run.name / "last.ckpt"


def _settings(benchmark: Benchmark, run: Run, folder: Path) -> dict[str, Any]:
    """The configuration of one training; of *untrained* what all have in common."""
    asked, data = benchmark.methods[run.method], benchmark.datasets[run.data]
    model = {**benchmark.common["model"], **asked.get("model", {})}
    if earlier := asked.get("start_from"):
        model["start_from"] = str(_checkpoint(folder, Run(run.data, earlier, run.seed)))
    pictures: dict[str, Any] = {**benchmark.common["data"], "seed": run.seed, "train": [data["train"]]}
    if asked.get("labels") == "some":
        pictures |= {"train": [{**data["train"], **data["labelled"]}], "unlabelled": [data["train"]]}
        pictures |= {"unlabelled_batch_size": pictures["batch_size"], "refuse_shared": False}
    if "per_class" in asked:
        pictures["per_class"] = asked["per_class"]
    if asked.get("method") == "metric":
        model = {"class_path": _ONE_SHOT, "init_args": model}
        pictures = {"class_path": _IMAGES, "init_args": pictures}
    kept = {"dirpath": str(folder / run.name), "filename": "last", "enable_version_counter": False}
    checkpoint = {"class_path": "pytorch_lightning.callbacks.ModelCheckpoint", "init_args": kept}
    return {
        "seed_everything": run.seed,
        "trainer": {**benchmark.common["trainer"], "callbacks": [checkpoint]},
        "model": model,
        "data": pictures,
    }


def as_markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """A row a method, a column a data set: mean and standard deviation of recall@1 over the seeds."""
    data = list(dict.fromkeys(result["data"] for result in results))
    lines = [f"| Method | {' | '.join(data)} |", f"|---|{'---|' * len(data)}"]
    for method in dict.fromkeys(result["method"] for result in results):
        cells = []
        for name in data:
            values = [r["recall@1"] for r in results if (r["method"], r["data"]) == (method, name)]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "–")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)
