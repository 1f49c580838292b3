"""The FAISS index answers what a plain product of matrices answers, and its file is never trusted blindly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest

from shelfhelp_ros.catalogue.index import Index, index_path
from shelfhelp_ros.catalogue.store import Catalogue, ReferencePhoto
from shelfhelp_ros.perception.encoder import normalise

ENCODER = "a" * 64
DIMENSIONS = 16


def vectors(count: int, seed: int) -> np.ndarray:
    return normalise(np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32))


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue(tmp_path / "c.db") as opened:
        for product in range(6):
            rows = vectors(1 + product % 3, product)
            crop = np.zeros((4, 4, 3), np.uint8)
            opened.add(f"product {product}", [ReferencePhoto(crop, row, None, 0, 0) for row in rows], ENCODER)
        yield opened


def test_search_is_exact(catalogue):
    """The nearest references are those of the full comparison, best first."""
    index = Index.open(catalogue, ENCODER)
    queries = vectors(5, 99)
    found = index.search(queries, 4)
    everything = queries @ index.references.embeddings.T
    np.testing.assert_array_equal(found.rows, np.argsort(-everything, axis=1)[:, :4])
    np.testing.assert_allclose(found.similarities, -np.sort(-everything, axis=1)[:, :4], atol=1e-6)


def test_a_search_takes_one_thread_whoever_asks(catalogue):
    """OpenMP keeps the number of threads for each thread: the perception worker must not wait for FAISS's helpers."""
    index = Index.open(catalogue, ENCODER)

    def threads_after_a_search() -> int:
        faiss.omp_set_num_threads(3)
        index.search(vectors(2, 1), 2)
        return faiss.omp_get_max_threads()

    with ThreadPoolExecutor(1) as other:
        assert other.submit(threads_after_a_search).result() == 1


def test_best_product_without_the_target(catalogue):
    """The best other product is right even when all of the target's photos are nearer."""
    index = Index.open(catalogue, ENCODER)
    target = catalogue.get("product 2").id
    queries = np.concatenate([index.of_product(target), vectors(3, 7)])
    similarity, ids = index.best_product(queries, without=target)
    others = np.array([product != target for product in index.references.product_ids])
    everything = np.where(others, queries @ index.references.embeddings.T, -2)
    np.testing.assert_allclose(similarity, everything.max(axis=1), atol=1e-6)
    assert ids == [index.references.product_ids[row] for row in everything.argmax(axis=1)]
    assert len(index.of_product(target)) == 3


def test_best_products_one_by_one(catalogue):
    """The first is the best one, each product comes once, by its best photo, and the target not at all."""
    index = Index.open(catalogue, ENCODER)
    target, query = catalogue.get("product 2").id, vectors(1, 7)[0]
    found = index.best_products(query, 3, without=target)
    cosines = {product: -2.0 for product in index.references.product_ids if product != target}
    for product, vector in zip(index.references.product_ids, index.references.embeddings, strict=True):
        if product != target:
            cosines[product] = max(cosines[product], float(vector @ query))
    best = sorted(cosines.items(), key=lambda one: -one[1])[:3]
    assert [product for _, product in found] == [product for product, _ in best]
    np.testing.assert_allclose([cosine for cosine, _ in found], [cosine for _, cosine in best], atol=1e-6)


def test_catalogue_of_the_target_alone(tmp_path):
    """With no other product the answer is none, and an empty catalogue has no answer at all."""
    with Catalogue(tmp_path / "c.db") as catalogue:
        assert Index.open(catalogue, ENCODER).best_product(vectors(2, 0))[1] == ["", ""]
        photo = ReferencePhoto(np.zeros((4, 4, 3), np.uint8), vectors(1, 0)[0], None, 0, 0)
        product_id = catalogue.add("Tea", [photo], ENCODER)
        similarity, ids = Index.open(catalogue, ENCODER).best_product(vectors(2, 0), without=product_id)
        assert (similarity.tolist(), ids) == ([-1, -1], ["", ""])
        assert Index.open(catalogue, ENCODER).best_product(np.zeros((0, DIMENSIONS), np.float32))[1] == []
        assert Index.open(catalogue, ENCODER).best_products(vectors(1, 0)[0], 3, without=product_id) == []


def test_file_is_used_and_replaced_when_stale(catalogue):
    """An untouched file is read again; a changed catalogue gets a new one."""
    path = index_path(catalogue.path)
    Index.open(catalogue, ENCODER)
    first = path.read_bytes()
    stamp = path.stat().st_mtime_ns
    Index.open(catalogue, ENCODER)
    assert path.stat().st_mtime_ns == stamp
    catalogue.remove("product 1")
    assert catalogue.get("product 2").id in Index.open(catalogue, ENCODER).best_product(vectors(1, 2))[1]
    assert path.read_bytes() != first


@pytest.mark.parametrize("damage", ["missing", "empty", "junk", "cut", "flipped", "other catalogue"])
def test_bad_file_is_rebuilt(catalogue, damage, tmp_path):
    """Whatever happened to the index file, the answers are right and the file is whole again."""
    expected = Index.open(catalogue, ENCODER).search(vectors(3, 5), 3)
    path = index_path(catalogue.path)
    good = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "other catalogue":
        with Catalogue(tmp_path / "other.db") as other:
            Index.open(other, ENCODER)
        path.write_bytes(index_path(tmp_path / "other.db").read_bytes())
    else:
        flipped = bytes([good[-1] ^ 255])
        path.write_bytes({"empty": b"", "junk": b"\0" * 99, "cut": good[:-9], "flipped": good[:-1] + flipped}[damage])
    again = Index.open(catalogue, ENCODER).search(vectors(3, 5), 3)
    np.testing.assert_array_equal(again.rows, expected.rows)
    assert path.read_bytes() == good


def test_file_that_cannot_be_written(catalogue):
    """Without a place for its file the index works from memory."""
    index_path(catalogue.path).mkdir()
    index = Index.open(catalogue, ENCODER)
    assert len(index) == len(index.references.photo_ids)
    assert not [path for path in catalogue.path.parent.iterdir() if path.is_file() and ".faiss." in path.name]
