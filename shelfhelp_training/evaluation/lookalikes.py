"""Products easily taken for one another: how often *found* names the wrong one, with and without a second look.

A search is one product, known by its reference picture, and one photograph; the product stands there or it does not. Of
the searches that end in *found*, those that name something else are wrong picks.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from scipy.optimize import minimize

from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import Matcher, Verdict, reference_similarity
from shelfhelp_ros.catalogue.store import Catalogue, ReferencePhoto
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray, iou
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder, crop_box
from shelfhelp_ros.perception.finding import Scene, SecondSight, VerifiedMatch, find_product, views_of
from shelfhelp_ros.perception.likeness import compare, overlay
from shelfhelp_ros.perception.local_features import align
from shelfhelp_ros.perception.second_look import References
from shelfhelp_ros.perception.target import Target
from shelfhelp_ros.perception.text import TextReader, agreement
from shelfhelp_ros.perception.verifier import (
    LIKENESS,
    TEXT,
    Evidence,
    Verifier,
    VerifierCard,
    View,
    detailed,
    likeness_features,
    text_features,
)
from shelfhelp_ros.sightings import Detections, ImageArray
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.data.boxes import load_split
from shelfhelp_training.data.crop_sources import PACKSHOT, UNNAMED, CropSource, without_border
from shelfhelp_training.data.named import read_coco

Values = npt.NDArray[np.float64]
LIMIT = 6.0


@dataclass(frozen=True)
class LookalikeSet:
    """One set of photographs and references.

    Attributes:
        name: as it stands in the figures.
        path: COCO file, or a folder with ``scenes`` (pictures) that ``labels`` tells the products of, or a folder of
            folders named by the product in the middle of its photos (``central``).
        references: the reference pictures; those of the photograph that is searched are left out.
        fit: the evidence may be fitted on it; otherwise it is a test set.
        labels: YAML with the visible products of each scene; then the boxes are the detector's.
        split, part: published split of a COCO file of which only this part is read.
        central: share of each side that the product takes in a folder's photos.
        smallest: longest side of the boxes that count, pixels.
        limit: at most so many references, evenly spread (0: all).
        every: only each so-manieth photograph.
        twins: products of which two references show the same; they are no rivals of one another.
    """

    name: str
    path: str
    references: tuple[CropSource, ...]
    fit: bool = False
    labels: str = ""
    split: str | None = None
    part: str = "test"
    central: float = 0.0
    smallest: int = 64
    limit: int = 0
    every: int = 1
    twins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shelf:
    """A photograph: its ``scene``, and the product's name of each detection ('' for none of the references').

    ``doubtful``: products that are half in view, neither there nor absent.
    """

    photo: str
    image: ImageArray
    scene: Scene
    names: tuple[str, ...]
    visible: frozenset[str]
    doubtful: frozenset[str] = frozenset()
    views: dict[int, View] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """A picture (H×W×3 BGR) of one product, and the photograph that it was cut from."""

    picture: ImageArray
    product: str
    photo: str


@dataclass
class Tally:
    """Counts over searches. ``wrong``: found, but something else; ``absent_found`` of them where it was not there.

    ``right_verified`` and ``wrong_verified``: those of which the second look said yes. ``unjudged``: what was found has
    no name in the labels.
    """

    searches: int = 0
    there: int = 0
    right: int = 0
    wrong: int = 0
    absent_found: int = 0
    ambiguous: int = 0
    right_verified: int = 0
    wrong_verified: int = 0
    unjudged: int = 0

    @property
    def wrong_share(self) -> float:
        """Of those called found, the share that is another product."""
        return self.wrong / max(1, self.right + self.wrong)

    @property
    def found_share(self) -> float:
        """Of the searches for a product that is there, the share that ends in it."""
        return self.right / max(1, self.there)


def read_sets(path: Path) -> list[LookalikeSet]:
    """The sets of a YAML file: a list of mappings with the fields of ``LookalikeSet``."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return [_set(entry) for entry in raw]
    except (OSError, yaml.YAMLError, TypeError, AttributeError, KeyError) as error:
        raise ShelfHelpError(f"{path} is not a list of sets of look-alikes: {error}") from error


def _set(entry: dict[str, Any]) -> LookalikeSet:
    sources = tuple(CropSource(**source) for source in entry.pop("references"))
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return LookalikeSet(references=sources, **values)


def load_references(lookalikes: LookalikeSet, root: Path) -> list[Reference]:
    """The reference pictures of a set, as large as the catalogue would keep them."""
    return [found for source in lookalikes.references for found in _references(source, root)]


