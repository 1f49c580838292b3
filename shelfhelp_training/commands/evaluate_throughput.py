"""``shelfhelp-evaluate throughput``: pictures a second of a training, of its network alone and of an example."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import torch

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.evaluation.throughput import ALONE, OURS, PEER, Setting, measure
from shelfhelp_training.record import current_commit, machine

DEFAULT = Setting()


@click.command("throughput")
@click.option("--backbone", default=DEFAULT.backbone, show_default=True, help="Network (timm/, torchvision/, …).")
@click.option("--size", default=DEFAULT.size, show_default=True, help="Side of the pictures in pixels.")
@click.option("--batch", default=DEFAULT.batch, show_default=True, help="Pictures of a step, with two views each.")
@click.option("--device", default=None, help="cpu or cuda; without it, cuda where there is one.")
@click.option("--steps", default=DEFAULT.steps, show_default=True, help="Steps of a round.")
@click.option("--rounds", default=DEFAULT.rounds, show_default=True, help="Rounds; the median counts.")
@click.option("--workers", default=DEFAULT.workers, show_default=True, help="Processes that make batches ready.")
@click.option("--threads", default=1, show_default=True, help="Threads of PyTorch on the processor.")
@click.option("--compile/--no-compile", "compiled", default=False, show_default=True, help="torch.compile for ours.")
def command(
    backbone: str,
    size: int,
    batch: int,
    device: str | None,
    steps: int,
    rounds: int,
    workers: int,
    threads: int,
    compiled: bool,
) -> None:
    """How many pictures a second SimCLR takes in.

    Three contenders take turns within one process: the whole pipeline (decoded pictures on disk, views made of whole
    batches, network, loss, optimiser), the same network on random pictures that lie ready, and, where lightly is
    installed, its plain example (PIL pictures, its transforms, a DataLoader) with the same backbone. Printed are JSON
    figures; `pipeline_share` is the first by the second (goal 0.9), `against_example` the first by the third (goal 1).

    \b
    Example:
      shelfhelp-evaluate throughput --backbone resnet18 --size 96 --batch 32
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ShelfHelpError("there is no GPU that PyTorch can use here; take --device cpu")
    if min(size, batch, steps, rounds, threads) < 1 or workers < 0:
        raise ShelfHelpError("sizes, steps, rounds and threads have to be at least 1, workers at least 0")
    torch.set_num_threads(threads)
    setting = Setting(backbone, size, batch, device, steps, rounds, workers, compiled)
    with tempfile.TemporaryDirectory() as folder:
        speeds = {speed.name: speed for speed in measure(setting, Path(folder))}
    print(json.dumps(report(setting, {name: asdict(speed) for name, speed in speeds.items()}), indent=2))


def report(setting: Setting, speeds: dict[str, dict[str, float]]) -> dict[str, object]:
    """Speeds and their ratios, by the clock and by processor time, with what they were measured on."""
    found: dict[str, object] = {"setting": asdict(setting), "machine": machine(), "commit": current_commit()}
    for kind in ("by_clock", "by_processor"):
        of = {name: round(speed[kind], 2) for name, speed in speeds.items()}
        ratios = {"pipeline_share": round(of[OURS] / of[ALONE], 3)}
        if PEER in of:
            ratios["against_example"] = round(of[OURS] / of[PEER], 3)
        found[kind] = {"pictures_a_second": of, **ratios}
    return found
