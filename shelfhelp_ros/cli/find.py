"""``shelfhelp find``: one product, given by photos or by its name in the catalogue, in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shelfhelp_ros.cli.options import (
    PATH,
    DrawnCopies,
    Pictures,
    annotate_option,
    box_json,
    catalogue_option,
    confirm_option,
    images_argument,
    model_options,
    print_json,
    tiled_option,
)
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import load_image

if TYPE_CHECKING:
    from shelfhelp_ros.catalogue.index import Index
    from shelfhelp_ros.catalogue.matching import Match, Matcher
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_ros.perception.finding import Scene, SecondSight, VerifiedMatch
    from shelfhelp_ros.perception.second_look import Answer
    from shelfhelp_ros.perception.target import Target
    from shelfhelp_ros.sightings import ImageArray


@click.command(name="find")
@images_argument
@click.option("--reference", "-r", "references", multiple=True, type=PATH, help="A photo of the product; up to five.")
@click.option("--product", "-p", help="A product of the catalogue, by name or id, instead of photos.")
@catalogue_option
@confirm_option
@click.option("--verify/--no-verify", default=True, show_default=True, help="Look twice before naming one.")
@click.option("--read", is_flag=True, help="Read the words for it, too (extra `text`).")
@tiled_option
@annotate_option
@model_options
def command(
    images: tuple[Path, ...],
    references: tuple[Path, ...],
    product: str | None,
    catalogue: Path | None,
    confirm: str,
    verify: bool,
    read: bool,
    tiled: float,
    annotate: Path | None,
    models: Path | None,
    backend: str,
    threads: int | None,
) -> None:
    """Look for one product in pictures.

    Prints one JSON object a line: image, decision (found, ambiguous or absent) and matches, the likeliest first. A
    match has a box in pixels, the cosine similarity to the reference as its score, and the calibrated probability that
    it is the product. With a catalogue, by --catalogue or --product, its other products count as rivals.

    The likeliest matches are looked at twice: the reference is laid over them and, with --read, the words on both are
    read. "verified" says whether that confirms the product (true), refutes it (false) or cannot tell (null);
    "words" are those that were read.

    \b
    Examples:
      shelfhelp find --reference oats.jpg shelf1.jpg shelf2.jpg
      shelfhelp find -r front.jpg -r side.jpg shelf.jpg --annotate drawn
      shelfhelp find --product "Oat Crunch" shelf.jpg
    """
    from shelfhelp_ros.catalogue.matching import Matcher
    from shelfhelp_ros.perception.detector import Detector
    from shelfhelp_ros.perception.encoder import Encoder
    from shelfhelp_ros.perception.finding import Scene

    if bool(references) == (product is not None):
        raise ShelfHelpError("give the product either by --reference PHOTO or by --product NAME")
    detector = Detector.load(models, backend, threads)
    encoder = Encoder.load(models, backend, threads)
    matcher = Matcher(encoder.calibration, confirm=confirm)
    index = _open_index(catalogue, encoder) if product is not None or catalogue is not None else None
    if product is not None and index is not None:
        target = _catalogue_target(product, catalogue, index)
    else:
        target = _photo_target(references, detector, encoder, matcher, index)
    sight = _second_sight(models, threads, catalogue, read) if verify else None
    pictures, copies = Pictures(images), DrawnCopies(annotate) if annotate is not None else None
    for path, image in pictures:
        scene = Scene.look(image, detector, encoder, tiled)
        found = _find(image, scene, target, matcher, index, sight)
        match = found.match
        print_json(
            {"image": str(path), "decision": match.verdict.value, "matches": _matches(scene, target, found, matcher)}
        )
        if copies is not None:
            _draw(image, scene, match, matcher)
            copies.write(path, image)
    pictures.require_all()


def _open_index(path: Path | None, encoder: Encoder) -> Index:
    from shelfhelp_ros.catalogue.index import Index
    from shelfhelp_ros.catalogue.store import Catalogue

    with Catalogue.existing(path) as catalogue:
        catalogue.embed_missing(encoder.card.sha256, encoder.embed)
        return Index.open(catalogue, encoder.card.sha256)


def _catalogue_target(product: str, path: Path | None, index: Index) -> Target:
    from shelfhelp_ros.catalogue.store import Catalogue
    from shelfhelp_ros.perception.target import Target

    with Catalogue.existing(path) as catalogue:
        entry = catalogue.get(product)
        pictures = tuple(catalogue.crops(entry.id))
    return Target(entry.id, entry.name, index.of_product(entry.id), entry.id, pictures)


def _photo_target(
    references: tuple[Path, ...], detector: Detector, encoder: Encoder, matcher: Matcher, index: Index | None
) -> Target:
    from shelfhelp_ros.catalogue.enrolment import study_photos
    from shelfhelp_ros.perception.target import Target

    studied = study_photos(detector, encoder, [load_image(path) for path in references])
    for advice in studied.advice:
        click.echo(advice, err=True)
    pictures = tuple(photo.crop for photo in studied.photos)
    return Target.from_references("", references[0].stem, studied.embeddings, index, matcher, pictures)


def _second_sight(models: Path | None, threads: int | None, path: Path | None, read: bool) -> SecondSight:
    from shelfhelp_ros.catalogue.store import Catalogue
    from shelfhelp_ros.perception.finding import SecondSight
    from shelfhelp_ros.perception.second_look import References
    from shelfhelp_ros.perception.verifier import Verifier

    def crops_of(product_id: str) -> list[ImageArray]:
        with Catalogue.existing(path) as catalogue:
            return catalogue.crops(product_id)

    return SecondSight(Verifier.load(models, threads or 2, read), References(crops_of))


def _find(
    image: ImageArray,
    scene: Scene,
    target: Target,
    matcher: Matcher,
    index: Index | None,
    sight: SecondSight | None,
) -> VerifiedMatch:
    from shelfhelp_ros.perception.finding import VerifiedMatch, find_product, views_of

    if sight is None:
        return VerifiedMatch(find_product(scene, target, matcher, index))
    return sight.find(scene, views_of(image, scene), target, matcher, index)


def _matches(scene: Scene, target: Target, found: VerifiedMatch, matcher: Matcher) -> list[dict[str, object]]:
    from shelfhelp_ros.catalogue.matching import reference_similarity

    similarity = reference_similarity(scene.embeddings, target.references)
    match = found.match
    return [
        {
            "box": box_json(scene.detections.boxes[row]),
            "score": round(float(similarity[row]), 4),
            "probability": round(float(match.probabilities[row]), 4),
            **_said(found.answers.get(row)),
        }
        for row in match.ranked(matcher.thresholds.present)
    ]


def _said(answer: Answer | None) -> dict[str, object]:
    """What the second look said, for a match that got one."""
    if answer is None:
        return {}
    return {"verified": answer.target.verified, "words": list(answer.target.words)}


def _draw(image: ImageArray, scene: Scene, match: Match, matcher: Matcher) -> None:
    from shelfhelp_ros.perception.drawing import RIVAL, TARGET, draw_box, write_line

    for box in scene.detections.boxes:
        draw_box(image, box, "")
    for row in match.ranked(matcher.thresholds.present):
        colour = TARGET if match.same[row] else RIVAL
        draw_box(image, scene.detections.boxes[row], f"{match.probabilities[row]:.2f}", colour, bold=True)
    write_line(image, match.verdict.value)