def _references(source: CropSource, root: Path) -> Iterator[Reference]:
    path = Path(source.path) if Path(source.path).exists() else root / source.path
    if source.kind == "drawn":
        for product in make_products(source.seed, source.count):
            yield Reference(draw_face(product, _DRAWN), f"{source.name}/{product.id}", PACKSHOT)
    elif source.kind == "pictures":
        for file in sorted(path.glob("*.jpg")):
            image = load_image(file)
            yield Reference(without_border(image) if source.border else image, f"{source.name}/{file.stem}", PACKSHOT)
    elif source.kind == "coco":
        for picture in read_coco(path, load_split(source.split, source.part) if source.split else None):
            for box, name in zip(picture.boxes, picture.names, strict=True):
                if name != UNNAMED and (crop := crop_box(picture.image, box)) is not None:
                    yield Reference(np.ascontiguousarray(crop), f"{source.name}/{name}", picture.stem)
    else:
        raise ShelfHelpError(f"references of the kind {source.kind} are not read; use coco, pictures or drawn")


# Longest side of drawn packshots, pixels.
_DRAWN = 480


def load_shelves(lookalikes: LookalikeSet, root: Path, detector: Detector, encoder: Encoder) -> list[Shelf]:
    """The photographs of a set, detected or with their labelled boxes, and embedded."""
    path = Path(lookalikes.path) if Path(lookalikes.path).exists() else root / lookalikes.path
    if not path.exists():
        raise ShelfHelpError(f"{path} does not exist; set SHELFHELP_DATA, or render it as the configuration says")
    prefix = lookalikes.references[0].name
    if lookalikes.labels:
        return list(_labelled(path, Path(lookalikes.labels), prefix, detector, encoder))
    if lookalikes.central:
        return list(_centred(path, lookalikes, prefix, encoder))
    return list(_boxed(path, lookalikes, prefix, encoder))


def _labelled(path: Path, labels: Path, prefix: str, detector: Detector, encoder: Encoder) -> Iterator[Shelf]:
    for stem, label in yaml.safe_load(labels.read_text(encoding="utf-8")).items():
        image = load_image(path / "scenes" / f"{stem}.png")
        scene = Scene.look(image, detector, encoder)
        names = [""] * len(scene.detections)
        for product, boxes in label["visible"].items():
            for row in np.flatnonzero((iou(scene.detections.boxes, np.array(boxes, np.float32)) >= 0.5).any(axis=1)):
                names[row] = f"{prefix}/{product}"
        visible = frozenset(f"{prefix}/{product}" for product in label["visible"])
        cut = frozenset(f"{prefix}/{product}" for product in label.get("cut", ()))
        yield Shelf(stem, image, scene, tuple(names), visible, cut, views_of(image, scene))


def _centred(path: Path, lookalikes: LookalikeSet, prefix: str, encoder: Encoder) -> Iterator[Shelf]:
    files = sorted(file for file in path.glob("*/*") if file.suffix.lower() in (".jpg", ".png"))
    for file in files[:: lookalikes.every]:
        image = load_image(file)
        size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        rest = (1 - lookalikes.central) / 2
        box = np.array([[rest, rest, 1 - rest, 1 - rest]], np.float32) * size
        yield _shelf(file.stem, image, box, (f"{prefix}/{file.parent.name}",), encoder)


def _boxed(path: Path, lookalikes: LookalikeSet, prefix: str, encoder: Encoder) -> Iterator[Shelf]:
    stems = load_split(lookalikes.split, lookalikes.part) if lookalikes.split else None
    for picture in read_coco(path, stems)[:: lookalikes.every]:
        large = np.flatnonzero((picture.boxes[:, 2:] - picture.boxes[:, :2]).max(axis=1) >= lookalikes.smallest)
        if len(large):
            names = tuple(f"{prefix}/{picture.names[row]}" for row in large)
            yield _shelf(picture.stem, picture.image, picture.boxes[large], names, encoder)


def _shelf(photo: str, image: ImageArray, boxes: BoxArray, names: tuple[str, ...], encoder: Encoder) -> Shelf:
    scene = Scene(Detections(boxes, np.ones(len(boxes), np.float32)), encoder.embed_boxes(image, boxes))
    return Shelf(photo, image, scene, names, frozenset(names), frozenset(), views_of(image, scene))


# Searching -----------------------------------------------------------------------------------------------------------


