"""Engines on disk: one for each recipe, whole or not there, built once, and built again when damaged."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from tiny_models import detector_card, encoder_card

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import engine_cache
from shelfhelp_ros.inference.engine_cache import (
    FOLDER_VARIABLE,
    KEPT,
    EngineCache,
    Product,
    RefusedError,
    default_engine_folder,
)
from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS, Gpu, Profile, Recipe, profiles_for, recipe_key
from shelfhelp_ros.inference.progress import told_to

GPU = Gpu("Orin", (8, 7))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    model = tmp_path / "encoder.onnx"
    model.write_bytes(b"a network")
    return Recipe(model, GPU, "TensorRT 10.3.0", "fp16", ({"crops": Profile((1, 3), (2, 3), (4, 3))},))


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


class Works:
    """Stands for a builder: makes the bytes it is asked for, and counts."""

    def __init__(self, engine: bytes = b"an engine", timing_cache: bytes = b"") -> None:
        self.product = Product(engine, {"parity": 1.0}, timing_cache)
        self.given: list[bytes] = []

    def __call__(self, timing_cache: bytes) -> Product:
        self.given.append(timing_cache)
        return self.product


def test_an_engine_is_built_once(cache: EngineCache, recipe: Recipe) -> None:
    """The second time it comes from the disk, with what was noted about it."""
    works = Works()
    for _ in range(2):
        engine, content = cache.get(recipe, works, bytes)
        assert content == b"an engine"
        assert (engine.name, engine.notes) == ("encoder", {"parity": 1.0})
    assert len(works.given) == 1
    assert [found.path for found in cache.list()] == [engine.path]


def test_whatever_an_engine_is_made_of_is_in_its_key(recipe: Recipe) -> None:
    """Another file, GPU, TensorRT, precision or shape is another engine."""
    wider = ({"crops": Profile((1, 3), (2, 3), (8, 3))},)
    others = [
        dataclasses.replace(recipe, gpu=Gpu("Orin", (8, 6))),
        dataclasses.replace(recipe, gpu=Gpu("Orin Nano", (8, 7))),
        dataclasses.replace(recipe, library="TensorRT 11.0.0"),
        dataclasses.replace(recipe, precision="int8"),
        dataclasses.replace(recipe, profiles=wider),
        dataclasses.replace(recipe, profiles=(*recipe.profiles, *wider)),
    ]
    keys = {recipe_key(each.facts()) for each in [recipe, *others]}
    recipe.model.write_bytes(b"another network")
    assert len(keys | {recipe_key(recipe.facts())}) == len(others) + 2


@pytest.mark.parametrize("damage", ["flipped", "cut off", "empty", "gone", "undescribed", "described by nonsense"])
def test_a_damaged_engine_is_built_again(cache: EngineCache, recipe: Recipe, damage: str) -> None:
    """A power cut or a full disk must not need a person."""
    works = Works()
    path = cache.get(recipe, works, bytes)[0].path
    if damage == "gone":
        path.unlink()
    elif damage == "undescribed":
        path.with_suffix(".json").unlink()
    elif damage == "described by nonsense":
        path.with_suffix(".json").write_text("{}")
    else:
        path.write_bytes({"flipped": b"an Engine", "cut off": b"an eng", "empty": b""}[damage])
    assert cache.get(recipe, works, bytes)[1] == b"an engine"
    assert len(works.given) == 2
    assert path.read_bytes() == b"an engine"


def test_an_engine_that_does_not_load_is_built_again(cache: EngineCache, recipe: Recipe) -> None:
    """A driver that was updated refuses the old engine; one that refuses the new one too is an error, not a loop."""

    def loads_new_ones(content: bytes) -> bytes:
        if content == b"old":
            raise ShelfHelpError("made by another driver")
        return content

    cache.get(recipe, Works(b"old"), bytes)
    assert cache.get(recipe, Works(b"new"), loads_new_ones)[1] == b"new"
    with pytest.raises(ShelfHelpError, match="another driver"):
        EngineCache(cache.folder / "other").get(recipe, Works(b"old"), loads_new_ones)


def test_a_build_that_fails_leaves_nothing(cache: EngineCache, recipe: Recipe) -> None:
    """Memory that was short is there another time: the next one who looks builds."""

    def fail(timing_cache: bytes) -> Product:
        raise ShelfHelpError("no memory left")

    with pytest.raises(ShelfHelpError, match="no memory left"):
        cache.get(recipe, fail, bytes)
    assert cache.list() == []
    assert not list(cache.folder.glob("*.engine"))
    assert cache.get(recipe, Works(), bytes)[1] == b"an engine"


def test_an_engine_that_was_refused_is_not_built_again(cache: EngineCache, recipe: Recipe) -> None:
    """It would be refused again at every start. Another TensorRT's is built, and after a clear this one."""

    def refuse(timing_cache: bytes) -> Product:
        raise RefusedError("agrees to 0.9 only")

    with pytest.raises(RefusedError, match=r"0\.9 only$"):
        cache.get(recipe, refuse, bytes)
    works = Works()
    with pytest.raises(RefusedError, match=r"0\.9 only .*engines clear"):
        cache.get(recipe, works, bytes)
    assert (works.given, cache.list()) == ([], [])
    (refusal,) = cache.refusals()
    assert (refusal.name, refusal.facts["precision"], refusal.reason) == ("encoder", "fp16", "agrees to 0.9 only")
    other = dataclasses.replace(recipe, library="TensorRT 11.0.0")
    assert cache.get(other, works, bytes)[1] == b"an engine"
    cache.clear()
    assert not cache.refusals()
    assert cache.get(recipe, works, bytes)[1] == b"an engine"


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"facts": 1, "reason": "", "refused_at": ""}'])
def test_a_damaged_refusal_is_none(cache: EngineCache, recipe: Recipe, content: str) -> None:
    """Then the engine is built again, as it was before anything was remembered."""
    path = cache.get(recipe, Works(), bytes)[0].path
    cache.clear()
    path.with_suffix(".refused").write_text(content)
    assert not cache.refusals()
    assert cache.get(recipe, Works(), bytes)[1] == b"an engine"


