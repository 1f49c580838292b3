"""Invented products and their printed packs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="drawing packs needs the typefaces of matplotlib")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.packs import draw_face, draw_faces, draw_front, draw_wrap
from shelfhelp_ros.simulation.products import Product, make_products, products_from_folder


def families(products: list[Product]) -> list[list[Product]]:
    """Products grouped by family, families of one left out."""
    groups: dict[int, list[Product]] = {}
    for product in products:
        groups.setdefault(product.family, []).append(product)
    return [group for group in groups.values() if len(group) > 1]


def test_thousands_of_products_are_distinct_and_repeatable() -> None:
    """Protects data sets: a seed names its products for good, and no two are the same."""
    products = make_products(11, 3000)
    assert make_products(11, 3000) == products
    assert len({product.id for product in products}) == 3000
    looks = {(p.style, p.flavour, p.claim, p.quantity, p.base) for p in products}
    assert len(looks) == 3000
    assert {product.shape for product in products} == {"box", "can", "bottle", "pouch"}


def test_seeds_share_no_product() -> None:
    """Protects test sets from holding what was trained on."""
    first, second = make_products(1, 200), make_products(2, 200)
    assert not {p.id for p in first} & {p.id for p in second}
    assert not {p.style for p in first} & {p.style for p in second}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_of_near_duplicates(share: float) -> None:
    """Protects the meaning of ``near_duplicates``: the share of products that have a sibling."""
    products = make_products(4, 2000, near_duplicates=share)
    with_sibling = sum(len(group) for group in families(products))
    assert with_sibling / 2000 == pytest.approx(share, abs=0.06)


def test_near_duplicates_differ_in_one_thing_and_look_different() -> None:
    """Protects the point of families: same artwork, one difference, and that difference is printed."""
    groups = families(make_products(6, 120))
    assert len(groups) >= 10
    for group in groups[:10]:
        first, second = group[0], group[1]
        assert first.style == second.style
        assert first.brand == second.brand
        differences = [
            name for name in ("flavour", "quantity", "claim") if getattr(first, name) != getattr(second, name)
        ]
        assert len(differences) == 1
        one, other = draw_front(first, (160, 220)), draw_front(second, (160, 220))
        changed = (np.abs(one.astype(int) - other).max(2) > 24).mean()
        assert changed > 0.001


def test_faces_are_repeatable_and_have_the_packs_proportions() -> None:
    """Protects enrolment photos: the same product gives the same packshot, as wide as the pack."""
    for product in make_products(8, 12):
        face = draw_face(product, 200)
        assert np.array_equal(face, draw_face(product, 200))
        assert face.dtype == np.uint8
        assert face.shape == (200, round(200 * product.width / product.height), 3)
        assert face.std() > 8


def test_a_pack_that_may_stand_turned_is_photographed_from_all_round_it() -> None:
    """Protects enrolment: the front first; of cans and bottles its other sides, which show all there is."""
    for product in make_products(8, 30):
        faces = draw_faces(product, 200)
        assert np.array_equal(faces[0], draw_face(product, 200))
        assert len(faces) == (3 if product.shape in ("can", "bottle") else 1)
        for other in faces[1:]:
            assert other.shape == faces[0].shape
            assert np.abs(other.astype(int) - faces[0]).mean() > 2
        assert np.array_equal(draw_face(product, 200, 1.0), faces[0])


def test_can_label_closes_round_the_can() -> None:
    """Protects the texture of round packs: the label's right edge meets its left one at any size."""
    can = next(product for product in make_products(3, 200) if product.shape == "can")
    for size in ((200, 90), (123, 51), (64, 200)):
        assert draw_wrap(can, size).shape == (size[1], size[0], 3)


def test_packshots_become_boxes_of_their_proportions(tmp_path: Path) -> None:
    """Protects ``--packshots``: the picture is the front, the file's name the id."""
    picture = np.zeros((300, 200, 3), np.uint8)
    picture[:, :100] = (10, 60, 200)
    cv2.imwrite(str(tmp_path / "crunch.png"), picture)
    (product,) = products_from_folder(tmp_path)
    assert (product.id, product.shape) == ("crunch", "box")
    assert product.width / product.height == pytest.approx(2 / 3)
    face = draw_face(product, 150)
    assert face.shape == (150, 100, 3)
    assert np.abs(face[75, 20].astype(int) - (10, 60, 200)).max() <= 2


def test_folder_without_readable_pictures_is_refused(tmp_path: Path) -> None:
    """Protects the user from an empty shelf and from a traceback."""
    with pytest.raises(ShelfHelpError, match="no packshots"):
        products_from_folder(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(ShelfHelpError, match="broken"):
        products_from_folder(tmp_path)


def test_odd_packshots_are_taken(tmp_path: Path) -> None:
    """Protects ``--packshots``: a panorama becomes a pack that fits a shelf, equal names stay two products."""
    picture = np.full((40, 400, 3), 90, np.uint8)
    for name in ("wide.png", "wide.jpg"):
        cv2.imwrite(str(tmp_path / name), picture)
    products = products_from_folder(tmp_path)
    assert {product.id for product in products} == {"wide.png", "wide.jpg"}
    assert all(product.width <= 0.4 + 1e-9 for product in products)
    assert all(product.width / product.height == pytest.approx(10) for product in products)