def search_all(
    shelves: Sequence[Shelf],
    references: Sequence[Reference],
    lookalikes: LookalikeSet,
    encoder: Encoder,
    matcher: Matcher,
    verifiers: dict[str, Verifier | None],
) -> dict[tuple[str, str], Tally]:
    """Search every product on every shelf, with its reference alone and with all of them as the catalogue.

    Returns a tally by situation (``alone``, ``catalogue``) and verifier; None as a verifier is no second look.
    """
    tallies = {(situation, name): Tally() for situation in ("alone", "catalogue") for name in verifiers}
    vectors = encoder.embed([crop.picture for crop in references])
    pictures: dict[str, ImageArray] = {}
    known = References(lambda product: [pictures[product]], kept=len(references) + 1)
    sights = {name: None if verifier is None else SecondSight(verifier, known) for name, verifier in verifiers.items()}
    for shelf in shelves:
        rows = usable(references, shelf.photo)
        with tempfile.TemporaryDirectory() as work, Catalogue(Path(work) / "c.db") as catalogue:
            for row in rows:
                photo = ReferencePhoto(references[row].picture, vectors[row], None, 0.0, 0.0)
                catalogue.add(references[row].product, [photo], encoder.card.sha256)
            index = Index.open(catalogue, encoder.card.sha256)
            ids = {product.name: product.id for product in catalogue.list()}
        pictures |= {ids[references[row].product]: references[row].picture for row in rows}
        asked = rows if not lookalikes.limit else rows[:: max(1, math.ceil(len(rows) / lookalikes.limit))]
        for row in asked:
            product = references[row].product
            if product in shelf.doubtful:
                continue
            target = Target(ids[product], product, vectors[row][None], ids[product], (references[row].picture,))
            for situation in ("alone", "catalogue"):
                if situation == "catalogue" and product.rpartition("/")[2] in lookalikes.twins:
                    continue
                for name, sight in sights.items():
                    rivals = index if situation == "catalogue" else None
                    _count(tallies[situation, name], shelf, target, matcher, rivals, sight)
    return tallies


def usable(references: Sequence[Reference], photo: str) -> list[int]:
    """The rows of one reference a product, the largest that is not of this photograph."""
    best: dict[str, int] = {}
    for row, crop in enumerate(references):
        if crop.photo == photo:
            continue
        known = best.get(crop.product)
        if known is None or crop.picture.size > references[known].picture.size:
            best[crop.product] = row
    return list(best.values())


def _count(
    tally: Tally, shelf: Shelf, target: Target, matcher: Matcher, index: Index | None, sight: SecondSight | None
) -> None:
    if sight is None:
        found = VerifiedMatch(find_product(shelf.scene, target, matcher, index))
    else:
        found = sight.find(shelf.scene, shelf.views, target, matcher, index)
    match = found.match
    there = target.name in shelf.visible
    tally.searches += 1
    tally.there += there
    tally.ambiguous += match.verdict is Verdict.AMBIGUOUS
    if match.verdict is Verdict.FOUND and match.best is not None:
        if shelf.names[match.best].endswith(UNNAMED):
            tally.unjudged += 1
            return
        right = shelf.names[match.best] == target.name
        answer = found.answers.get(match.best)
        verified = answer is not None and answer.target.verified is True
        tally.right += right
        tally.wrong += not right
        tally.absent_found += not there
        tally.right_verified += right and verified
        tally.wrong_verified += not right and verified


# Fitting -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A crop beside a reference that the encoder finds alike: features, None where nothing could be told; ``detailed``
    says that both show enough to be laid over one another."""

    kind: str
    same: bool
    likeness: dict[str, float] | None
    text: dict[str, float] | None
    detailed: bool = False


def pairs_of(
    lookalikes: LookalikeSet,
    shelves: Sequence[Shelf],
    references: Sequence[Reference],
    encoder: Encoder,
    matcher: Matcher,
    reader: TextReader | None,
    most: int,
    rng: np.random.Generator,
) -> list[Pair]:
    """Up to ``most`` pairs of the same product and as many of different ones, of those that the encoder takes for
    possible: what a second look is asked about."""
    vectors = encoder.embed([crop.picture for crop in references])
    found: dict[bool, list[tuple[View, int]]] = {True: [], False: []}
    for shelf in shelves:
        rows = usable(references, shelf.photo)
        cosines = reference_rows(shelf, vectors[rows])
        possible = matcher.log_odds(cosines) > POSSIBLE
        for detection, column in zip(*np.nonzero(possible), strict=True):
            product = references[rows[column]].product
            if product not in shelf.doubtful and detection in shelf.views:
                found[shelf.names[detection] == product].append((shelf.views[int(detection)], rows[column]))
    views: dict[int, View] = {}
    pairs = []
    for same, candidates in found.items():
        for number in rng.permutation(len(candidates))[:most]:
            crop, row = candidates[number]
            reference = views.setdefault(row, View(references[row].picture))
            pairs.append(_pair(lookalikes.name, same, crop, reference, reader))
    return pairs


# Log odds by the encoder from which on a pair is worth a second look.
POSSIBLE = -1.5


def reference_rows(shelf: Shelf, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cosines of the N detections of a shelf to R references, N×R."""
    columns = [reference_similarity(shelf.scene.embeddings, vector[None]) for vector in vectors]
    return np.stack(columns, axis=1) if columns else np.zeros((len(shelf.names), 0), np.float32)


