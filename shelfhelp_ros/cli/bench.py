"""``shelfhelp bench``: speed, latency and memory on this machine, as the tables of docs/benchmarks.md."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from shelfhelp_ros.errors import ShelfHelpError

Row = dict[str, object]
WARM_UP_SECONDS = 3.0
# So often it is looked whether the first answer has come.
FIRST_SECONDS = 0.2
SIZES = {"640x480": (640, 480), "1280x720": (1280, 720)}


@dataclass(frozen=True)
class Run:
    """How one run over ROS is set up; without a name or with 0 threads it is the assistant's own choice."""

    executor: str = ""
    threads: int = 0

    def named(self) -> Row:
        """What was chosen, as columns of the table."""
        return {name: value for name, value in asdict(self).items() if value}

    def configuration(self, folder: Path) -> Path:
        """The assistant's configuration with so many threads, in ``folder``."""
        from shelfhelp_ros.resources import config_folder

        values = yaml.safe_load((config_folder() / "assist.yaml").read_text(encoding="utf-8"))
        values["/**/perception"]["ros__parameters"]["threads"] = self.threads
        path = folder / f"threads-{self.threads}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path


@click.command(name="bench")
@click.option("--size", "sizes", multiple=True, type=click.Choice(list(SIZES)), help="Image sizes.  [default: all]")
@click.option("--products", "counts", multiple=True, type=int, help="Products in view.  [default: 10 30 100]")
@click.option("--seconds", default=12.0, show_default=True, help="How long each case is measured over ROS.")
@click.option("--rate", default=15.0, show_default=True, help="Frames a second that the camera publishes.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder with the networks.")
@click.option("--ros/--no-ros", default=True, help="Measure over ROS 2, from image stamp to answer.")
@click.option(
    "--executor",
    "executors",
    multiple=True,
    type=click.Choice(("single", "multi", "events")),
    help="What spins the nodes; several take turns.  [default: single]",
)
@click.option(
    "--threads",
    "threads",
    multiple=True,
    type=click.IntRange(1, 256),
    help="Processor threads for each network; several take turns.  [default: every core]",
)
@click.option("--repeats", default=1, show_default=True, type=click.IntRange(1, 20), help="Rounds over ROS, in turn.")
@click.option("--peer/--no-peer", default=True, help="Measure the same networks in eager PyTorch, crop by crop.")
@click.option("--gpu", is_flag=True, help="Measure the networks on an NVIDIA GPU instead: TensorRT against its peers.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def command(
    sizes: tuple[str, ...],
    counts: tuple[int, ...],
    seconds: float,
    rate: float,
    models: Path | None,
    ros: bool,
    executors: tuple[str, ...],
    threads: tuple[int, ...],
    repeats: int,
    peer: bool,
    gpu: bool,
    json_file: Path | None,
) -> None:
    """Measure this machine and print the tables as Markdown.

    Renders shelves with 10, 30 and 100 products in view, times the pipeline by stage, then the whole graph over ROS 2
    with the assistant in a process of its own, and the same networks in eager PyTorch where that is installed.

    \b
    Examples:
      shelfhelp bench
      shelfhelp bench --size 640x480 --products 30 --no-peer
      shelfhelp bench --size 640x480 --products 30 --executor events --executor multi --repeats 3
      shelfhelp bench --size 640x480 --products 30 --threads 1 --threads 2 --repeats 3    # which `threads` to set
      shelfhelp bench --gpu --size 640x480 --products 30    # p50 and p95: TensorRT, ONNX Runtime CUDA, PyTorch
    """
    from shelfhelp_ros.benchmark.figures import commit, machine, markdown_table

    facts = {"machine": machine(), "commit": commit(), "command": "shelfhelp " + " ".join(sys.argv[1:])}
    cases = [(size, count) for size in (sizes or tuple(SIZES)) for count in (counts or (10, 30, 100))]
    tables: dict[str, list[Row]] = {"stages": [], "ros": [], "peer": [], "gpu": []}
    with tempfile.TemporaryDirectory(prefix="shelfhelp-bench-") as folder:
        for size, count in cases:
            click.echo(f"{size}, {count} products: rendering and measuring", err=True)
            if gpu:
                from shelfhelp_ros.benchmark.gpu import measure_gpu

                found = measure_gpu(models, Path(folder), SIZES[size], count)
                tables["gpu"] += [{"size": size, "in view": count, **row} for row in found]
                continue
            chosen = itertools.product(executors or ("",), threads or (0,))
            runs = [Run(*one) for one in chosen] * repeats if ros else []
            measured = measure_case(size, count, models, Path(folder), seconds, rate, runs, peer)
            for name, rows in measured.items():
                tables[name] += rows
    for key, value in facts.items():
        click.echo(f"- {key}: {value}")
    for name, title in (
        ("stages", "Pipeline alone, milliseconds a frame (median)"),
        ("ros", "Over ROS 2, from image stamp (ms)"),
        ("peer", "The same networks in eager PyTorch, crop by crop"),
        ("gpu", "The networks on the GPU, milliseconds a frame"),
    ):
        if tables[name]:
            click.echo(f"\n### {title}\n\n{markdown_table(tables[name])}")
    if json_file is not None:
        json_file.write_text(json.dumps({**facts, **tables}, indent=2) + "\n", encoding="utf-8")


