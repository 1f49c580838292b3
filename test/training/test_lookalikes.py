"""Wrong picks among look-alikes: how they are counted, and what the evidence learns."""

from __future__ import annotations

import numpy as np
import pytest

from shelfhelp_ros.catalogue.matching import Matcher
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.finding import Scene, views_of
from shelfhelp_ros.perception.verifier import LIKENESS, TEXT, Evidence, Verifier, VerifierCard
from shelfhelp_ros.sightings import Detections
from shelfhelp_ros.simulation.packs import draw_face, make_products
from shelfhelp_training.evaluation.lookalikes import (
    LookalikeSet,
    Pair,
    Reference,
    Shelf,
    Tally,
    fit,
    read_sets,
    search_all,
)

BETWEEN = Evidence({"agreement": 2.0}, 0.0, 3.0)


def pairs(count: int, shift: float, kind: str) -> list[Pair]:
    """Pairs in which the structure tells the products apart by 1, on a level of each kind's own."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        same = number % 2 == 0
        likeness = dict.fromkeys(LIKENESS, 0.0) | {"structure": shift + same + float(rng.normal(0, 0.4))}
        text = dict.fromkeys(TEXT, 0.0) | {"replaced": float(not same) * rng.uniform(0.2, 1.0)}
        made.append(Pair(kind, same, likeness if number % 3 else None, text, detailed=True))
    return made


def test_evidence_is_learnt_within_each_kind():
    """Kinds of photographs differ in level, which must not drown what tells products apart within them."""
    card = fit(pairs(120, 0.0, "dark") + pairs(120, 3.0, "bright"), BETWEEN, "drawn")
    assert card.likeness.coefficients["structure"] > 4
    assert card.text.coefficients["replaced"] < -4
    high, low = ({**dict.fromkeys(LIKENESS, 0.0), "structure": value} for value in (8.0, -8.0))
    assert (card.likeness.log_odds(high), card.likeness.log_odds(low)) == (6.0, -6.0)


def test_packs_that_lie_apart():
    """Only where pictures of one product usually lie over one another does it count against them that they do not."""
    fits = [Pair("a", same, dict.fromkeys(LIKENESS, float(same)) if same else None, None, True) for same in (1, 0) * 40]
    fits += [Pair("a", False, dict.fromkeys(LIKENESS, 0.0), None, True)] * 5
    text = VerifierCard.load()
    assert fit(fits, BETWEEN, "", text).apart.intercept < -3
    laid = dict.fromkeys(LIKENESS, 0.0)
    even = [Pair("a", same, laid if n % 2 else None, None, True) for n in range(40) for same in (False, True)]
    assert abs(fit(even, BETWEEN, "", text).apart.intercept) < 0.1


def test_words_need_the_extra_or_an_earlier_card():
    """A fit without the extra `text` keeps what was known of words."""
    silent = [Pair(p.kind, p.same, p.likeness, None) for p in pairs(60, 0.0, "a")]
    before = VerifierCard.load()
    assert fit(silent, BETWEEN, "", before).text == before.text
    with pytest.raises(ShelfHelpError, match="extra `text`"):
        fit(silent, BETWEEN, "")


def test_shares():
    """Wrong picks are a share of what is called found, found ones of what is there; nothing found is no wrong pick."""
    tally = Tally(searches=20, there=10, right=6, wrong=2)
    assert (tally.wrong_share, tally.found_share) == (0.25, 0.6)
    assert (Tally().wrong_share, Tally().found_share) == (0.0, 0.0)


def test_searches_are_counted(tiny_models):
    """Three packs on a shelf and one that is not there, each asked for alone and with the catalogue."""
    encoder = Encoder.load(tiny_models, "cpu", threads=1)
    faces = [np.ascontiguousarray(draw_face(product, 200)) for product in make_products(3, 12)[::3]]
    image = np.full((240, 220 * 3, 3), 128, np.uint8)
    boxes = []
    for number, face in enumerate(faces[:3]):
        height, width = face.shape[:2]
        image[10 : 10 + height, number * 220 : number * 220 + width] = face
        boxes.append([number * 220, 10, number * 220 + width, 10 + height])
    scene = Scene(Detections(np.float32(boxes), np.ones(3, np.float32)), encoder.embed_boxes(image, np.float32(boxes)))
    names = ("a/0", "a/1", "a/2")
    shelf = Shelf("shelf", image, scene, names, frozenset(names), frozenset(), views_of(image, scene))
    references = [Reference(face, f"a/{number}", "packshot") for number, face in enumerate(faces)]
    verifiers = {"none": None, "likeness": Verifier(VerifierCard.load())}
    drawn = LookalikeSet("drawn", "", ())
    tallies = search_all([shelf], references, drawn, encoder, Matcher(encoder.calibration), verifiers)
    assert set(tallies) == {(s, v) for s in ("alone", "catalogue") for v in verifiers}
    for tally in tallies.values():
        assert (tally.searches, tally.there) == (4, 3)
        assert tally.right + tally.wrong <= 4
    assert tallies["alone", "none"].right == 3
    assert tallies["alone", "likeness"].right == tallies["alone", "likeness"].right_verified == 3


def test_a_file_that_is_none(tmp_path):
    """A wrong configuration is one line."""
    (tmp_path / "sets.yaml").write_text("- {name: x}\n", encoding="utf-8")
    with pytest.raises(ShelfHelpError, match="not a list of sets of look-alikes"):
        read_sets(tmp_path / "sets.yaml")
