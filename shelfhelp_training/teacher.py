"""What a teacher says of the training pictures, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import file_sha256
from shelfhelp_ros.perception.encoder import Encoder, normalise
from shelfhelp_ros.sightings import FloatArray
from shelfhelp_training.data.image_data import ImageData, Part, PictureBatches
from shelfhelp_training.data.pixel_store import fingerprint, only_one
from shelfhelp_training.methods.embedder import open_encoder

# Pictures of a batch; what is finished is kept batch by batch.
BATCH = 64


def teacher_vectors(teacher: Path, data: ImageData, cache: Path) -> FloatArray:
    """The teacher's vectors of the training pictures, N×D float32 of length one, in the order of their rows.

    A network (checkpoint or ONNX) embeds the pictures as they are in the data, once: the vectors are mapped into
    memory from a file in ``cache`` whose name follows from the hash of the network and the fingerprints of the data,
    and an interrupted run goes on where it stopped. Of several processes one embeds and the others wait.

    Args:
        teacher: checkpoint of any method, an exported ``.onnx`` with its card, or vectors that were computed elsewhere
            (``.npy``, N×D, in the order of the training pictures).
        data: set up.
        cache: folder.

    Raises ShelfHelpError when the file is missing or is not what it has to be.
    """
    if not teacher.is_file():
        raise ShelfHelpError(f"the teacher {teacher} is missing; give a checkpoint, an ONNX file or vectors (.npy)")
    part = data.parts["train"]
    if teacher.suffix == ".npy":
        return _read_vectors(teacher, len(part))
    name = cache_name(teacher, data)
    with only_one(cache, name):
        path = cache / f"{name}.vectors"
        encoder = open_encoder(teacher)
        if not path.is_file():
            _embed(encoder, part, path)
    return np.memmap(path, np.float32, "r", shape=(len(part), encoder.dimensions))


def cache_name(teacher: Path, data: ImageData) -> str:
    """The name of a teacher's vectors: it changes with the network and with whatever the pictures depend on."""
    prints = [fingerprint(source, data.root, data.size, data.fit) for source in data.sources["train"]]
    text = json.dumps([file_sha256(teacher), prints])
    return f"{teacher.stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def class_means(vectors: FloatArray, labels: npt.NDArray[np.int64], classes: int) -> FloatArray:
    """The mean vector of every class, C×D of length one; a class without a picture has zeros."""
    sums = np.zeros((classes, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, np.asarray(vectors))
    return normalise(sums)


def _read_vectors(path: Path, pictures: int) -> FloatArray:
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} holds no vectors; save an N×D array with numpy.save") from error
    if vectors.ndim != 2 or len(vectors) != pictures or not np.isfinite(vectors).all():
        raise ShelfHelpError(
            f"{path} holds an array of shape {vectors.shape}; {pictures} training pictures need a finite vector each"
        )
    return normalise(np.asarray(vectors, np.float32))


def _embed(encoder: Encoder, part: Part, path: Path) -> None:
    """Write all vectors to ``path``; what is written so far has the ending ``.part``."""
    batches, draft = PictureBatches(part), path.with_name(f"{path.name}.part")
    length = 4 * encoder.dimensions
    done = draft.stat().st_size // length if draft.is_file() else 0
    with draft.open("ab") as file:
        os.truncate(draft, done * length)
        with tqdm(total=len(part), initial=done, desc="asking the teacher", unit="picture") as progress:
            for start in range(done, len(part), BATCH):
                rows = range(start, min(start + BATCH, len(part)))
                pictures = batches[rows]["images"].permute(0, 2, 3, 1).flip(3).numpy()
                file.write(encoder.embed([np.ascontiguousarray(picture) for picture in pictures]).tobytes())
                file.flush()
                progress.update(len(rows))
    draft.replace(path)
