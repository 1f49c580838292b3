"""``shelfhelp embed``: pictures of single products become vectors."""

from __future__ import annotations

import io
from pathlib import Path

import click
import numpy as np

from shelfhelp_ros.cli.options import PATH, Pictures, images_argument, model_options
from shelfhelp_ros.errors import ShelfHelpError


@click.command(name="embed")
@images_argument
@click.option("--output", "-o", type=PATH, required=True, help="The .npz file to write.")
@model_options
def command(images: tuple[Path, ...], output: Path, models: Path | None, backend: str, threads: int | None) -> None:
    """Turn pictures into vectors, each whole picture being one product.

    Writes an .npz file with two arrays: embeddings (N×D float32, length one, so that a dot product is the cosine) and
    paths (N). Pictures that cannot be read are named and left out.

    \b
    Example:
      shelfhelp embed crops/*.png --output crops.npz
    """
    from shelfhelp_ros.perception.encoder import Encoder

    if output.suffix != ".npz":
        raise ShelfHelpError(f"{output} has to end in .npz; give such a name to --output")
    encoder = Encoder.load(models, backend, threads)
    pictures = Pictures(images)
    paths: list[str] = []
    embeddings = [np.zeros((0, encoder.dimensions), np.float32)]
    for path, image in pictures:
        paths.append(str(path))
        embeddings.append(encoder.embed([image]))
    buffer = io.BytesIO()
    np.savez(buffer, embeddings=np.concatenate(embeddings), paths=np.array(paths, dtype=str))
    try:
        output.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ShelfHelpError(f"{output} cannot be written: {error.strerror}; give another path") from error
    click.echo(f"{len(paths)} vectors of {encoder.dimensions} numbers in {output}", err=True)
    pictures.require_all()
