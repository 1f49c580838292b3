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
    """One side of a split: its name and its sources. ``role`` is train, validate, test or queries (of a test set)."""

    name: str
    role: str
    sources: tuple[AnySource, ...]


def crop_files(source: CropSource, root: Path) -> list[Path]:
    """The pictures that a source of crops is cut from; none for drawn packs. ShelfHelpError when it is missing.

    Of photographs with several products, those on which a chosen one has a box.
    """
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
        names = _coco_names(path) if source.kind == "coco" else _yolo_names(path)
        return [p.path for p in pictures if any(_chosen(name, source) for name in names.get(p.path.name, ()))]
    files = sorted(p for p in path.glob("*/*" if source.kind == "folders" else "*") if p.suffix.lower() in PICTURES)
    named = [(file.parent.name if source.kind == "folders" else file.stem, file) for file in files]
    return [file for name, file in named if _chosen(name, source)]


def _chosen(product: str, source: CropSource) -> bool:
    return product not in source.without and (not source.only or product in source.only)


def _coco_names(annotations: Path) -> dict[str, set[str]]:
    """The products on each picture, by the picture's name."""
    raw: Any = json.loads(annotations.read_text(encoding="utf-8"))
    kinds = {kind["id"]: str(kind["name"]) for kind in raw.get("categories", [])}
    files = {image["id"]: Path(image["file_name"]).name for image in raw["images"]}
    names: dict[str, set[str]] = {}
    for annotation in raw["annotations"]:
        names.setdefault(files[annotation["image_id"]], set()).add(kinds.get(annotation.get("category_id"), ""))
    return names


def _yolo_names(folder: Path) -> dict[str, set[str]]:
    """The numbers of the classes on each picture, by the picture's name."""
    labels = {
        file.stem: {line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
        for file in (folder / "labels").glob("*.txt")
    }
    return {file.name: labels.get(file.stem, set()) for file in (folder / "images").glob("*")}


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
    """The parts that a configuration names: of a training (train, validate, test), or of a list of test sets.

    Raises ShelfHelpError when the file is neither.
    """
    try:
        raw: Any = yaml.safe_load(config.read_text(encoding="utf-8"))
        if isinstance(raw, list):
            return [Part(f"queries of {entry['name']}", "queries", _sources(entry["queries"])) for entry in raw]
        # Where a method knows several classes of data, its configuration names one, with its settings below.
        data = raw["data"].get("init_args", raw["data"])
        roles = ["train", *(role for role in ("validate", "test") if role in data)]
        return [Part(f"{role} of {config.name}", role, _sources(data[role])) for role in roles]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ShelfHelpError(f"{config} is no configuration of a training or of test sets: {error!r}") from error


def leaks_of(parts: Sequence[Part], root: Path) -> list[Leak]:
    """Near-duplicates between every training and every held-out part.

    Galleries are not compared: a test leaves out pairs of one photograph by itself.
    """
    known = {
        part: fingerprints([file for source in part.sources for file in files_of(source, root, part.role)])
        for part in parts
    }
    leaks = []
    for first, second in _sides(parts):
        leaks += find_leaks(known[first], known[second], first.name, second.name)
        leaks += _shared_seeds(first, second, root)
    return leaks


def _sides(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    train = [part for part in parts if part.role == "train"]
    return [(a, b) for a in train for b in parts if b.role != "train"]


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
