"""What a classifier says of pictures whose classes are known: from a file of logits, or from a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import FloatArray, ImageArray
from shelfhelp_training.data.boxes import PICTURES
from shelfhelp_training.evaluation.classification import Classification, classification
from shelfhelp_training.evaluation.gallery_page import Shown
from shelfhelp_training.evaluation.retrieval import interval

# Pictures that are decoded and named at a time.
BATCH = 32
# A class among so many most likely ones.
TOP = 5


@dataclass(frozen=True, eq=False)
class NamedPictures:
    """``logits`` N×C of N pictures, ``truth`` (N) the numbers of their classes among the C ``classes``.

    ``paths`` are the N files, where they are known.
    """

    logits: FloatArray
    truth: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    paths: Sequence[Path] = field(default=())

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """The number of the likeliest class of each picture."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    def classification(self) -> Classification:
        return classification(self.truth, self.called, self.classes)


def figures(named: NamedPictures) -> dict[str, float]:
    """The figures of `Classification`, the interval (95 %, bootstrapped over pictures) of accuracy and of balanced
    accuracy (over the pictures of each class), and how often the class is among the five likeliest."""
    right = named.called == named.truth
    pictures = [str(row) for row in range(len(right))]
    values: dict[str, float] = {"pictures": float(len(right)), "classes": float(len(named.classes))}
    values |= named.classification().figures()
    values["accuracy_low"], values["accuracy_high"] = interval(right, pictures)
    values["balanced_accuracy_low"], values["balanced_accuracy_high"] = _balanced_interval(right, named.truth)
    if len(named.classes) > TOP:
        better = (named.logits > named.logits[np.arange(len(right)), named.truth][:, None]).sum(axis=1)
        values[f"accuracy_top{TOP}"] = float((better < TOP).mean())
    return values


def _balanced_interval(
    right: npt.NDArray[np.bool_], truth: npt.NDArray[np.int64], draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean over classes of the share of right ones, drawing each class's pictures anew."""
    rng = np.random.default_rng(seed)
    means = []
    for number in np.unique(truth):
        of_class = right[truth == number]
        means.append(rng.binomial(len(of_class), of_class.mean(), draws) / len(of_class))
    low, high = np.quantile(np.mean(means, axis=0), [0.025, 0.975])
    return float(low), float(high)


def read_logits(path: Path) -> NamedPictures:
    """The ``.npz`` of a classifier's answers: ``logits`` (N×C; probabilities will do), ``labels`` (N, numbers or names)
    and, unless labels are numbers and names do not matter, ``classes`` (C names); ``paths`` (N) if at hand.

    Raises ShelfHelpError when something is missing or does not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        logits, labels = np.asarray(found["logits"], np.float32), found["labels"]
    except (OSError, KeyError, ValueError) as error:
        raise ShelfHelpError(f"{path} is not a file of logits (.npz with logits N×C and labels N): {error}") from error
    if logits.ndim != 2 or len(logits) != len(labels) or not len(logits) or not np.isfinite(logits).all():
        raise ShelfHelpError(f"{path} needs finite logits N×C and N labels, not {logits.shape} and {labels.shape}")
    classes = tuple(str(name) for name in found.get("classes", np.arange(logits.shape[1])))
    if len(classes) != logits.shape[1]:
        raise ShelfHelpError(f"{path} names {len(classes)} classes and has logits of {logits.shape[1]}")
    paths = [Path(str(p)) for p in found["paths"]] if "paths" in found else []
    if np.issubdtype(labels.dtype, np.integer):
        if labels.min() < 0 or labels.max() >= len(classes):
            raise ShelfHelpError(f"{path} has labels beyond its {len(classes)} classes")
        return NamedPictures(logits, labels.astype(np.int64), classes, paths)
    return NamedPictures(logits, numbers_of([str(name) for name in labels], classes), classes, paths)


def numbers_of(names: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """The numbers of classes by name, with or without the source that a training puts before it (``drawn/milk``).

    Raises ShelfHelpError for a name that is no class.
    """
    known = {name.partition("/")[2] or name: number for number, name in enumerate(classes)}
    known |= {name: number for number, name in enumerate(classes)}
    missing = sorted({name for name in names if name not in known})
    if missing:
        raise ShelfHelpError(
            f"{missing[0]} is none of the classifier's {len(classes)} classes ({', '.join(list(classes)[:5])} …)"
        )
    return np.array([known[name] for name in names], np.int64)


def name_folder(
    folder: Path, classes: tuple[str, ...], logits: Callable[[Sequence[ImageArray]], FloatArray]
) -> NamedPictures:
    """Let a classifier name a folder that has a folder of pictures for each class.

    Raises ShelfHelpError when there are no pictures, or a folder is named like no class.
    """
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in PICTURES)
    if not paths:
        raise ShelfHelpError(f"{folder} holds no pictures; it needs a folder of pictures for each class")
    truth = numbers_of([path.parent.name for path in paths], classes)
    parts = []
    with tqdm(total=len(paths), desc="naming", unit="picture") as bar:
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            parts.append(logits([load_image(path) for path in batch]))
            bar.update(len(batch))
    return NamedPictures(np.concatenate(parts), truth, classes, paths)


def page_rows(named: NamedPictures, worst: int, right: int, in_row: int = 6) -> list[list[Shown]]:
    """Pictures for a page, the surest mistakes first, then some right ones; none where the files are not known."""
    if not named.paths:
        return []
    exp = np.exp(named.logits - named.logits.max(axis=1, keepdims=True))
    sure = (exp / exp.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = named.called != named.truth
    order = np.argsort(-sure, kind="stable")
    chosen = [*order[wrong[order]][:worst].tolist(), *order[~wrong[order]][::-1][:right].tolist()]
    shown = []
    for row in chosen:
        path, is_right = named.paths[row], not wrong[row]
        picture = load_image(path) if path.is_file() else None
        called, truth = named.classes[named.called[row]], named.classes[named.truth[row]]
        caption = f"{called}, {sure[row]:.2f}" + ("" if is_right else f"; is {truth}")
        shown.append(Shown(picture, caption, is_right))
    return [shown[start : start + in_row] for start in range(0, len(shown), in_row)]
