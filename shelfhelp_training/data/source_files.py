"""Which picture files a training or test configuration reads, without decoding them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.boxes import PICTURES, load_coco, load_split, load_yolo
from shelfhelp_training.data.crop_sources import CropSource
from shelfhelp_training.data.fingerprints import fingerprints
from shelfhelp_training.data.leaks import Leak, find_leaks, refuse_leaks
from shelfhelp_training.data.published import LABELLED, chosen_crops
from shelfhelp_training.data.shelves import Source, load_source

AnySource = Source | CropSource


@dataclass(frozen=True, eq=False)
class Part:
    """One side of a split: its name and its sources. ``role`` is train, validate, queries or gallery."""

    name: str
    role: str
    sources: tuple[AnySource, ...]


def crop_files(source: CropSource, root: Path) -> list[Path]:
    """The pictures that a source of crops is cut from; none for drawn packs. ShelfHelpError when it is missing."""
    if source.kind == "drawn":
        return []
    path = Path(source.path) if Path(source.path).exists() else root / source.path
    if not path.exists():
        raise ShelfHelpError(f"{path} does not exist; SHELFHELP_DATA names the folder of photographs; or make it first")
    if source.kind in LABELLED:
        return [c.path for c in chosen_crops(source.kind, path, source.part, source.only, source.without)]
    if source.kind in ("coco", "yolo", "instances"):
        stems = load_split(source.split, source.part) if source.split else None
        pictures = load_coco(path, stems) if source.kind == "coco" else load_yolo(path, stems)
        return [picture.path for picture in pictures]
    files = sorted(p for p in path.glob("*/*" if source.kind == "folders" else "*") if p.suffix.lower() in PICTURES)
    named = [(file.parent.name if source.kind == "folders" else file.stem, file) for file in files]
    return [file for name, file in named if name not in source.without and (not source.only or name in source.only)]


def files_of(source: AnySource, root: Path, role: str) -> list[Path]:
    """The pictures of a source in its role."""
    if isinstance(source, CropSource):
        return crop_files(source, root)
    return [picture.path for picture in load_source(source, root, "train" if role == "train" else "test")]


def invented_seeds(source: AnySource, root: Path) -> dict[int, str]:
    """Seeds of the invented products that a source of crops shows, drawn or on rendered shelves, and what it is."""
    if not isinstance(source, CropSource):
        return {}
    if source.kind == "drawn":
        return {source.seed: f"drawn products of seed {source.seed}"}
    path = Path(source.path) if Path(source.path).exists() else root / source.path
    if source.kind == "coco" and path.is_file():
        facts: Any = json.loads(path.read_text(encoding="utf-8")).get("info") or {}
        if isinstance(facts, dict) and facts.get("description") == "rendered shelves" and not facts.get("packshots"):
            return {int(facts["seed"]): str(path)}
    return {}


def refuse_shared_crops(train: Sequence[CropSource], validate: Sequence[CropSource], root: Path) -> None:
    """ShelfHelpError when a picture, nearly, or an invented product of the training is among those held out."""
    refuse_leaks(
        [file for source in train for file in crop_files(source, root)],
        [file for source in validate for file in crop_files(source, root)],
    )
    shared = _shared_seeds(Part("train", "train", tuple(train)), Part("validate", "validate", tuple(validate)), root)
    if shared:
        raise ShelfHelpError(f"training and validation show the same invented products: {shared[0]}; take another seed")


def read_parts(config: Path) -> list[Part]:
    """The parts that a configuration names: of a training (train, validate), or of a list of test sets.

    Raises ShelfHelpError when the file is neither.
    """
    try:
        raw: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
        if isinstance(raw, list):
            return [
                Part(f"{role} of {entry['name']}", role, _sources(entry[role]))
                for entry in raw
                for role in ("queries", "gallery")
                if entry.get(role)
            ]
        data = raw["data"]
        return [Part(f"{role} of {config.name}", role, _sources(data[role])) for role in ("train", "validate")]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ShelfHelpError(f"{config} is no configuration of a training or of test sets: {error!r}") from error


def leaks_of(parts: Sequence[Part], root: Path) -> list[Leak]:
    """Near-duplicates between every training and every held-out part, and between a test set's queries and gallery."""
    known = {
        part: fingerprints([file for source in part.sources for file in files_of(source, root, part.role)])
        for part in parts
    }
    leaks = []
    for first, second in _sides(parts):
        leaks += find_leaks(known[first], known[second], first.name, second.name)
        if second.role != "gallery":
            leaks += _shared_seeds(first, second, root)
    return leaks


def _sides(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    train = [part for part in parts if part.role == "train"]
    held_out = [part for part in parts if part.role in ("validate", "queries")]
    galleries = {part.name.removeprefix("gallery of "): part for part in parts if part.role == "gallery"}
    own = [(part, galleries.get(part.name.removeprefix("queries of "))) for part in held_out if part.role == "queries"]
    return [(a, b) for a in train for b in held_out] + [(a, b) for a, b in own if b is not None]


def _shared_seeds(first: Part, second: Part, root: Path) -> list[Leak]:
    """Invented products on both sides: the same seed gives the same ones, however many are drawn."""
    seeds = [{k: v for s in part.sources for k, v in invented_seeds(s, root).items()} for part in (first, second)]
    both = sorted(seeds[0].keys() & seeds[1].keys())
    return [Leak(first.name, Path(seeds[0][seed]), second.name, Path(seeds[1][seed]), 0) for seed in both]


def _sources(entries: Sequence[Mapping[str, Any]]) -> tuple[AnySource, ...]:
    """Sources of crops have a name, those of whole pictures have none."""
    return tuple(_known(CropSource, entry) if "name" in entry else _known(Source, entry) for entry in entries)


def _known(kind: type[Any], entry: Mapping[str, Any]) -> Any:
    unknown = set(entry) - {field.name for field in fields(kind)}
    if unknown:
        raise ShelfHelpError(f"a source has no setting {', '.join(sorted(unknown))}")
    return kind(**entry)
