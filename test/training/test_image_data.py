"""Pictures decoded once and read in batches: the right ones, repeatable, resumable, shared among processes."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("pytorch_lightning", reason="pytorch-lightning comes with the extra 'training'")

from hypothesis import given
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data import pixel_store
from shelfhelp_training.data.crop_sources import CropSource, load_crops, stream_crops
from shelfhelp_training.data.image_data import EpochBatches, ImageData, InOrder
from shelfhelp_training.data.pixel_store import fingerprint, load_store

LABELS = np.repeat(np.arange(12), [3, 9, 1, 6, 6, 6, 6, 6, 6, 6, 6, 6])


@given(st.sampled_from([1, 2, 3]), st.integers(1, 12), st.integers(1, 4), st.integers(0, 5))
def test_every_batch_holds_k_of_each_of_p_classes(per_class: int, classes: int, replicas: int, epoch: int) -> None:
    """Exactly, in every process, and no batch is two processes'."""
    seen = []
    for rank in range(replicas):
        batches = EpochBatches(LABELS, per_class * classes, per_class, batches=3, seed=4, replicas=replicas, rank=rank)
        batches.set_epoch(epoch)
        found = list(batches)
        assert len(found) == len(batches) == 3
        for batch in found:
            counts = Counter(LABELS[batch].tolist())
            assert len(counts) == classes
            assert set(counts.values()) == {per_class}
        seen += found
    assert len(seen) == 3 * replicas


@given(st.integers(1, 20), st.integers(1, 3), st.integers(0, 5))
def test_a_shuffled_epoch_shows_no_picture_twice(batch_size: int, replicas: int, epoch: int) -> None:
    """What is left out is less than one batch of every process."""
    shown: list[int] = []
    for rank in range(replicas):
        batches = EpochBatches(LABELS, batch_size, seed=1, replicas=replicas, rank=rank)
        batches.set_epoch(epoch)
        assert all(len(batch) == batch_size for batch in batches)
        shown += [row for batch in batches for row in batch]
    assert len(shown) == len(set(shown)) > len(LABELS) - batch_size * replicas


def test_an_epoch_is_always_the_same_and_no_other() -> None:
    """A resumed training goes on with the batches it would have had."""
    batches = EpochBatches(LABELS, 10, seed=1)
    first = list(batches)
    batches.set_epoch(1)
    second = list(batches)
    batches.set_epoch(0)
    assert list(batches) == first != second


def test_weights_say_how_often_a_row_comes() -> None:
    """Rows of weight nought never, others by their share."""
    weights = np.where(LABELS < 6, 0.0, np.where(LABELS < 9, 1.0, 3.0))
    shown = LABELS[[row for batch in EpochBatches(LABELS, 30, weights=weights, batches=100) for row in batch]]
    assert shown.min() >= 6
    assert (shown >= 9).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("batch_size", "per_class", "words"),
    [(100, None, "too few for batches"), (10, 4, "cannot hold 4"), (30, 2, "too few for 15 a batch")],
)
def test_impossible_batches_are_refused(batch_size: int, per_class: int | None, words: str) -> None:
    """One line that says which number to change."""
    with pytest.raises(ShelfHelpError, match=words):
        EpochBatches(LABELS, batch_size, per_class, batches=None if per_class is None else 1)


def test_in_order_shows_everything_once() -> None:
    """Measuring leaves nothing out, the last short batch included."""
    assert [row for batch in InOrder(range(17), 5) for row in batch] == list(range(17))


