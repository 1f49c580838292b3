"""The shipped networks' architectures in eager PyTorch, behind the runtime's own detector and encoder: a peer to time.

``python -m shelfhelp_training.eager FILE.npz`` reads ``image`` and ``boxes`` and prints median milliseconds as JSON.
Weights are untrained: they do not change the time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

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

    def __init__(self, module: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self._module = module.eval()
        self.input_names, self.output_names = inputs, outputs

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self._module(*(torch.from_numpy(inputs[name]) for name in self.input_names))
        values = values if isinstance(values, tuple) else (values,)
        return {name: value.numpy() for name, value in zip(self.output_names, values, strict=True)}


def eager_detector() -> Detector:
    card = load_card(default_model_folder() / "detector.onnx")
    assert card.detection is not None
    module = ExportedDetector(ProductDetector(pretrained=False))
    return Detector(card, EagerSession(module, (card.input.name,), (card.detection.boxes, card.detection.scores)))


def eager_encoder() -> Encoder:
    card = load_card(default_model_folder() / "encoder.onnx")
    assert card.embedding is not None
    module = ProductEncoder(card.embedding.dimensions, pretrained=False)
    return Encoder(card, EagerSession(module, (card.input.name,), (card.embedding.name,)))


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
    print(json.dumps({"detect_ms": median_ms(lambda: detector.detect(image)), "embed_ms": median_ms(one_by_one)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