def test_who_waits_for_another_process_says_so(cache: EngineCache, recipe: Recipe) -> None:
    """Once, and then takes what the other one built, or builds; not an hour of silence."""
    path = cache.get(recipe, Works(), bytes)[0].path
    cache.clear()
    other = FileLock(path.with_suffix(".lock"))
    other.acquire()
    said: list[str] = []

    def listen(line: str) -> None:
        said.append(line)
        other.release()

    with told_to(listen):
        assert cache.get(recipe, Works(), bytes)[1] == b"an engine"
    assert said == [f"waiting for another process that is building {path.name}"]


def test_who_waited_for_too_long_is_told_what_to_end(
    cache: EngineCache, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that got stuck is named by what it builds."""
    monkeypatch.setattr(engine_cache, "LOCK_SECONDS", 0.1)
    path = cache.get(recipe, Works(), bytes)[0].path
    cache.clear()
    with FileLock(path.with_suffix(".lock")), pytest.raises(ShelfHelpError, match=rf"{path.name} for .*end it"):
        cache.get(recipe, Works(), bytes)


def test_timings_are_handed_to_the_next_build_on_the_same_gpu(cache: EngineCache, recipe: Recipe) -> None:
    """Most of a build is timing kernels; another precision needs many of the same. Another GPU needs none of them."""
    cache.get(recipe, Works(timing_cache=b"timings"), bytes)
    same = Works(timing_cache=b"more timings")
    cache.get(dataclasses.replace(recipe, precision="int8"), same, bytes)
    other = Works()
    cache.get(dataclasses.replace(recipe, gpu=Gpu("Thor", (11, 0))), other, bytes)
    assert (same.given, other.given) == ([b"timings"], [b""])


def test_old_engines_go(cache: EngineCache, recipe: Recipe) -> None:
    """Of one network the last used stay; those of other networks are nobody's business."""
    for number in range(KEPT + 2):
        cache.get(dataclasses.replace(recipe, library=f"TensorRT {number}"), Works(), bytes)
        if number == 0:
            first = cache.list()[0].path
        else:
            # Used again, long after the others were.
            os.utime(first, (time.time() + 100 * number,) * 2)
    other = recipe.model.with_name("detector.onnx")
    other.write_bytes(b"a network")
    cache.get(dataclasses.replace(recipe, model=other), Works(), bytes)
    names = [engine.name for engine in cache.list()]
    assert (names.count("encoder"), names.count("detector")) == (KEPT, 1)
    assert first in [engine.path for engine in cache.list()]
    assert cache.clear() == KEPT + 1
    assert not list(cache.folder.glob("*.engine"))
    assert not list(cache.folder.glob("*.json"))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, recipe: Recipe) -> None:
    """With the variable that names another one."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ShelfHelpError, match=FOLDER_VARIABLE):
        EngineCache(tmp_path / "file" / "engines").get(recipe, Works(), bytes)


def test_where_engines_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of one's own, else the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert default_engine_folder() == tmp_path / "shelfhelp" / "engines"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert default_engine_folder() == tmp_path / "mine"


def test_profiles_cover_what_is_asked_for() -> None:
    """Each batch of crops, and each zoom of a detector up to its input size on either side."""
    crops = [profile["crops"] for profile in profiles_for(encoder_card())]
    assert [profile.best[0] for profile in crops] == list(BATCH_BUCKETS)
    assert all(profile.least == profile.best == profile.most for profile in crops)
    small, large = (profile["images"] for profile in profiles_for(detector_card(dynamic=True)))
    assert small.takes((1, 3, 128, 160))
    assert not small.takes((1, 3, 480, 640))
    assert all(large.takes((1, 3, *size)) for size in ((480, 640), (640, 480), (640, 640), (32, 640)))
    assert not large.takes((1, 3, 672, 640))
    fixed = profiles_for(detector_card())
    assert [profile["images"].best for profile in fixed] == [(1, 3, 640, 640)]
