"""The pipeline alone, without ROS: milliseconds by stage on prepared frames."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from shelfhelp_ros.benchmark.figures import percentile
from shelfhelp_ros.perception.pipeline import Pipeline
from shelfhelp_ros.sightings import Frame


@dataclass(frozen=True)
class StageTimes:
    """``median_ms`` by stage (``total`` among them); ``products`` is the median number reported a frame."""

    frames: int
    products: int
    median_ms: dict[str, float]
    p95_total_ms: float


def time_stages(pipeline: Pipeline, frames: Sequence[Frame], rounds: int = 3) -> StageTimes:
    """Run the frames through the pipeline, over and over with rising stamps; the first round only warms up."""
    period_ns = 200_000_000
    timings: list[dict[str, float]] = []
    products: list[int] = []
    stamp_ns = time.time_ns()
    for number in range(rounds + 1):
        for frame in tqdm(frames, desc="stages", leave=False):
            stamp_ns += period_ns
            sightings = pipeline.process(dataclasses.replace(frame, stamp_ns=stamp_ns))
            if number:
                timings.append(sightings.timings_ms)
                products.append(len(sightings.products))
    stages = {name for timing in timings for name in timing}
    medians = {name: percentile([timing.get(name, 0.0) for timing in timings], 50) for name in sorted(stages)}
    return StageTimes(
        frames=len(timings),
        products=int(percentile(products, 50)),
        median_ms=medians,
        p95_total_ms=percentile([timing.get("total", 0.0) for timing in timings], 95),
    )
