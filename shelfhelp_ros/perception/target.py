"""What is looked for: a catalogue product, or one known only by photos of the moment."""

from __future__ import annotations

from dataclasses import dataclass

from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.perception.encoder import normalise
from shelfhelp_ros.sightings import FloatArray, ImageArray


@dataclass(frozen=True)
class Target:
    """A wanted product by its R×D reference embeddings.

    ``product_id`` is its catalogue entry, which must not count as a rival; empty when the catalogue has none.
    ``pictures`` are the references' crops (H×W×3 BGR), for a second look; empty when they are not kept.
    """

    target_id: str
    name: str
    references: FloatArray
    product_id: str = ""
    pictures: tuple[ImageArray, ...] = ()

    @classmethod
    def from_references(
        cls,
        target_id: str,
        name: str,
        embeddings: FloatArray,
        index: Index | None,
        matcher: Matcher,
        pictures: tuple[ImageArray, ...] = (),
    ) -> Target:
        """A target known by photos; when the catalogue surely holds the same product, that entry is its own."""
        if index is None:
            return cls(target_id, name, embeddings, pictures=pictures)
        mean = normalise(embeddings.mean(axis=0, keepdims=True))
        similarity, ids = index.best_product(mean)
        same = float(matcher.probability_same(similarity)[0]) >= matcher.thresholds.found
        return cls(target_id, name, embeddings, ids[0] if same else "", pictures)
