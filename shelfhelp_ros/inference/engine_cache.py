"""Engines on disk: found by what they are made of, checked before use, built once however many processes ask.

An engine is two files: ``NAME-KEY.engine``, and ``NAME-KEY.json`` that says what it is. The second is written last, and
holds the first one's SHA-256: an engine that was cut off or damaged is built again by whoever finds it so. Of an engine
that was refused for its numbers there is only ``NAME-KEY.refused``: no start builds it to refuse it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.engine_recipe import Recipe, recipe_key
from shelfhelp_ros.inference.progress import tell

FOLDER_VARIABLE = "SHELFHELP_ENGINES"
# Of one network this many engines stay, the last used ones: two precisions, each with the one before.
KEPT = 4
# A build takes minutes on a Jetson; whoever waits longer for another process has found a stuck one.
LOCK_SECONDS = 3600.0


@dataclass(frozen=True)
class Engine:
    """An engine in the cache. ``notes`` is what its builder found out: parity with ONNX Runtime, the network's card."""

    path: Path
    facts: dict[str, Any]
    notes: dict[str, Any]
    built_at: str

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size


class RefusedError(ShelfHelpError):
    """An engine was built, and does not compute what it should; to build the same again would not help."""


@dataclass(frozen=True)
class Refusal:
    """What is remembered of an engine that was refused."""

    path: Path
    facts: dict[str, Any]
    reason: str
    refused_at: str

    @property
    def name(self) -> str:
        return str(self.facts["name"])


@dataclass(frozen=True)
class Product:
    """What a builder hands to the cache."""

    engine: bytes
    notes: dict[str, Any]
    timing_cache: bytes = b""


# Given the timing cache so far, builds an engine; raises ShelfHelpError when it cannot be built or may not be used.
Builder = Callable[[bytes], Product]
Loaded = TypeVar("Loaded")


def default_engine_folder() -> Path:
    """The folder named by SHELFHELP_ENGINES, else ``shelfhelp/engines`` in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    caches = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named).expanduser()
    return (Path(caches) if caches else Path.home() / ".cache") / "shelfhelp" / "engines"


class EngineCache:
    """A folder of engines, safe for several processes."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_engine_folder() if folder is None else folder

    def get(self, recipe: Recipe, build: Builder, load: Callable[[bytes], Loaded]) -> tuple[Engine, Loaded]:
        """The engine of a recipe, and what ``load`` makes of its bytes.

        It is built only when it is not there, is damaged, or ``load`` raises ShelfHelpError. Raises ShelfHelpError when
        the folder cannot be written, a new engine does not load either, and what ``build`` raises: a RefusedError also
        from then on, without building.
        """
        facts = {"name": recipe.name, **recipe.facts()}
        path = self.folder / f"{recipe.name}-{recipe_key(facts)[:32]}.engine"
        if (found := self._usable(path, facts, load)) is not None:
            return found
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                # Another process may have built it while this one waited.
                if (found := self._usable(path, facts, load)) is not None:
                    return found
                _raise_if_refused(path)
                timing = self.folder / f"timing-{recipe_key({k: facts[k] for k in _TIMED})[:16]}.cache"
                product = _build(path, facts, build, _read(timing))
                loaded = load(product.engine)
                self._write(path, facts, product, timing)
        except Timeout as error:
            raise ShelfHelpError(
                f"another process has been building {path.name} for {LOCK_SECONDS / 60:.0f} minutes; end it"
            ) from error
        except OSError as error:
            raise ShelfHelpError(
                f"engines cannot be kept in {self.folder} ({error.strerror or error}); name another folder: "
                f"export {FOLDER_VARIABLE}=FOLDER"
            ) from error
        self.prune(recipe.name)
        return self._read_entry(path.with_suffix(".json")), loaded

    def list(self) -> list[Engine]:
        """Every complete engine, by name, the last used one of each first."""
        entries = [self._read_entry(path) for path in self._entries()]
        return sorted(entries, key=lambda engine: (engine.name, -engine.path.stat().st_mtime))

    def refusals(self) -> Sequence[Refusal]:
        """Every engine that was refused, by name."""
        found = (_parse_refusal(path) for path in sorted(self.folder.glob("*.refused")))
        return [refusal for refusal in found if refusal is not None]

    def prune(self, name: str, kept: int = KEPT) -> int:
        """Remove the engines of a network beyond the ``kept`` last used ones; returns how many were removed."""
        old = [engine for engine in self.list() if engine.name == name][kept:]
        for engine in old:
            _remove(engine.path)
        return len(old)

    def clear(self) -> int:
        """Remove every engine, the timing caches, halves of engines and what is remembered of refused ones.

        Returns how many engines there were.
        """
        count = len(list(self.folder.glob("*.engine")))
        for path in (path for kind in ("engine", "json", "refused") for path in self.folder.glob(f"*.{kind}")):
            _remove(path.with_suffix(".engine"))
        for path in self.folder.glob("timing-*.cache"):
            path.unlink(missing_ok=True)
        return count

    def _entries(self) -> Iterator[Path]:
        for path in sorted(self.folder.glob("*.json")):
            if path.with_suffix(".engine").is_file() and _parse(path) is not None:
                yield path

    def _usable(
        self, path: Path, facts: dict[str, Any], load: Callable[[bytes], Loaded]
    ) -> tuple[Engine, Loaded] | None:
        """The engine at ``path`` if it is whole, is what the facts say, and loads."""
        raw, content = _parse(path.with_suffix(".json")), _read(path)
        if raw is None or not content:
            return None
        try:
            if raw["facts"] != json.loads(json.dumps(facts)):
                raise ShelfHelpError("its description is another one's")
            if hashlib.sha256(content).hexdigest() != raw["engine_sha256"]:
                raise ShelfHelpError("it is damaged")
            loaded = load(content)
        except ShelfHelpError as error:
            tell(f"{path.name} is built again: {error}")
            return None
        _touch(path)
        return self._read_entry(path.with_suffix(".json")), loaded

    def _write(self, path: Path, facts: dict[str, Any], product: Product, timing: Path) -> None:
        described = {
            "facts": facts,
            "notes": product.notes,
            "built_at": _now(),
            "engine_sha256": hashlib.sha256(product.engine).hexdigest(),
        }
        _write_whole(path, product.engine)
        _write_json(path.with_suffix(".json"), described)
        if product.timing_cache:
            _write_whole(timing, product.timing_cache)

    def _read_entry(self, path: Path) -> Engine:
        raw = _parse(path)
        if raw is None:
            raise ShelfHelpError(f"{path} was removed or damaged while it was read; run this again")
        return Engine(path.with_suffix(".engine"), raw["facts"], raw["notes"], raw["built_at"])


