"""The shipped networks' architectures in eager PyTorch, behind the runtime's own detector and encoder: a peer to time.

``python -m shelfhelp_training.eager FILE.npz`` reads ``image`` and ``boxes`` and prints median milliseconds as JSON:
crop by crop, on the processor, and of ultralytics' YOLO11n where that is installed. With ``cuda`` and ``eager`` or
``torch.compile`` after the file it prints those of every call, crops in batches, on a GPU.
Weights are untrained: they do not change the time.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.methods.detector import ExportedDetector, ProductDetector
from shelfhelp_training.methods.metric import ProductEncoder

Tensor = npt.NDArray[np.float32]


class EagerSession:
    """A PyTorch module as an inference session."""

    backend = "eager PyTorch"
    metadata_card = None

    def __init__(
        self, module: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...], device: str, compiled: bool
    ) -> None:
        self._device = device
        module = module.eval().to(device)
        self._module: Callable[..., Any] = torch.compile(module) if compiled else module
        self.input_names, self.output_names = inputs, outputs

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self._module(*(torch.from_numpy(inputs[name]).to(self._device) for name in self.input_names))
        values = values if isinstance(values, tuple) else (values,)
        return {name: value.cpu().numpy() for name, value in zip(self.output_names, values, strict=True)}


def eager_detector(device: str = "cpu", compiled: bool = False) -> Detector:
    card = load_card(default_model_folder() / "detector.onnx")
    assert card.detection is not None
    module = ExportedDetector(ProductDetector(pretrained=False))
    outputs = (card.detection.boxes, card.detection.scores)
    return Detector(card, EagerSession(module, (card.input.name,), outputs, device, compiled))


def eager_encoder(device: str = "cpu", compiled: bool = False) -> Encoder:
    card = load_card(default_model_folder() / "encoder.onnx")
    assert card.embedding is not None
    module = ProductEncoder(card.embedding.dimensions, pretrained=False)
    return Encoder(card, EagerSession(module, (card.input.name,), (card.embedding.name,), device, compiled))


def usual_detector_ms(image: npt.NDArray[np.uint8]) -> float | None:
    """Median milliseconds of the detector that most camera nodes have: YOLO11n at 640 pixels by ultralytics, from its
    yaml, untrained. None where ultralytics is not installed: its licence, AGPL-3.0, keeps it out of what we depend on.
    """
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    try:
        ultralytics = importlib.import_module("ultralytics")
    except ImportError:
        return None
    model = ultralytics.YOLO("yolo11n.yaml", verbose=False)
    return median_ms(lambda: model.predict(image, imgsz=640, device="cpu", verbose=False))


def median_ms(call: Callable[[], object], rounds: int = 5) -> float:
    """Median milliseconds of a call; the first one only warms up."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times[1:]))


def main(path: Path) -> None:
    with np.load(path) as saved:
        image, boxes = saved["image"], saved["boxes"]
    detector, encoder = eager_detector(), eager_encoder()
    one_by_one = lambda: [encoder.embed_boxes(image, box[None]) for box in boxes]  # noqa: E731
    answer = {"detect_ms": median_ms(lambda: detector.detect(image)), "embed_ms": median_ms(one_by_one)}
    print(json.dumps({**answer, "yolo_ms": usual_detector_ms(image)}))


def main_on_gpu(path: Path, device: str, kind: str) -> None:
    """Print milliseconds of every call by stage, as JSON."""
    from shelfhelp_ros.benchmark.gpu import times

    with np.load(path) as saved:
        image, boxes = saved["image"], saved["boxes"]
    compiled = kind == "torch.compile"
    detector, encoder = eager_detector(device, compiled), eager_encoder(device, compiled)
    stages = {
        "detect": times(lambda: detector.detect(image)),
        f"embed {len(boxes)}": times(lambda: encoder.embed_boxes(image, boxes)),
    }
    print(json.dumps(stages))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main_on_gpu(Path(sys.argv[1]), *sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
