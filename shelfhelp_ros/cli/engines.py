"""``shelfhelp engines``: the TensorRT engines that the networks run as on an NVIDIA GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shelfhelp_ros.cli.options import PATH, print_json
from shelfhelp_ros.errors import ShelfHelpError

if TYPE_CHECKING:
    from shelfhelp_ros.inference.engine_cache import Engine, EngineCache

NETWORKS = {"detector": "detection", "encoder": "embedding"}

folder_option = click.option(
    "--engines", type=PATH, help="Folder of engines; SHELFHELP_ENGINES or the user's cache folder by default."
)


@click.group(name="engines")
def command() -> None:
    """Build, list and remove TensorRT engines.

    An engine is a network made ready for one GPU. The assistant builds what it needs when it starts, which takes
    minutes on a Jetson; `build` does so beforehand. An engine that is there is found in no time.

    \b
    Examples:
      shelfhelp engines build
      shelfhelp engines build --models runs/fp16    # half precision, from `shelfhelp-export precision fp16`
      shelfhelp engines list
      shelfhelp engines clear
    """


@command.command(name="build")
@click.option("--models", type=PATH, help="Folder with detector.onnx and encoder.onnx; the shipped ones by default.")
@click.option(
    "--for",
    "capability",
    metavar="X.Y",
    help="Build for a GPU that is not in this machine, by its compute capability, such as 8.9, to see that the "
    "networks do build. TensorRT for RTX only. What a GPU uses is built where it is.",
)
@folder_option
def build(models: Path | None, capability: str | None, engines: Path | None) -> None:
    """Build the engines of both networks for this machine's GPU, and hold them against ONNX Runtime.

    Prints the engines as JSON, one a line, with how well each network agrees (1 is perfectly).
    """
    from tqdm import tqdm

    from shelfhelp_ros.inference.engine_cache import EngineCache
    from shelfhelp_ros.inference.models import default_model_folder
    from shelfhelp_ros.inference.progress import told_to

    cache, folder = EngineCache(engines), models or default_model_folder()
    require_tensorrt()
    with (
        tqdm(NETWORKS, unit="network", leave=False, disable=None) as names,
        told_to(lambda line: tqdm.write(line, file=sys.stderr)),
    ):
        for name in names:
            build_network(folder / f"{name}.onnx", NETWORKS[name], capability, cache)
    for engine in cache.list():
        print_json({"name": engine.name, **_facts(engine), "parity": engine.notes.get("parity")})


def require_tensorrt() -> None:
    """Raise ShelfHelpError where TensorRT is not installed or does not load."""
    from shelfhelp_ros.inference.tensorrt_library import library_version

    library_version()


def build_network(model: Path, task: str, capability: str | None, cache: EngineCache) -> None:
    """The engines of one network: for this machine's GPU, or for a compute capability without running anything."""
    from shelfhelp_ros.inference.card import load_card
    from shelfhelp_ros.inference.cuda import obstacle
    from shelfhelp_ros.inference.engine_recipe import Gpu
    from shelfhelp_ros.inference.tensorrt_session import TensorRtSession, get_engines

    card = load_card(model)
    if card.task != task:
        raise ShelfHelpError(f"{model} is a model for {card.task}, not for {task}; give another folder with --models")
    if capability is not None:
        gpu = Gpu(f"compute capability {capability}", parse_capability(capability))
        get_engines(model, card, gpu, cache, lambda content, recipe: content, lambda content, recipe: None)
    elif missing := obstacle():
        raise ShelfHelpError(f"engines are built on the GPU they are for, and {missing}; see `shelfhelp doctor`")
    else:
        TensorRtSession(model, cache)


def parse_capability(text: str) -> tuple[int, int]:
    """``8.9`` as (8, 9). Raises ShelfHelpError for anything else."""
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise ShelfHelpError(f"{text!r} is not a compute capability; give it as 8.9")
    return int(major), int(minor)


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@folder_option
def list_engines(as_json: bool, engines: Path | None) -> None:
    """List the engines that are there, and those that were refused because they do not compute what they should."""
    from shelfhelp_ros.inference.engine_cache import EngineCache

    cache = EngineCache(engines)
    found = cache.list()
    for engine in found:
        if as_json:
            print_json({"name": engine.name, **_facts(engine), "parity": engine.notes.get("parity")})
        else:
            click.echo("\t".join([engine.name, f"{engine.bytes / 1e6:.1f} MB", *_columns(engine.facts)]))
    refused = cache.refusals()
    for refusal in refused:
        if as_json:
            print_json({"name": refusal.name, **_known(refusal.facts), "refused": refusal.reason})
        else:
            click.echo("\t".join([refusal.name, "refused", *_columns(refusal.facts), refusal.reason]))
    if not found and not refused:
        click.echo(f"no engines in {cache.folder}", err=True)


@command.command(name="clear")
@folder_option
def clear(engines: Path | None) -> None:
    """Remove every engine; they are built again when they are needed, and those that were refused are tried again."""
    from shelfhelp_ros.inference.engine_cache import EngineCache

    cache = EngineCache(engines)
    removed = cache.clear()
    click.echo(f"removed {removed} engine{'' if removed == 1 else 's'} from {cache.folder}")


def _facts(engine: Engine) -> dict[str, object]:
    return {**_known(engine.facts), "built": engine.built_at, "file": str(engine.path)}


def _known(facts: dict[str, Any]) -> dict[str, object]:
    return {key: facts[key] for key in ("precision", "device", "compute_capability", "library")}


def _columns(facts: dict[str, Any]) -> list[str]:
    return [str(facts[key]) for key in ("precision", "device", "library")]