# Timings hold for a GPU and a TensorRT, whatever network they were taken for.
_TIMED = ("library", "compute_capability", "device")


def _build(path: Path, facts: dict[str, Any], build: Builder, timing_cache: bytes) -> Product:
    """What ``build`` gives; a refusal is remembered beside where the engine would be."""
    try:
        return build(timing_cache)
    except RefusedError as error:
        _write_json(_refusal_path(path), {"facts": facts, "reason": str(error), "refused_at": _now()})
        raise


def _refusal_path(engine: Path) -> Path:
    return engine.with_suffix(".refused")


def _raise_if_refused(engine: Path) -> None:
    if (refusal := _parse_refusal(_refusal_path(engine))) is not None:
        raise RefusedError(f"{refusal.reason} (`shelfhelp engines clear` has it tried again)")


def _parse_refusal(path: Path) -> Refusal | None:
    """What is remembered of a refused engine; None when the file is missing or no such file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Refusal(path, {**raw["facts"]}, str(raw["reason"]), str(raw["refused_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else builds the engine at ``path`` while the block runs. Raises Timeout where that takes too long."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"waiting for another process that is building {path.name}")
        lock.acquire(timeout=LOCK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _parse(path: Path) -> dict[str, Any] | None:
    """What an engine's JSON file says; None when it is missing or no such file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        wanted = {"facts": dict, "notes": dict, "built_at": str, "engine_sha256": str}
        complete = all(isinstance(raw[key], kind) for key, kind in wanted.items()) and raw["facts"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return raw if complete else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all, also when the power fails."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            os.replace(draft.name, path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _touch(path: Path) -> None:
    """Note that an engine was used. In a folder that is read only nothing is pruned either."""
    with contextlib.suppress(OSError):
        path.touch()


def _remove(engine: Path) -> None:
    for path in (engine.with_suffix(".json"), engine, _refusal_path(engine), engine.with_suffix(".lock")):
        path.unlink(missing_ok=True)
