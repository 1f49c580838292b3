"""The shapes of packs as triangle meshes, and the textures that go on them.

A mesh stands with its foot on z = 0, its front towards -y and its middle at x = y = 0; lengths are metres. Texture
coordinates run from the lower left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.simulation.packs import (
    WRAP_FRONT,
    bottle_colours,
    bottle_profile,
    draw_front,
    draw_side,
    draw_wrap,
    label_span,
)
from shelfhelp_ros.simulation.products import Product

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
SEGMENTS = 24


@dataclass(frozen=True)
class Mesh:
    """``vertices`` N×3 metres, ``normals`` N×3, ``texture`` N×2 in 0..1, ``faces`` M×3 indices.

    ``parts`` names groups of vertices whose convex hulls make up the body, so that its outline can be filled from any
    side without drawing triangles.
    """

    vertices: Floats
    normals: Floats
    texture: Floats
    faces: npt.NDArray[np.int32]
    parts: tuple[npt.NDArray[np.int64], ...]


def pack_mesh(product: Product) -> Mesh:
    """The body of a product."""
    if product.shape == "box":
        return _box(product)
    if product.shape == "pouch":
        return _pouch(product)
    return _turned(product)


@lru_cache(maxsize=1024)
def pack_texture(product: Product, height: int = 192) -> Picture:
    """What is printed on the body, BGR, ``height`` pixels high, laid out as ``pack_mesh`` expects it.

    Drawing takes longer than rendering, so prints are kept and shared: do not write to them.
    """
    if product.shape in ("box", "pouch"):
        front_width = _pixels(height * product.width / product.height)
        front = draw_front(product, (front_width, height))
        if product.shape == "pouch":
            return front
        side = draw_side(product, (_pixels(height * product.depth / product.height), height))
        lid = np.full((height, 8, 3), np.round(front[: max(1, height // 20)].reshape(-1, 3).mean(0)), np.uint8)
        return np.hstack([front, side, lid])
    around = _pixels(height * np.pi * product.width / product.height)
    low, high = label_span(product)
    if product.shape == "can":
        skin = np.full((height, around, 3), (176, 174, 172), np.uint8)
    else:
        body, cap = bottle_colours(product)
        skin = np.full((height, around, 3), body[::-1], np.uint8)
        skin[: round(height * 0.1)] = cap[::-1]
    top, bottom = round(height * (1 - high)), round(height * (1 - low))
    skin[top:bottom] = draw_wrap(product, (around, bottom - top))
    return skin


def quad(width: float, height: float) -> Mesh:
    """An upright rectangle that faces -y, its foot on z = 0: a price label."""
    x, z = width / 2, height
    vertices = np.array([[-x, 0, 0], [x, 0, 0], [x, 0, z], [-x, 0, z], [0, 0.004, z / 2]], float)
    texture = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float)
    # A fifth vertex behind gives the sheet a volume, which the compiler asks of every mesh.
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]], np.int32)
    return Mesh(vertices, np.tile([0.0, -1, 0], (5, 1)), texture, faces, (np.arange(4),))


def _pixels(length: float) -> int:
    """A texture width that graphics drivers like: a multiple of four."""
    return max(8, 4 * round(length / 4))


def _box(product: Product) -> Mesh:
    w, d, h = product.width / 2, product.depth / 2, product.height
    pixels = 192.0
    front, side = _pixels(pixels * product.width / h), _pixels(pixels * product.depth / h)
    whole = front + side + 8
    a, b = front / whole, (front + side) / whole
    lid = (b + 1) / 2
    # (corners counter-clockwise from the lower left as seen from outside, outward normal, texture from u1 to u2)
    sides = (
        (((-w, -d, 0), (w, -d, 0), (w, -d, h), (-w, -d, h)), (0, -1, 0), (0.0, a)),
        (((w, -d, 0), (w, d, 0), (w, d, h), (w, -d, h)), (1, 0, 0), (a, b)),
        (((-w, d, 0), (-w, -d, 0), (-w, -d, h), (-w, d, h)), (-1, 0, 0), (a, b)),
        (((w, d, 0), (-w, d, 0), (-w, d, h), (w, d, h)), (0, 1, 0), (0.0, a)),
        (((-w, -d, h), (w, -d, h), (w, d, h), (-w, d, h)), (0, 0, 1), (lid, lid)),
        (((-w, d, 0), (w, d, 0), (w, -d, 0), (-w, -d, 0)), (0, 0, -1), (lid, lid)),
    )
    vertices, normals, texture, faces = [], [], [], []
    for index, (corners, normal, (left, right)) in enumerate(sides):
        vertices += list(corners)
        normals += [normal] * 4
        texture += [(left, 0.0), (right, 0.0), (right, 1.0), (left, 1.0)]
        first = 4 * index
        faces += [(first, first + 1, first + 2), (first, first + 2, first + 3)]
    return Mesh(
        np.array(vertices, float),
        np.array(normals, float),
        np.array(texture),
        np.array(faces, np.int32),
        (np.arange(24),),
    )


def _turned(product: Product) -> Mesh:
    """A can or bottle: a profile turned round the z axis, the middle of the label's first front towards -y."""
    if product.shape == "can":
        outline = [(0.0, 0.0), (0.94, 0.0), (1.0, 0.03), (1.0, 0.97), (0.92, 1.0), (0.9, 0.985), (0.0, 0.985)]
    else:
        profile = bottle_profile(product)
        outline = [(0.0, 0.0), *profile, (0.0, 1.0)]
    profile_array = np.array(outline) * [product.width / 2, product.height]
    turn = np.arange(SEGMENTS + 1) / SEGMENTS
    # u grows counter-clockwise seen from above; u = WRAP_FRONT / 2 has to face -y.
    angle = 2 * np.pi * (turn - WRAP_FRONT / 2) - np.pi / 2
    radius, z = profile_array[:, 0][:, None], profile_array[:, 1][:, None]
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)[None]
    vertices = np.concatenate(
        [radius[..., None] * circle, np.broadcast_to(z[..., None], (*z.shape[:1], len(turn), 1))], -1
    )
    slope = _profile_normals(profile_array)
    normals = np.concatenate(
        [slope[:, None, :1] * circle, np.broadcast_to(slope[:, None, 1:], (len(slope), len(turn), 1))], -1
    )
    v = np.broadcast_to(z / product.height, (len(z), len(turn)))
    u = np.broadcast_to(turn, (len(z), len(turn)))
    rings, columns = len(profile_array), len(turn)
    grid = np.arange(rings * columns).reshape(rings, columns)
    faces = _strips(grid)
    parts = tuple(np.concatenate([grid[k], grid[k + 1]]) for k in range(rings - 1))
    return Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), np.stack([u, v], -1).reshape(-1, 2), faces, parts)


