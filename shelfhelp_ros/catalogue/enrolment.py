"""From a person's photos of a product to its catalogue entry, with advice on photos that could be better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.catalogue.names import clean_name
from shelfhelp_ros.catalogue.quality import (
    Finding,
    advise,
    brightness,
    find_main_product,
    odd_ones_out,
    sharpness,
    unusable,
)
from shelfhelp_ros.catalogue.store import Catalogue, ReferencePhoto
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import area, clip
from shelfhelp_ros.images import decode_image, require_image
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder, crop_box
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray

MAX_PHOTOS = 5


@dataclass(frozen=True)
class StudiedPhotos:
    """What a product's photos gave: the usable ones ready to be stored, and advice that names photos by number."""

    photos: tuple[ReferencePhoto, ...]
    advice: tuple[str, ...]

    @property
    def embeddings(self) -> FloatArray:
        """R×D, a row for each usable photo."""
        return np.stack([photo.embedding for photo in self.photos])


@dataclass(frozen=True)
class Enrolment:
    """The outcome: the product's id, how many photos were accepted, and advice on the others and on doubtful ones."""

    product_id: str
    accepted: int
    advice: tuple[str, ...]


def enrol(
    catalogue: Catalogue, detector: Detector, encoder: Encoder, name: str, photos: Sequence[bytes | ImageArray]
) -> Enrolment:
    """Add a product by one to five photos (encoded bytes or H×W×3 BGR arrays), or photos to one that is there.

    Raises ShelfHelpError when the name or every photo is unusable; the catalogue is then as it was.
    """
    name = clean_name(name)
    studied = study_photos(detector, encoder, photos)
    product_id = catalogue.add(name, studied.photos, encoder.card.sha256)
    return Enrolment(product_id, len(studied.photos), studied.advice)


def study_photos(detector: Detector, encoder: Encoder, photos: Sequence[bytes | ImageArray]) -> StudiedPhotos:
    """Find the product in each of one to five photos, embed it and judge the photo.

    Raises ShelfHelpError when none of them can be used.
    """
    if not 1 <= len(photos) <= MAX_PHOTOS:
        raise ShelfHelpError(f"give one to {MAX_PHOTOS} photos of the product, not {len(photos)}")
    crops: dict[int, tuple[ImageArray, Finding]] = {}
    advice: list[str] = []
    for number, photo in enumerate(photos, start=1):
        try:
            crops[number] = _study_photo(detector, photo)
        except ShelfHelpError as error:
            advice.append(f"Photo {number} {error}.")
            continue
        advice += [f"Photo {number} {words}." for words in advise(*crops[number])]
    if not crops:
        raise ShelfHelpError(f"no photo can be used: {' '.join(advice)}".rstrip("."))
    embeddings = encoder.embed([crop for crop, _ in crops.values()])
    advice += _disagreement(encoder, embeddings, list(crops))
    kept = [
        _reference(crop, finding, vector) for (crop, finding), vector in zip(crops.values(), embeddings, strict=True)
    ]
    return StudiedPhotos(tuple(kept), tuple(advice))


def _study_photo(detector: Detector, photo: bytes | ImageArray) -> tuple[ImageArray, Finding]:
    """The crop of the product in one photo. Raises ShelfHelpError, to be read after "Photo 2 …"."""
    if isinstance(photo, bytes):
        try:
            image = decode_image(photo, "")
        except ShelfHelpError as error:
            raise ShelfHelpError(str(error).strip()) from error
    else:
        image = photo
    require_image(image)
    height, width = image.shape[:2]
    finding = find_main_product(detect_in_photo(detector, image), width, height)
    crop = crop_box(image, finding.box)
    if crop is None:
        raise ShelfHelpError("has no pixel of the product in it")
    reason = unusable(crop)
    if reason is not None:
        raise ShelfHelpError(reason)
    return np.ascontiguousarray(crop), finding


def detect_in_photo(detector: Detector, photo: ImageArray) -> Detections:
    """Products in a photo that one of them may fill: it is looked at with grey all round.

    The detector knows packs as they stand on a shelf. A pack that fills the picture is as strange to it as its print is
    familiar; with something around it, it is a pack again.
    """
    height, width = photo.shape[:2]
    margin = max(height, width) // 4
    canvas = np.full((height + 2 * margin, width + 2 * margin, 3), detector.card.input.pad_value, np.uint8)
    canvas[margin : margin + height, margin : margin + width] = photo
    seen = detector.detect(canvas)
    boxes = clip(np.asarray(seen.boxes - margin, np.float32), width, height)
    inside = area(boxes) > 0
    return Detections(boxes[inside], seen.scores[inside])


def _disagreement(encoder: Encoder, embeddings: FloatArray, numbers: Sequence[int]) -> list[str]:
    if encoder.calibration is None or len(numbers) < 2:
        return []
    matcher = Matcher(encoder.calibration)
    alike = matcher.probability_same(np.asarray(embeddings @ embeddings.T, np.float32))
    # The person says that it is one product, so only what would count as absent on a shelf is called odd.
    return [
        f"Photo {numbers[row]} does not look like the other photos; check that it shows the same product."
        for row in odd_ones_out(alike, matcher.thresholds.present)
    ]


def _reference(crop: ImageArray, finding: Finding, embedding: FloatArray) -> ReferencePhoto:
    return ReferencePhoto(crop, embedding, finding.score, sharpness(crop), brightness(crop)[0])