def test_a_sample_is_spread_over_all_pictures(folder: Path) -> None:
    """The first pictures alone would be of the first products alone."""
    data = ImageData([SHOP], size=8, batch_size=2, cache=None, root=folder)
    data.setup("fit")
    assert [row for batch in data.plain_loader("train", 3) for row in batch["index"].tolist()] == [0, 6, 11]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three products with four photographs each, every one of its own grey."""
    root = tmp_path_factory.mktemp("products")
    for number in range(12):
        path = root / "shop" / f"p{number // 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((30, 20, 3), 10 * number, np.uint8))
    return root


SHOP = CropSource("folders", "shop", "shop")


def test_batches_hold_the_pictures_and_their_names(folder: Path, tmp_path: Path) -> None:
    """The middle of each picture is its grey, its label its product, its index its row; the sides are padding."""
    data = ImageData([SHOP], size=24, batch_size=6, cache=tmp_path, root=folder)
    data.prepare_data()
    data.setup("fit")
    assert data.class_names == ["shop/p0", "shop/p1", "shop/p2"]
    seen = {}
    for batch in data.train_dataloader():
        assert batch["images"].shape == (6, 3, 24, 24)
        for image, label, index in zip(batch["images"], batch["labels"].tolist(), batch["index"].tolist(), strict=True):
            seen[index] = (int(image[0, 12, 12]), label, int(image[0, 12, 0]))
    assert len(seen) == 12
    assert {edge for _, _, edge in seen.values()} == {114}
    photos = [data.parts["train"].rows[index].photo for index in sorted(seen)]
    assert [seen[index][0] for index in sorted(seen)] == [10 * int(photo) for photo in photos]
    assert [seen[index][1] for index in sorted(seen)] == [int(photo) // 4 for photo in photos]


def test_unknown_products_are_numbered_after_the_known(folder: Path) -> None:
    """Held-out classes never take a label of training; families can be the labels; stretched pictures have no edge."""
    train = CropSource("folders", "shop", "shop", only=("p1",))
    other = CropSource("folders", "shop", "shop", only=("p0", "p1"))
    data = ImageData([train], validate=[other], size=8, batch_size=2, cache=None, root=folder, fit="stretch",
                     refuse_shared=False)  # fmt: skip
    data.setup("validate")
    assert data.num_classes == 1
    assert sorted(set(data.parts["validate"].labels.tolist())) == [0, 1]
    assert [len(batch["labels"]) for batch in data.val_dataloader()] == [2] * 4
    assert int(next(iter(data.plain_loader("train")))["images"][0, 0, 4, 0]) == 40
    assert data.test_dataloader() == []
    drawn = CropSource("drawn", "d", count=8, seed=3)
    families = ImageData([drawn], size=16, batch_size=2, cache=None, labels="family")
    families.setup("fit")
    assert families.num_classes < 8


def test_training_on_what_is_held_out_is_refused() -> None:
    """The same invented products on both sides would be no test."""
    drawn = CropSource("drawn", "d", count=4, seed=3)
    with pytest.raises(ShelfHelpError, match="same invented products"):
        ImageData([drawn], validate=[drawn], size=16, batch_size=2, cache=None).setup("fit")


def test_labelled_and_unlabelled_come_together(folder: Path) -> None:
    """An epoch is as long as the larger of the two; the smaller goes round."""
    few = CropSource("folders", "shop", "shop", limit=1)
    data = ImageData([few], unlabelled=[SHOP], size=8, batch_size=3, unlabelled_batch_size=4, cache=None, root=folder)
    data.setup("fit")
    batches = [batch for batch, *_ in data.train_dataloader()]
    assert [(len(b["labelled"]["labels"]), len(b["unlabelled"]["labels"])) for b in batches] == [(3, 4)] * 3


def test_balance_draws_rare_classes_as_often(folder: Path) -> None:
    """A product with one photograph is seen as often as one with four."""
    rare = [CropSource("folders", "shop", "shop", only=("p0",), limit=1), CropSource("folders", "shop", "shop",
            only=("p2",))]  # fmt: skip
    data = ImageData(rare, size=8, batch_size=50, cache=None, root=folder, balanced=True, batches_per_epoch=20)
    data.setup("fit")
    labels = np.concatenate([batch["labels"].numpy() for batch in data.train_dataloader()])
    assert (labels == 0).mean() == pytest.approx(0.5, abs=0.06)


def test_a_cache_is_read_and_not_made_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decoded a second time; another size, another setting or a changed file is another entry."""
    first = load_store(SHOP, folder, 16, cache=tmp_path)
    monkeypatch.setattr(pixel_store, "stream_crops", lambda *_, **__: pytest.fail("decoded again"))
    second = load_store(SHOP, folder, 16, cache=tmp_path)
    assert isinstance(second.pixels, np.memmap)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.rows == second.rows
    names = {
        fingerprint(SHOP, folder, 16, "letterbox"), fingerprint(SHOP, folder, 24, "letterbox"),
        fingerprint(SHOP, folder, 16, "stretch"),
        fingerprint(CropSource("folders", "shop", "shop", limit=1), folder, 16, "letterbox"),
    }  # fmt: skip
    assert len(names) == 4
    file = folder / "shop" / "p0" / "0.png"
    kept, picture = file.stat().st_mtime_ns, file.read_bytes()
    cv2.imwrite(str(file), np.full((31, 20, 3), 7, np.uint8))
    changed = fingerprint(SHOP, folder, 16, "letterbox")
    file.write_bytes(picture)
    assert changed not in names
    assert file.stat().st_mtime_ns != kept
    weighed = CropSource("folders", "shop", "shop", weight=5)
    assert fingerprint(weighed, folder, 16, "letterbox") == fingerprint(SHOP, folder, 16, "letterbox")