def _profile_normals(profile: Floats) -> Floats:
    """Outward (radial, up) unit normals at the points of a profile that runs upwards."""
    along = np.gradient(profile, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], -1)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(normal / np.maximum(length, 1e-9))


def _strips(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Triangles over a grid of vertices whose rows run left to right as seen from outside, upwards."""
    a, b = grid[:-1, :-1].ravel(), grid[:-1, 1:].ravel()
    c, d = grid[1:, 1:].ravel(), grid[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).astype(np.int32)


def _pouch(product: Product) -> Mesh:
    """A filled bag: front and back bulge, the crimped ends are flat, and the film is dented a little."""
    rng = np.random.default_rng([product.style, 7])
    columns, rows = 11, 13
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    plump = (1 - np.abs(2 * u - 1) ** 2.5) * np.clip(1 - np.abs(2 * v - 1) ** 6, 0, 1) ** 0.7
    dents = cv2.resize(rng.normal(0, 0.06, (5, 5)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    half = product.depth / 2 * (plump * (1 + dents) * 0.94 + 0.04)
    # The filling draws the sides in where the bag is thickest.
    x = (u - 0.5) * product.width * (1 - 0.06 * np.sin(np.pi * v))
    z = v * product.height
    front = np.stack([x, -half, z], -1)
    back = np.stack([x[:, ::-1], half[:, ::-1], z], -1)
    vertices = np.concatenate([front.reshape(-1, 3), back.reshape(-1, 3)])
    grid = np.arange(rows * columns).reshape(rows, columns)
    body = np.hstack([grid, grid + rows * columns])
    ring = np.hstack([body, body[:, :1]])
    faces = _strips(ring)
    texture = np.concatenate([np.stack([u, v], -1).reshape(-1, 2)] * 2)
    return Mesh(vertices, vertex_normals(vertices, faces), texture, faces, (np.arange(len(vertices)),))


def vertex_normals(vertices: Floats, faces: npt.NDArray[np.int32]) -> Floats:
    """Area-weighted unit normals of a mesh's vertices."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], face_normals)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))