def _pair(kind: str, same: bool, crop: View, reference: View, reader: TextReader | None) -> Pair:
    alignment = align(reference.features, crop.features)
    likeness = None if alignment is None else compare(overlay(reference.features, crop.features, alignment))
    laid = None if alignment is None or likeness is None else likeness_features(alignment, likeness)
    words = None
    if reader is not None:
        read = agreement(reference.words(reader), crop.words(reader))
        words = text_features(read) if read.telling else None
    return Pair(kind, same, laid, words, detailed(reference) and detailed(crop))


def fit(pairs: Sequence[Pair], between: Evidence, fitted_on: str, previous: VerifierCard | None = None) -> VerifierCard:
    """The evidence of the pictures and that of the words, each by itself; ``between`` was fitted (see `contests`).

    Without words to fit on, those of the ``previous`` card stay. Raises ShelfHelpError when there is neither.
    """
    likeness = _evidence(LIKENESS, [(pair, pair.likeness) for pair in pairs if pair.likeness is not None])
    read = [(pair, pair.text) for pair in pairs if pair.text is not None]
    if not read and previous is None:
        raise ShelfHelpError("the evidence of words cannot be fitted without the extra `text`")
    text = _evidence(TEXT, read) if read or previous is None else previous.text
    return VerifierCard(likeness, text, _apart(pairs), between, yes=YES, no=-YES, fitted_on=fitted_on)


def _apart(pairs: Sequence[Pair]) -> Evidence:
    """Log of how much likelier pictures of one product are not to lie over one another than those of two."""
    among = [pair for pair in pairs if pair.detailed]
    weight = _balanced(among)
    same = np.array([pair.same for pair in among], bool)
    apart = np.array([pair.likeness is None for pair in among], bool)
    shares = [weight[apart & kind].sum() / max(weight[kind].sum(), 1e-9) for kind in (same, ~same)]
    return Evidence({}, round(float(np.log((shares[0] + 0.01) / (shares[1] + 0.01))), 4), LIMIT)


# Where a look counts as a yes, or negative as a no.
YES = 1.0
# What a look-alike that is named costs, against a product that is not named. With as many of the one as of the other to
# fit on, where shelves hold far fewer look-alikes, even one is a high price.
_COST = 1.0
# The evidence is made this much steeper than its likelihood about the point where naming begins to pay: a look has to
# decide, since a shade of doubt would neither let the person take the product nor tell them to leave it.
_SHARPNESS = 4.0
_RIDGE = 0.002


def _evidence(names: Sequence[str], rows: Sequence[tuple[Pair, dict[str, float]]]) -> Evidence:
    """Logistic regression with an intercept for each kind of pairs, so that what tells apart within a kind is learnt
    and not what tells the kinds apart; then the one point, common to all kinds, from which on naming pays.

    Kinds have the same weight, and in each of them pairs of one product and of different ones.
    """
    pairs = [pair for pair, _ in rows]
    values = np.array([[features[name] for name in names] for _, features in rows], np.float64)
    same = np.array([pair.same for pair in pairs])
    kinds = sorted({pair.kind for pair in pairs})
    member = np.array([[pair.kind == kind for kind in kinds] for pair in pairs], np.float64)
    weight = _balanced(pairs)
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    design = np.hstack([(values - mean) / spread, member])
    penalty = np.array([_RIDGE] * len(names) + [_RIDGE / 20] * len(kinds))

    def loss(parameters: Values) -> tuple[float, Values]:
        z = design @ parameters
        value = float((weight * (np.logaddexp(0, z) - same * z)).sum() + (penalty * parameters**2).sum())
        return value, design.T @ (weight * (1 / (1 + np.exp(-z)) - same)) + 2 * penalty * parameters

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS").x
    slopes = found[: len(names)] / spread
    even = _even(values @ slopes, same, weight)
    coefficients = {name: round(float(_SHARPNESS * slope), 4) for name, slope in zip(names, slopes, strict=True)}
    return Evidence(coefficients, round(-_SHARPNESS * even, 4), LIMIT)


def _balanced(pairs: Sequence[Pair]) -> Values:
    """Weights that sum to one; a handful of pairs does not get the say of hundreds."""
    sizes: dict[tuple[str, bool], int] = {}
    for pair in pairs:
        sizes[pair.kind, pair.same] = sizes.get((pair.kind, pair.same), 0) + 1
    weight = np.array([1 / max(sizes[pair.kind, pair.same], 20) for pair in pairs])
    return np.asarray(weight / weight.sum(), np.float64)


def _even(scores: Values, same: npt.NDArray[np.bool_], weight: Values) -> float:
    """The score from which on naming costs least."""
    levels = np.unique(np.quantile(scores, np.linspace(0, 1, 101)))
    costs = [_COST * weight[~same & (scores > t)].sum() + weight[same & (scores <= t)].sum() for t in levels]
    return float(levels[int(np.argmin(costs))])
