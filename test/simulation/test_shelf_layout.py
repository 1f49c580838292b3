"""Where packs stand, and how far a point is from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.contact import PackBodies
from shelfhelp_ros.simulation.layout import LAYOUTS, stock_shelf
from shelfhelp_ros.simulation.meshes import pack_mesh
from shelfhelp_ros.simulation.products import make_products

PRODUCTS = make_products(21, 60)


@given(seed=st.integers(0, 2**31), name=st.sampled_from(sorted(LAYOUTS)))
@settings(max_examples=40, deadline=None)
def test_packs_stand_on_boards_inside_the_shelf_and_apart(seed: int, name: str) -> None:
    """Protects the scene from packs in the air, through the wall, or in each other."""
    layout = LAYOUTS[name]
    stock = stock_shelf(PRODUCTS, layout, seed)
    bodies = PackBodies(stock.packs)
    for index, pack in enumerate(stock.packs):
        assert abs(pack.foot[0]) < layout.width / 2
        assert pack.foot[1] - 0.9 * min(pack.product.depth, pack.product.width) / 2 > 0
        assert any(pack.foot[2] >= board - 1e-9 for board in stock.boards)
        assert pack.foot[2] + pack.product.height < stock.top
        middle = pack.foot + np.array([0, 0, pack.product.height / 2])
        others = np.delete(bodies.distances(middle), index)
        assert others.size == 0 or others.min() > 0


def test_shelf_without_products_is_refused() -> None:
    """Protects the user from an empty picture without a word."""
    with pytest.raises(ShelfHelpError, match="at least one product"):
        stock_shelf([], LAYOUTS["normal"], 0)


@given(index=st.integers(0, len(PRODUCTS) - 1), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_distance_is_zero_on_the_front_and_grows_outwards(index: int, seed: int) -> None:
    """Protects contact: the front's middle lies on the body, a point before it at its distance, the middle inside."""
    stock = stock_shelf([PRODUCTS[index]], LAYOUTS["small"], seed)
    bodies = PackBodies(stock.packs[:1])
    pack = stock.packs[0]
    front = pack.front
    middle = pack.foot + np.array([0, 0, pack.product.height / 2])
    outward = (front - middle) / np.linalg.norm(front - middle)
    assert bodies.distances(front)[0] == pytest.approx(0, abs=1e-9)
    assert bodies.distances(front + 0.07 * outward)[0] == pytest.approx(0.07, abs=1e-9)
    assert bodies.distances(middle)[0] < 0


def test_meshes_have_the_products_measures_and_face_outwards() -> None:
    """Protects geometry: a mesh fills the pack's measures, and its triangles are wound to be seen from outside."""
    for product in PRODUCTS:
        mesh = pack_mesh(product)
        size = np.ptp(mesh.vertices, axis=0)
        assert size[2] == pytest.approx(product.height)
        assert size[0] == pytest.approx(product.width, rel=0.06)
        assert size[1] <= product.depth * 1.15
        a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
        volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
        assert volume > 0.35 * product.width * product.depth * product.height
        assert mesh.texture.min() >= 0
        assert mesh.texture.max() <= 1
