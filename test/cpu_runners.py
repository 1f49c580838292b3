"""The shipped networks on this processor: ONNX Runtime, and OpenVINO in 32 bits and as it chooses, by threads.

    pip install openvino    # only to compare
    python test/cpu_runners.py

Prints a table: milliseconds of a look at a rendered shelf of 30 products at 640x480 and of eight of its crops, by the
clock and of processor time, and how near the vectors are to those of ONNX Runtime.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from tqdm import tqdm

from shelfhelp_ros.benchmark.figures import commit, machine, markdown_table, percentile
from shelfhelp_ros.benchmark.scenes import render_scene
from shelfhelp_ros.inference.session import usable_cores
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.resources import PACKAGE

WARM_UP, ROUNDS, CROPS = 4, 40, 8
# None: OpenVINO's own choice, bfloat16 where the processor has instructions for it.
PRECISIONS = {"OpenVINO": None, "OpenVINO, 32 bits": "f32"}


class OpenVinoSession:
    """A network in OpenVINO, behind the protocol of `shelfhelp_ros.inference.session`."""

    backend = "openvino"
    metadata_card = None

    def __init__(self, model: Path, threads: int, precision: str | None) -> None:
        options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        if precision:
            options["INFERENCE_PRECISION_HINT"] = precision
        self._compiled = openvino.Core().compile_model(str(model), "CPU", options)
        self._request = self._compiled.create_infer_request()
        self.input_names = tuple(entry.any_name for entry in self._compiled.inputs)
        self.output_names = tuple(entry.any_name for entry in self._compiled.outputs)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        found = self._request.infer(dict(inputs))
        return {name: np.array(found[self._compiled.output(name)]) for name in self.output_names}


def runners() -> Iterator[tuple[str, int, Detector, Encoder]]:
    """Every way to run the two networks."""
    folder = PACKAGE / "models"
    for threads in sorted({1, usable_cores()}):
        detector, encoder = Detector.load(None, "cpu", threads), Encoder.load(None, "cpu", threads)
        yield "ONNX Runtime", threads, detector, encoder
        for name, precision in PRECISIONS.items():
            sessions = [
                OpenVinoSession(folder / f"{kind}.onnx", threads, precision) for kind in ("detector", "encoder")
            ]
            yield name, threads, Detector(detector.card, sessions[0]), Encoder(encoder.card, sessions[1])


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of a call by the clock, and mean milliseconds of processor time."""
    for _ in range(WARM_UP):
        call()
    clock, processor = [], time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        clock.append((time.perf_counter() - began) * 1e3)
    return percentile(clock, 50), round((time.process_time() - processor) / ROUNDS * 1e3, 1)


def main() -> None:
    image = render_scene(640, 480, products_in_view=30, frames=1).frames[0].image
    boxes = Detector.load(None, "cpu").detect(image).boxes[:CROPS]
    wanted = Encoder.load(None, "cpu").embed_boxes(image, boxes)
    rows: list[dict[str, object]] = []
    for name, threads, detector, encoder in tqdm(list(runners()), desc="runners"):
        look, look_processor = timed(lambda detector=detector: detector.detect(image))
        crops, crops_processor = timed(lambda encoder=encoder: encoder.embed_boxes(image, boxes))
        cosine = float((encoder.embed_boxes(image, boxes) * wanted).sum(axis=1).min())
        rows.append(
            {
                "runner": name,
                "threads": threads,
                "detect, ms": look,
                "… processor": look_processor,
                f"embed {CROPS}, ms": crops,
                "… processor ": crops_processor,
                "least cosine": f"{cosine:.4f}",
            }
        )
    print(f"- machine: {machine()}\n- commit: {commit()}\n- OpenVINO {openvino.__version__}\n\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()
