"""``shelfhelp demo``: the closed loop in simulation, over ROS, with a report."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shelfhelp_ros.cli.assist import require_ros
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.layout import LAYOUTS

if TYPE_CHECKING:
    from shelfhelp_ros.simulation.recording import Utterance


@click.command(name="demo")
@click.option("--seed", default=3, show_default=True, help="Another seed is another shelf.")
@click.option("--product", default="", help="Part of the name to ask for.  [default: one without look-alikes]")
@click.option("--layout", default="normal", show_default=True, type=click.Choice(list(LAYOUTS)), help="Kind of shelf.")
@click.option("--rate", default=3.0, show_default=True, help="Frames a second of the simulated camera.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds after which the search is given up.")
@click.option("--confirm", default="", help="How sure to be before it is named: cautious, balanced or eager.")
@click.option("--speech", default="", help="speech-dispatcher, espeak-ng or text.  [default: the first that works]")
@click.option("--models", type=click.Path(path_type=Path), help="Folder with the networks.")
@click.option(
    "--output", default="output/demo", show_default=True, type=click.Path(path_type=Path), help="Folder of the report."
)
def command(
    seed: int,
    product: str,
    layout: str,
    rate: float,
    timeout: float,
    confirm: str,
    speech: str,
    models: Path | None,
    output: Path,
) -> None:
    """Find a product on a simulated shelf.

    Starts a simulated camera and the assistant over real ROS 2, enrols a product from a photo of its pack, asks for it
    through the service, and lets a simulated hand follow what is spoken until it touches the product. Prints what was
    spoken and writes a report with a video, plots and figures. The exit status is 0 when the hand touches the right
    product.

    \b
    Examples:
      shelfhelp demo
      shelfhelp demo --seed 3 --layout dense
    """
    require_ros()
    from shelfhelp_ros.benchmark.figures import commit, machine
    from shelfhelp_ros.nodes.episode import EpisodeSettings, run_episode
    from shelfhelp_ros.simulation.report import write_report

    def tell(line: str) -> None:
        click.echo(line, err=True)

    def hear(said: Utterance) -> None:
        click.echo(f"{said.seconds:6.1f} s  {said.phase:<9}  {said.text}")

    with tempfile.TemporaryDirectory(prefix="shelfhelp-demo-") as folder:
        settings = EpisodeSettings(
            Path(folder), seed, product, layout, rate, timeout=timeout, models=models, speech=speech, confirm=confirm
        )
        recording = run_episode(settings, tell, hear)
    recording.facts |= {"machine": machine(), "commit": commit()}
    report = write_report(recording, output)
    click.echo(f"\nOutcome: {recording.outcome} ({recording.touched or 'nothing'} touched)")
    click.echo(json.dumps(recording.figures()))
    click.echo(f"Report: {report}")
    if recording.outcome != "done":
        raise ShelfHelpError(f"the hand did not reach {recording.product}; the report shows what happened")
