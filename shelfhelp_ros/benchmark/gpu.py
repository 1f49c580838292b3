"""Detector and encoder on the GPU of this machine, by what runs them: TensorRT, ONNX Runtime, PyTorch; in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from shelfhelp_ros.benchmark.figures import percentile
from shelfhelp_ros.benchmark.scenes import render_scene
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda
from shelfhelp_ros.inference.session import KINDS
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import ImageArray

Row = dict[str, object]
WARM_UP, ROUNDS = 10, 100
PEERS = ("eager", "torch.compile")


def measure_gpu(models: Path | None, folder: Path, size: tuple[int, int], products: int) -> list[Row]:
    """One row for each runner and stage: p50 and p95 in milliseconds of a frame of that size with so many crops.

    A stage is everything from the picture to boxes or vectors. Raises ShelfHelpError without a usable GPU; a runner
    that is not installed, or that does not run the networks, has a row that says so.
    """
    if missing := cuda.obstacle():
        raise ShelfHelpError(f"`bench --gpu` measures on an NVIDIA GPU, and {missing}; leave out --gpu")
    image = render_scene(*size, products_in_view=products, frames=1).frames[0].image
    boxes = Detector.load(models, "cpu").detect(image).boxes
    rows: list[Row] = []
    for backend in ("tensorrt", "cuda"):
        rows += measure_backend(models, backend, image, boxes)
    return rows + measure_peers(image, boxes, folder)


def measure_backend(models: Path | None, backend: str, image: ImageArray, boxes: np.ndarray) -> list[Row]:
    """The rows of one of our backends: a row a stage, or one that says why there are none."""
    if missing := KINDS[backend].obstacle():
        return [_missing(backend, missing)]
    try:
        return _measure_stages(models, backend, image, boxes)
    except ShelfHelpError as error:
        return [_missing(backend, str(error))]


def _measure_stages(models: Path | None, backend: str, image: ImageArray, boxes: np.ndarray) -> list[Row]:
    detector, encoder = Detector.load(models, backend), Encoder.load(models, backend)
    stages: dict[str, Callable[[], object]] = {
        "detect": lambda: detector.detect(image),
        f"embed {len(boxes)}": lambda: encoder.embed_boxes(image, boxes),
    }
    return [_row(backend, stage, times(call)) for stage, call in stages.items()]


def measure_peers(image: ImageArray, boxes: np.ndarray, folder: Path) -> list[Row]:
    """The same architectures in PyTorch, in a process of its own: the runtime imports no PyTorch."""
    saved = folder / "gpu.npz"
    np.savez(saved, image=image, boxes=boxes)
    rows: list[Row] = []
    for peer in PEERS:
        command = [sys.executable, "-m", "shelfhelp_training.eager", str(saved), "cuda", peer]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            rows.append(_missing(peer, (answer.stderr.strip().splitlines() or ["no reason given"])[-1]))
            continue
        measured = json.loads(answer.stdout.splitlines()[-1])
        rows += [_row(peer, stage, values) for stage, values in measured.items()]
    return rows


def times(call: Callable[[], object]) -> list[float]:
    """Milliseconds of each of many calls, after some to warm up."""
    return list(_times(call))[WARM_UP:]


def _times(call: Callable[[], object]) -> Iterator[float]:
    for _ in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        call()
        yield (time.perf_counter() - began) * 1e3


def _row(runner: str, stage: str, milliseconds: list[float]) -> Row:
    p50, p95 = (percentile(milliseconds, share) for share in (50, 95))
    return {"runner": runner, "stage": stage, "p50 ms": p50, "p95 ms": p95, "remark": ""}


def _missing(runner: str, reason: str) -> Row:
    return {"runner": runner, "stage": "", "p50 ms": "", "p95 ms": "", "remark": reason}
