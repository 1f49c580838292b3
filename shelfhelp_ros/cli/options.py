"""What several subcommands share: their options, and a pass over many pictures that one bad picture does not end."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import cv2
from tqdm import tqdm

from shelfhelp_ros.catalogue.matching import CONFIRM
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.inference.session import BACKENDS
from shelfhelp_ros.sightings import FloatArray, ImageArray

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def model_options(command: Command) -> Command:
    """``--models``, ``--backend`` and ``--threads``."""
    for option in (
        click.option("--threads", type=click.IntRange(min=1), help="Processor threads; every usable core by default."),
        click.option(
            "--backend", type=click.Choice(BACKENDS), default="auto", show_default=True, help="What to run on."
        ),
        click.option("--models", type=PATH, help="Folder of models; SHELFHELP_MODELS or the package's own by default."),
    ):
        command = option(command)
    return command


confirm_option = click.option(
    "--confirm",
    type=click.Choice(CONFIRM),
    default="balanced",
    show_default=True,
    help="How sure to be before the product is named.",
)
catalogue_option = click.option(
    "--catalogue", type=PATH, help="Catalogue file; SHELFHELP_CATALOGUE or the user's data folder by default."
)
tiled_option = click.option(
    "--tiled",
    type=click.FloatRange(min=1),
    default=1,
    show_default=True,
    help="Look again in tiles, with the photo this many times larger: slow, for small products on far shelves.",
)
annotate_option = click.option("--annotate", type=PATH, help="Folder for copies of the pictures with boxes drawn in.")
images_argument = click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE…")


class Pictures:
    """The pictures of a command, one after the other; those that fail are named and counted, the rest goes on."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._failed = 0

    def __iter__(self) -> Iterator[tuple[Path, ImageArray]]:
        for path in progress(self._paths):
            try:
                image = load_image(path)
            except ShelfHelpError as error:
                self._failed += 1
                tqdm.write(f"shelfhelp: {error}", file=sys.stderr)
                continue
            yield path, image

    def require_all(self) -> None:
        """Raise ShelfHelpError when a picture failed; call it when the others are done."""
        if self._failed:
            raise ShelfHelpError(
                f"{self._failed} of {len(self._paths)} pictures could not be read; the others are done"
            )


def progress(paths: Sequence[Path]) -> tqdm[Path]:
    """The paths with a progress bar on standard error, where that is a terminal and there are several."""
    return tqdm(paths, unit="picture", leave=False, disable=None if len(paths) > 3 else True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of standard output."""
    tqdm.write(json.dumps(value, ensure_ascii=False), file=sys.stdout)


def box_json(box: FloatArray) -> list[float]:
    """A box as numbers with a tenth of a pixel."""
    return [round(float(value), 1) for value in box]


class DrawnCopies:
    """A folder of drawn pictures, as JPEG under their sources' names; sources of the same name get numbers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: Counter[str] = Counter()

    def write(self, source: Path, image: ImageArray) -> None:
        """Raises ShelfHelpError when the folder cannot be written."""
        self._names[source.stem] += 1
        count = self._names[source.stem]
        target = self._folder / f"{source.stem}{f'-{count}' if count > 1 else ''}.jpg"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            target.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
        except OSError as error:
            raise ShelfHelpError(f"{target} cannot be written: {error.strerror}; give another folder") from error
