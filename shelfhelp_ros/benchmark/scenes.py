"""Rendered shelves with a wanted number of products in view, as a camera that sways a little would see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.layout import Layout
from shelfhelp_ros.simulation.products import Product, make_products
from shelfhelp_ros.simulation.scene import CameraPose, RenderedFrame, SceneSettings, ShelfScene

FRAME_ID = "camera_color_optical_frame"
CLEARLY_VISIBLE = 0.6
SWAY_METRES = 0.01
NEAREST, FARTHEST = 0.25, 3.0


@dataclass(frozen=True)
class BenchmarkScene:
    """``frames`` of one shelf, ``in_view`` products clearly visible; ``target`` is the one nearest to the middle."""

    frames: tuple[Frame, ...]
    in_view: int
    target: Product
    others: tuple[Product, ...]


def render_scene(width: int, height: int, products_in_view: int, frames: int = 8, seed: int = 5) -> BenchmarkScene:
    """Render ``frames`` pictures of width × height pixels from the distance at which that many products are in view."""
    products = make_products(seed, 80)
    layout = Layout(width=2.6, rows=5, facings=(1, 2), gap=0.05, behind=0.0)
    settings = SceneSettings(layout=layout, width=width, height=height, shadows=False)
    with ShelfScene(products, seed, settings) as scene:
        middle = np.array([0.0, 0.1, scene.stock.top / 2])
        distance = _distance_for(scene, middle, products_in_view)
        views = [scene.render(_pose(middle, distance, step / frames)) for step in range(frames)]
    target_id = _nearest_to_middle(views[0])
    by_id = {product.id: product for product in products}
    seen = sorted(set(views[0].product_ids) - {target_id})
    return BenchmarkScene(
        frames=tuple(Frame(0, FRAME_ID, view.image, view.depth, view.camera) for view in views),
        in_view=_clearly_visible(views[0]),
        target=by_id[target_id],
        others=tuple(by_id[product_id] for product_id in seen),
    )


def _pose(middle: np.ndarray, distance: float, turn: float) -> CameraPose:
    """The camera at ``distance`` metres from the shelf, ``turn`` (0..1) of the way round its sway."""
    sway = SWAY_METRES * np.array([np.sin(2 * np.pi * turn), 0.0, np.cos(2 * np.pi * turn)])
    return CameraPose.looking_at(middle + sway - np.array([0.0, distance, 0.0]), middle + sway)


def _distance_for(scene: ShelfScene, middle: np.ndarray, wanted: int) -> float:
    near, far = NEAREST, FARTHEST
    for _ in range(8):
        distance = (near + far) / 2
        enough = _clearly_visible(scene.render(_pose(middle, distance, 0.0))) >= wanted
        near, far = (near, distance) if enough else (distance, far)
    return far


def _clearly_visible(view: RenderedFrame) -> int:
    return int((view.visibility >= CLEARLY_VISIBLE).sum())


def _nearest_to_middle(view: RenderedFrame) -> str:
    centres = (view.boxes[:, :2] + view.boxes[:, 2:]) / 2
    off_centre = np.abs(centres - [view.camera.width / 2, view.camera.height / 2]).max(axis=1)
    off_centre[view.visibility < CLEARLY_VISIBLE] = np.inf
    return view.product_ids[int(np.argmin(off_centre))]
