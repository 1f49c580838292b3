"""How long FAISS takes to find the nearest vectors, exactly and approximately, and how much the latter misses.

FAISS: Johnson et al., Billion-scale similarity search with GPUs, 2017. HNSW: Malkov and Yashunin, 2016. IVF: vectors in
cells about k-means centres, of which the nearest few are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.sightings import FloatArray

# Neighbours that are asked for, queries that are timed one by one, and queries in all.
NEAREST, SINGLE, MOST_QUERIES = 10, 100, 1000
NEIGHBOURS = 32
EF_SEARCH = (16, 64, 256)
PROBES = (1, 8, 32)
# k-means wants at least so many vectors a cell.
A_CELL = 39
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Speed:
    """One way to search.

    Attributes:
        index: what is searched, and how far.
        device: cpu or gpu.
        build_s: seconds to build the index.
        query_ms: median milliseconds of a query alone.
        batch_ms: milliseconds a query when all come together.
        nearest: share of the queries for which it finds the exact search's nearest vector.
        ten_nearest: share of the exact search's ten nearest that it finds.
        skipped: why it was not measured; the other values mean nothing then.
    """

    index: str
    device: str
    build_s: float = float("nan")
    query_ms: float = float("nan")
    batch_ms: float = float("nan")
    nearest: float = float("nan")
    ten_nearest: float = float("nan")
    skipped: str = ""


Search = Callable[[FloatArray, int], Rows]


def measure_search(queries: FloatArray, gallery: FloatArray, threads: int = 1) -> list[Speed]:
    """Time every index on some of Q×D queries against G×D gallery vectors, all of length one."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        asked = np.ascontiguousarray(queries[:MOST_QUERIES])
        exact = faiss.IndexFlatIP(gallery.shape[1])
        exact.add(gallery)
        truth = _found(exact, asked, min(NEAREST, len(gallery)))
        ways = [("exact", "cpu", _exact), *_hnsw(), *_cells(len(gallery))]
        rows = [_measure(name, device, build, asked, gallery, truth) for name, device, build in ways]
        return [*rows, _on_gpu(asked, gallery, truth)]
    finally:
        faiss.omp_set_num_threads(before)


def _measure(
    name: str, device: str, build: Callable[[FloatArray], Search], asked: FloatArray, gallery: FloatArray, truth: Rows
) -> Speed:
    count = truth.shape[1]
    start = time.perf_counter()
    search = build(gallery)
    built = time.perf_counter() - start
    search(asked[:1], count)
    singles = [_seconds(search, asked[row : row + 1], count) for row in range(min(SINGLE, len(asked)))]
    start = time.perf_counter()
    found = search(asked, count)
    together = time.perf_counter() - start
    shared = [len(set(one.tolist()) & set(other.tolist())) for one, other in zip(found, truth, strict=True)]
    return Speed(
        name,
        device,
        built,
        1000 * float(np.median(singles)),
        1000 * together / len(asked),
        float((found[:, 0] == truth[:, 0]).mean()),
        float(np.mean(shared)) / count,
    )


def _seconds(search: Search, query: FloatArray, count: int) -> float:
    start = time.perf_counter()
    search(query, count)
    return time.perf_counter() - start


def _found(index: Any, queries: FloatArray, count: int) -> Rows:
    _, rows = index.search(queries, count)
    return np.asarray(rows, np.int64)


def _exact(gallery: FloatArray) -> Search:
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    return lambda queries, count: _found(index, queries, count)


def _hnsw() -> Iterator[tuple[str, str, Callable[[FloatArray], Search]]]:
    for effort in EF_SEARCH:

        def build(gallery: FloatArray, effort: int = effort) -> Search:
            index = faiss.IndexHNSWFlat(gallery.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            index.add(gallery)
            index.hnsw.efSearch = effort
            return lambda queries, count: _found(index, queries, count)

        yield f"HNSW{NEIGHBOURS}, efSearch {effort}", "cpu", build


def _cells(count: int) -> Iterator[tuple[str, str, Callable[[FloatArray], Search]]]:
    """IVF with about 4·√N cells, as FAISS advises, as long as there are enough vectors for them."""
    cells = max(1, min(round(4 * np.sqrt(count)), count // A_CELL))
    for probes in sorted({min(probes, cells) for probes in PROBES}):

        def build(gallery: FloatArray, probes: int = probes) -> Search:
            dimensions = gallery.shape[1]
            index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, cells, faiss.METRIC_INNER_PRODUCT)
            index.train(gallery)
            index.add(gallery)
            index.nprobe = probes
            return lambda queries, count: _found(index, queries, count)

        yield f"IVF{cells}, nprobe {probes}", "cpu", build


def _on_gpu(asked: FloatArray, gallery: FloatArray, truth: Rows) -> Speed:
    """Exact search on a GPU: FAISS's, where its GPU build is installed, else PyTorch's matrix product."""
    import torch

    if not torch.cuda.is_available():
        return Speed("exact", "gpu", skipped="PyTorch sees no NVIDIA GPU")
    if hasattr(faiss, "StandardGpuResources"):
        return _measure("exact", "gpu", _faiss_gpu, asked, gallery, truth)
    return _measure("exact (PyTorch)", "gpu", lambda vectors: torch_search(vectors, "cuda"), asked, gallery, truth)


def _faiss_gpu(gallery: FloatArray) -> Search:
    index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, faiss.IndexFlatIP(gallery.shape[1]))
    index.add(gallery)
    return lambda queries, count: _found(index, queries, count)


def torch_search(gallery: FloatArray, device: str) -> Search:
    """Exact search by a product of matrices on a device of PyTorch."""
    import torch

    kept = torch.from_numpy(np.ascontiguousarray(gallery)).to(device)

    def search(queries: FloatArray, count: int) -> Rows:
        likeness = torch.from_numpy(np.ascontiguousarray(queries)).to(device) @ kept.T
        return np.asarray(likeness.topk(count, dim=1).indices.cpu().numpy(), np.int64)

    return search
