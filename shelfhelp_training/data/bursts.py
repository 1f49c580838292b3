"""Bursts: photographs taken one after the other of the same scene, which belong on one side of a split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from shelfhelp_training.data.fingerprints import fingerprints, near_duplicates

# Wider than for copies: between two frames the camera moves and something else is held up.
DISTANCE = 16
LIKENESS = 0.8


def find_bursts(paths: Sequence[Path], digits: int = 4, gap: int = 12) -> list[list[Path]]:
    """Groups of photographs that may be of one burst, by name and by look; together they are all of ``paths``.

    Args:
        paths: the photographs.
        digits: how many digits at the end of a name count the frames; what stands before them names the series.
        gap: frames of one series whose numbers differ by no more belong together.
    """
    group = {path: path for path in paths}

    def root(path: Path) -> Path:
        while group[path] != path:
            path = group[path]
        return path

    for one, other in [*_by_name(paths, digits, gap), *_by_look(paths)]:
        first, second = sorted((root(one), root(other)))
        group[second] = first
    bursts: dict[Path, list[Path]] = {}
    for path in sorted(paths):
        bursts.setdefault(root(path), []).append(path)
    return list(bursts.values())


def _by_name(paths: Sequence[Path], digits: int, gap: int) -> list[tuple[Path, Path]]:
    series: dict[str, list[tuple[int, Path]]] = {}
    for path in paths:
        found = re.fullmatch(rf"(.*)(\d{{{digits}}})", path.stem)
        if found:
            series.setdefault(found[1], []).append((int(found[2]), path))
    pairs = []
    for frames in series.values():
        frames.sort()
        pairs += [(a, b) for (i, a), (j, b) in pairwise(frames) if j - i <= gap]
    return pairs


def _by_look(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    known = fingerprints(paths)
    by_absolute = dict(zip(known.paths, dict.fromkeys(paths), strict=True))
    pairs = near_duplicates(known, known, DISTANCE, LIKENESS)
    return [
        (by_absolute[known.paths[pair.first]], by_absolute[known.paths[pair.second]])
        for pair in pairs
        if pair.first < pair.second
    ]


def split_bursts(bursts: Sequence[Sequence[Path]], share: float = 0.25) -> tuple[list[list[str]], list[list[str]]]:
    """Bursts of file stems to train and to test on; the test gets ``share`` of the photographs, spread evenly.

    The same bursts give the same split.
    """
    train: list[list[str]] = []
    test: list[list[str]] = []
    seen = taken = 0
    for burst in bursts:
        stems = [path.stem for path in burst]
        seen += len(stems)
        if taken + len(stems) <= share * seen:
            test.append(stems)
            taken += len(stems)
        else:
            train.append(stems)
    return train, test
