"""``shelfhelp assist``: perception, guidance and speech in one process, beside a camera's ROS 2 topics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.assistant import AssistOptions
    from shelfhelp_ros.nodes.client import AssistantClient
    from shelfhelp_ros.nodes.running import Crew


def assist_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `assist` and `replay` share."""
    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option("--target", "-t", metavar="NAME", help="Product of the catalogue to look for, by name or id."),
            click.option(
                "--reference", "-r", "references", multiple=True, type=path, help="Photo of the product; up to five."
            ),
            click.option(
                "--config", type=path, help="Parameter file of the nodes.  [default: the installed assist.yaml]"
            ),
            click.option(
                "--confirm", default="", help="How sure to be before it is named: cautious, balanced or eager."
            ),
            click.option("--backend", default="", help="What the networks run on: auto, cpu, cuda or tensorrt."),
            click.option("--models", type=path, help="Folder with the networks."),
            click.option("--catalogue", type=path, help="Catalogue file.  [default: your own]"),
            click.option(
                "--speech",
                default="",
                help="speech-dispatcher, espeak-ng, hibari or text.  [default: the first that works]",
            ),
            click.option("--language", default="", help="Of the words and of the voice, such as de.  [default: en]"),
            click.option("--log-level", default="info", show_default=True, help="debug, info, warn, error or fatal."),
        )
    ):
        function = option(function)
    return function


@click.command(name="assist")
@assist_options
@click.option(
    "--camera", default="camera", show_default=True, help="A camera of config/cameras, such a file, or a namespace."
)
@click.option("--image-transport", default="", help="Colour images: raw or compressed.")
@click.option(
    "--hand",
    default="none",
    show_default=True,
    help="What finds the hand: none (another program may publish it), mediapipe or aruco.",
)
@click.option("--speech-rate", default=0, help="Words a minute, 80 to 600.  [default: the voice's own]")
@click.option("--tones", is_flag=True, help="Tones beside the words tell where the product is.")
@click.option("--haptics", is_flag=True, help="Publish what the motors of a wristband do.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Keep the last minute of the camera as a bag in FOLDER whenever a search goes wrong.",
)
@click.option("--use-sim-time", is_flag=True, help="Take the time from /clock.")
def command(
    target: str | None,
    references: tuple[Path, ...],
    log_level: str,
    camera: str,
    image_transport: str,
    hand: str,
    speech_rate: int,
    tones: bool,
    haptics: bool,
    record: Path | None,
    use_sim_time: bool,
    **places: Any,
) -> None:
    """Run the assistant until it is interrupted.

    Listens to a camera's topics over ROS 2, and prints every line as it is spoken. Without --target or --reference
    another program chooses the product, through the service set_target.

    \b
    Examples:
      shelfhelp assist --target "Oat drink vanilla"
      shelfhelp assist --camera realsense --reference front.jpg --reference side.jpg
      shelfhelp assist --hand aruco --target "Oat drink vanilla"
      shelfhelp assist --language de --speech espeak-ng
    """
    options = make_options(
        camera=camera,
        image_transport=image_transport,
        hand=hand,
        speech_rate=speech_rate,
        tones=tones,
        haptics=haptics,
        record=record,
        log_level=log_level,
        use_sim_time=use_sim_time,
        **places,
    )
    photos = read_target(target, references)
    from shelfhelp_ros.nodes.assistant import start_assistant
    from shelfhelp_ros.nodes.client import AssistantClient
    from shelfhelp_ros.nodes.running import Crew, ros, stopped_by_signals

    with ros([]):
        crew = Crew()
        with stopped_by_signals(crew):
            try:
                start_assistant(crew, options, on_spoken=lambda said: write_line(said.text, crew))
                if target or photos:
                    choose(crew.add(AssistantClient()), target, photos)
                else:
                    click.echo("No product is chosen yet: call the service set_target, or use --target.", err=True)
                status = crew.wait()
            finally:
                crew.close()
    if status:
        raise ShelfHelpError("the assistant ended because of an internal error; its log is above")


def write_line(text: str, crew: Crew) -> None:
    """Print what is spoken; a reader that goes away ends the assistant."""
    try:
        click.echo(text)
    except OSError:
        crew.stop()


def make_options(**given: Any) -> AssistOptions:
    """The options of the nodes. Raises ShelfHelpError when ROS 2 or the interfaces are not installed."""
    require_ros()
    from shelfhelp_ros.nodes.assistant import AssistOptions

    return AssistOptions(**given)


def require_ros() -> None:
    """Raise ShelfHelpError that says what to do unless rclpy and shelfhelp_interfaces import."""
    import importlib

    for module, advice in (
        ("rclpy", "source a ROS 2 installation, or run `make setup` to install its wheels"),
        ("shelfhelp_interfaces.msg", "build shelfhelp_interfaces with `make setup` or colcon"),
    ):
        try:
            importlib.import_module(module)
        except ImportError as error:
            reason = str(error).splitlines()[0]
            raise ShelfHelpError(f"{module.split('.')[0]} does not import ({reason}); {advice}") from error


def read_target(target: str | None, references: tuple[Path, ...]) -> list[bytes]:
    """The bytes of the reference photos. Raises ShelfHelpError for both a name and photos, and for a bad photo."""
    if target and references:
        raise ShelfHelpError("give the product either by --target NAME or by --reference PHOTO")
    photos = []
    for path in references:
        load_image(path)
        photos.append(path.read_bytes())
    return photos


def choose(client: AssistantClient, target: str | None, photos: list[bytes]) -> None:
    """Set the target through the service, and pass on what it says of the photos."""
    answer = client.set_target(target or "", photos)
    for line in answer.advice:
        click.echo(f"advice: {line}", err=True)
