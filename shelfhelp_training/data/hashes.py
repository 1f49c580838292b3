"""Hashes of what a training learns from: whether two runs saw the same pictures can be told years later."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shelfhelp_ros.inference.card import file_sha256
from shelfhelp_training.data.source_files import AnySource, files_of

Facts = dict[str, Any]


def source_hashes(data: Any) -> dict[str, list[Facts]]:
    """For each role of a data module's sources, and each source: what it is, its number of pictures and their hash.

    Of drawn packs there are no files: number and seed say which they are.
    """
    return {
        role: [_facts(source, data.root, "validate" if role == "test" else role) for source in sources]
        for role, sources in _sources(data).items()
        if sources
    }


def _sources(data: Any) -> dict[str, Sequence[AnySource]]:
    """A data module's sources by their role, however it keeps them."""
    sources = getattr(data, "sources", None)
    if isinstance(sources, dict):
        return sources
    return {role: getattr(data, f"{role}_sources", ()) for role in ("train", "validate")}


def _facts(source: AnySource, root: Path, role: str) -> Facts:
    facts: Facts = {"source": getattr(source, "summary", source.path)}
    files = files_of(source, root, role)
    return {**facts, "pictures": len(files), "sha256": _hash(files)} if files else facts


def _hash(files: Sequence[Path]) -> str:
    """Of the files' names and contents, in whatever order they are given."""
    every = hashlib.sha256()
    for path in tqdm(sorted(files), desc="hashing pictures", unit="picture", mininterval=1, disable=len(files) < 1000):
        every.update(f"{path.name} {file_sha256(path)}\n".encode())
    return every.hexdigest()