def test_an_interrupted_decoding_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the last picture was only half written: the result is that of one go."""
    whole = load_store(SHOP, folder, 16, cache=tmp_path / "whole")

    def interrupted(*arguments: object, skip: int = 0):  # type: ignore[no-untyped-def]
        for number, crop in enumerate(stream_crops(SHOP, folder, skip)):
            if number == 5:
                raise KeyboardInterrupt
            yield crop

    monkeypatch.setattr(pixel_store, "stream_crops", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_store(SHOP, folder, 16, cache=tmp_path)
    part = next(tmp_path.glob("*.pixels.part"))
    part.write_bytes(part.read_bytes()[:-100])
    skipped = []

    def counted(source: CropSource, root: Path, skip: int = 0):  # type: ignore[no-untyped-def]
        skipped.append(skip)
        return stream_crops(source, root, skip)

    monkeypatch.setattr(pixel_store, "stream_crops", counted)
    again = load_store(SHOP, folder, 16, cache=tmp_path)
    assert skipped == [4]
    np.testing.assert_array_equal(again.pixels, whole.pixels)
    assert again.rows == whole.rows
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    """The system refuses to write more: the message says where, why, and that starting again goes on."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(ShelfHelpError, match="free some space and start again") as caught:
            load_store(SHOP, folder, 16, cache=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "after 3 of 768 bytes each" in str(caught.value)
    assert len(load_store(SHOP, folder, 16, cache=tmp_path).rows) == 12


def test_two_processes_make_one_cache(folder: Path, tmp_path: Path) -> None:
    """The second waits for the first instead of writing into its file."""
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=load_store, args=(SHOP, folder, 16, "letterbox", tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=120)
    assert [process.exitcode for process in both] == [0, 0]
    np.testing.assert_array_equal(
        load_store(SHOP, folder, 16, cache=tmp_path).pixels, load_store(SHOP, folder, 16).pixels
    )
    assert not list(tmp_path.glob("*.part"))


def test_photographs_of_drawn_packs_differ_and_repeat() -> None:
    """A fresh clone has something to learn from: several pictures a product, the same ones every time."""
    source = CropSource("drawn", "d", count=3, seed=5, photos=2)
    first, second = load_crops(source, Path()), load_crops(source, Path())
    assert [crop.product for crop in first] == ["d/s5-00000"] * 2 + ["d/s5-00001"] * 2 + ["d/s5-00002"] * 2
    assert len({crop.photo for crop in first}) == 6
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    assert not np.array_equal(first[0].image, first[1].image)