def measure_case(
    size: str,
    count: int,
    models: Path | None,
    folder: Path,
    seconds: float,
    rate: float,
    runs: list[Run],
    peer: bool,
) -> dict[str, list[Row]]:
    """The rows of one case: `stages`, `ros` with one for each of ``runs``, and `peer` when asked for and possible."""
    from shelfhelp_ros.benchmark.scenes import render_scene
    from shelfhelp_ros.benchmark.stages import time_stages
    from shelfhelp_ros.catalogue.enrolment import enrol
    from shelfhelp_ros.catalogue.store import Catalogue
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_ros.perception.pipeline import DETECTOR_RUN, ENCODER_RUN, Pipeline
    from shelfhelp_ros.simulation.packs import draw_faces

    scene = render_scene(*SIZES[size], products_in_view=count)
    path = folder / f"{size}-{count}.db"
    detector, encoder = Detector.load(models), Encoder.load(models)
    with Catalogue(path) as catalogue:
        for product in (scene.target, *scene.others[:9]):
            enrol(catalogue, detector, encoder, product.name, draw_faces(product))
        pipeline = Pipeline(detector, encoder, catalogue)
        pipeline.set_target(catalogue.get(scene.target.name).id)
        stages = time_stages(pipeline, scene.frames)
    case: Row = {"size": size, "in view": scene.in_view}
    total = stages.median_ms.get("total", float("nan"))
    alone: Row = {
        **case,
        "reported": stages.products,
        **{name: value for name, value in stages.median_ms.items() if name not in ("total", DETECTOR_RUN, ENCODER_RUN)},
        "total": total,
        "total p95": stages.p95_total_ms,
        "frames/s": round(1000 / total, 1),
    }
    rows: dict[str, list[Row]] = {"stages": [alone], "ros": []}
    for run in runs:
        answers = measure_ros(scene.frames, scene.target.name, path, models, seconds, rate, folder, run)
        rows["ros"].append({**case, **run.named(), **answers})
    if peer:
        rows["peer"] = [{**case, **row} for row in measure_peer(scene.frames[0].image, detector, encoder, folder)]
    return rows


