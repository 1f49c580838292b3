"""Nearest reference photos, by FAISS. The index is kept in a file beside the catalogue and can always be made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.catalogue.store import Catalogue, References
from shelfhelp_ros.sightings import FloatArray

FORMAT = "shelfhelp-index-1"


@dataclass(frozen=True)
class Neighbours:
    """For N queries their k nearest references: ``similarities`` N×k cosines, best first, and ``rows`` N×k."""

    similarities: FloatArray
    rows: npt.NDArray[np.int64]


class Index:
    """The reference embeddings of one encoder. Exact inner-product search; rows are those of ``references``."""

    def __init__(self, references: References, index: faiss.Index) -> None:
        self.references = references
        self._index = index
        self._product_ids = np.array(references.product_ids, dtype=object)

    @classmethod
    def open(cls, catalogue: Catalogue, encoder: str) -> Index:
        """The index of a catalogue for the encoder with this SHA-256: from its file, or built where that is no use.

        A missing, stale or damaged file is replaced; where it cannot be written the index still works from memory.
        Photos that this encoder has not embedded are not in it: see `Catalogue.embed_missing`.
        """
        references = catalogue.references(encoder)
        identity, generation = references.state
        header = {"format": FORMAT, "catalogue": identity, "generation": generation, "encoder": encoder}
        path = index_path(catalogue.path)
        index = _read(path, header)
        if index is None or index.ntotal != len(references.photo_ids):
            index = _build(references)
            _write(path, header, index)
        return cls(references, index)

    def __len__(self) -> int:
        return len(self.references.photo_ids)

    def search(self, embeddings: FloatArray, count: int) -> Neighbours:
        """The ``count`` references nearest to each of N×D embeddings, fewer when the catalogue is smaller."""
        count = min(count, len(self))
        if count == 0 or len(embeddings) == 0:
            return Neighbours(np.zeros((len(embeddings), 0), np.float32), np.zeros((len(embeddings), 0), np.int64))
        # A catalogue of thousands is searched in under a millisecond; FAISS's threads would only wait for each other,
        # for a hundred milliseconds when the cores are busy with the networks. OpenMP keeps the number for each thread.
        faiss.omp_set_num_threads(1)
        similarities, rows = self._index.search(np.ascontiguousarray(embeddings, np.float32), count)
        return Neighbours(np.asarray(similarities, np.float32), np.asarray(rows, np.int64))

    def best_product(self, embeddings: FloatArray, without: str = "") -> tuple[FloatArray, list[str]]:
        """For each of N×D embeddings the most similar product but ``without``: N cosines (-1: none) and N ids ('')."""
        own = int((self._product_ids == without).sum()) if without else 0
        found = self.search(embeddings, own + 1)
        best = np.full(len(embeddings), -1.0, np.float32)
        ids = [""] * len(embeddings)
        for query, (similarities, rows) in enumerate(zip(found.similarities, found.rows, strict=True)):
            for similarity, row in zip(similarities, rows, strict=True):
                if self._product_ids[row] != without:
                    best[query], ids[query] = similarity, self._product_ids[row]
                    break
        return best, ids

    def best_products(self, embedding: FloatArray, count: int, without: str = "") -> list[tuple[float, str]]:
        """The ``count`` products most similar to one embedding (D,), but for ``without``: cosine and id, best first."""
        found = self.search(embedding[None], len(self))
        best: dict[str, float] = {}
        for similarity, row in zip(found.similarities[0], found.rows[0], strict=True):
            if self._product_ids[row] != without:
                best.setdefault(self._product_ids[row], float(similarity))
            if len(best) == count:
                break
        return [(similarity, product_id) for product_id, similarity in best.items()]

    def of_product(self, product_id: str) -> FloatArray:
        """The reference embeddings of one product, R×D."""
        rows = np.flatnonzero(self._product_ids == product_id)
        return self.references.embeddings[rows]


def index_path(catalogue_path: Path) -> Path:
    """Where the index of a catalogue lies."""
    return catalogue_path.with_suffix(".faiss")


def _build(references: References) -> faiss.Index:
    dimensions = max(1, references.embeddings.shape[1])
    index = faiss.IndexFlatIP(dimensions)
    if len(references.photo_ids):
        index.add(np.ascontiguousarray(references.embeddings))
    return index


def _read(path: Path, header: dict[str, object]) -> faiss.Index | None:
    """The index in a file whose header is this one; FAISS sees the bytes only when their SHA-256 is right."""
    try:
        first, _, payload = path.read_bytes().partition(b"\n")
        if json.loads(first) != {**header, "sha256": hashlib.sha256(payload).hexdigest()}:
            return None
        return faiss.deserialize_index(np.frombuffer(payload, np.uint8))
    except (OSError, ValueError, RuntimeError):
        return None


def _write(path: Path, header: dict[str, object], index: faiss.Index) -> None:
    payload = faiss.serialize_index(index).tobytes()
    first = json.dumps({**header, "sha256": hashlib.sha256(payload).hexdigest()}).encode()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(first + b"\n" + payload)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