def measure_ros(
    frames: Any,
    target: str,
    catalogue: Path,
    models: Path | None,
    seconds: float,
    rate: float,
    folder: Path,
    run: Run,
) -> Row:
    """Publish the frames to an assistant in another process, and time its answers.

    ``framework`` is what lies between stamp and answer besides waiting for the frame before and the pipeline's own
    time: ROS both ways, and conversion. ``processor`` is the assistant's processor time for an update, in milliseconds:
    other work on the machine changes it least.
    """
    from shelfhelp_ros.benchmark.figures import peak_memory_mb, percentile, processor_seconds
    from shelfhelp_ros.cli.assist import require_ros

    require_ros()
    from shelfhelp_ros.nodes.latency_probe import LatencyProbe
    from shelfhelp_ros.nodes.processes import assist_command, private_domain, require_alive, running
    from shelfhelp_ros.nodes.running import EXECUTOR_VARIABLE, ros

    os.environ.update(private_domain())
    os.environ[EXECUTOR_VARIABLE] = run.executor
    command = assist_command("--catalogue", str(catalogue), "--target", target, "--speech", "text")
    command += ["--models", str(models)] if models else []
    command += ["--config", str(run.configuration(folder))] if run.threads else []
    log = folder / "assistant.log"
    with running(command, log, together=True) as process, ros([]):
        probe = LatencyProbe(frames)
        try:
            began = time.monotonic()
            while not probe.run(FIRST_SECONDS, rate).target_ms:
                require_alive(process, "the assistant", log)
                if time.monotonic() - began > 60:
                    raise ShelfHelpError(f"the assistant sent no target within a minute; see {log.read_text()[-300:]}")
            first = time.monotonic() - began
            probe.run(WARM_UP_SECONDS, rate)
            spent = processor_seconds(process.pid)
            answers = probe.run(seconds, rate)
            spent = processor_seconds(process.pid) - spent
            memory = peak_memory_mb(process.pid)
        finally:
            probe.destroy_node()
    wait, pipeline = answers.stage_ms("wait"), answers.stage_ms("total")
    return {
        "updates/s": round(len(answers.target_ms) / answers.seconds, 1),
        "target p50": percentile(answers.target_ms, 50),
        "target p95": percentile(answers.target_ms, 95),
        "wait": round(wait, 1),
        "pipeline": round(pipeline, 1),
        "framework": round(float(np.mean(answers.target_ms)) - wait - pipeline, 1),
        "processor": round(1e3 * spent / max(1, len(answers.target_ms)), 1),
        "instruction p50": percentile(answers.instruction_ms, 50),
        "instruction p95": percentile(answers.instruction_ms, 95),
        "start to first target s": round(first, 1),
        "peak memory MB": memory,
    }


def measure_peer(image: Any, detector: Any, encoder: Any, folder: Path) -> list[Row]:
    """One frame with all its crops: ours in batches against eager PyTorch crop by crop, with the same detector and with
    YOLO11n; no row without PyTorch."""
    boxes = detector.detect(image).boxes
    detect_ms = _median_ms(lambda: detector.detect(image))
    embed_ms = _median_ms(lambda: encoder.embed_boxes(image, boxes))
    saved = folder / "peer.npz"
    np.savez(saved, image=image, boxes=boxes)
    answer = subprocess.run(
        [sys.executable, "-m", "shelfhelp_training.eager", str(saved)], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        click.echo(f"no comparison with eager PyTorch: {reason}", err=True)
        return []
    theirs = json.loads(answer.stdout.strip().splitlines()[-1])
    ours, peer = detect_ms + embed_ms, theirs["detect_ms"] + theirs["embed_ms"]
    row: Row = {
        "crops": len(boxes),
        "ours detect": round(detect_ms, 1),
        "ours embed": round(embed_ms, 1),
        "eager detect": round(theirs["detect_ms"], 1),
        "eager embed": round(theirs["embed_ms"], 1),
        "eager ÷ ours": round(peer / ours, 2),
    }
    if theirs["yolo_ms"] is None:
        click.echo("no comparison with YOLO11n: pip install ultralytics (AGPL-3.0; only to compare)", err=True)
    else:
        row["YOLO11n detect"] = round(theirs["yolo_ms"], 1)
        row["(YOLO11n + eager embed) ÷ ours"] = round((theirs["yolo_ms"] + theirs["embed_ms"]) / ours, 2)
    return [row]


def _median_ms(call: Callable[[], object], rounds: int = 7) -> float:
    """Median milliseconds of a call; the first one only warms up."""
    return float(np.median(list(_times(call, rounds))[1:]))


def _times(call: Callable[[], object], rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        yield (time.perf_counter() - start) * 1000
