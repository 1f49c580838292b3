"""A shelf in MuJoCo: packs, labels, walls, light and a hand, seen by a camera, with the truth about every picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import BoxArray, CameraModel
from shelfhelp_ros.sightings import FloatArray, ImageArray
from shelfhelp_ros.simulation.artwork import HEAVY_FACES, write
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import BOARD, RAIL_HEIGHT, Layout, Stock, stock_shelf
from shelfhelp_ros.simulation.meshes import Mesh, pack_mesh, pack_texture, quad
from shelfhelp_ros.simulation.products import Product
from shelfhelp_ros.simulation.renderer import Renderer, load_mujoco

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

LABEL_SIZE = (0.055, 0.034)
OUTLINE_PIXELS = 384
FAR_AWAY = np.array([0.0, 0.0, -50.0])


@dataclass(frozen=True)
class CameraPose:
    """Where the camera is: ``position`` (3,) metres in the world, ``rotation`` 3×3 from the optical frame to it."""

    position: Vector
    rotation: Matrix

    @classmethod
    def looking_at(cls, position: Vector, target: Vector, roll_degrees: float = 0.0) -> CameraPose:
        """A camera at ``position`` that has ``target`` in the middle of its picture, upright but for the roll."""
        forward = np.asarray(target, float) - position
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right = right / np.linalg.norm(right)
        down = np.cross(forward, right)
        angle = np.radians(roll_degrees)
        rolled_right = np.cos(angle) * right + np.sin(angle) * down
        rolled_down = np.cos(angle) * down - np.sin(angle) * right
        return cls(np.asarray(position, float), np.stack([rolled_right, rolled_down, forward], axis=1))

    def to_optical(self, points: Vector) -> Vector:
        """World points (N×3 or (3,), metres) in the optical frame."""
        return np.asarray((points - self.position) @ self.rotation)

    def to_world(self, points: Vector) -> Vector:
        """Points of the optical frame (N×3 or (3,), metres) in the world."""
        return np.asarray(points @ self.rotation.T + self.position)


@dataclass(frozen=True)
class RenderedFrame:
    """One picture and the truth about it, for N packs of which at least one pixel shows.

    ``image`` H×W×3 uint8 BGR; ``depth`` H×W float32 metres, NaN where unknown, aligned; ``boxes`` N×4 pixels around
    what is visible of each pack; ``product_ids`` N; ``visibility`` N, the share of the pack's outline (picture edges
    included) that shows; ``positions`` N×3, the middle of each front in metres in the optical frame; ``packs`` N,
    the packs' numbers in the scene.
    """

    image: ImageArray
    depth: FloatArray
    camera: CameraModel
    pose: CameraPose
    boxes: BoxArray
    product_ids: tuple[str, ...]
    visibility: FloatArray
    positions: Vector
    packs: tuple[int, ...]


@dataclass(frozen=True)
class Lamp:
    """A spotlight: ``position`` metres in the world, ``direction`` of its beam, ``colour`` RGB (may exceed 1).

    ``cutoff`` is half the angle of the beam in degrees.
    """

    position: tuple[float, float, float]
    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    cutoff: float = 60.0


@dataclass(frozen=True)
class Look:
    """Light and surfaces of a shop. Colours are RGB in 0..1, light levels relative, ``sun`` a direction of travel.

    ``lamps`` shine besides the sun; ``sleeve`` is the colour of a sleeve on the shopper's arm, if any; ``posts`` are
    the places along the shelf (metres) of the upright frames of glass doors before it.
    """

    ambient: float = 0.42
    head: float = 0.25
    lamp: float = 0.5
    sun: tuple[float, float, float] = (0.15, 0.55, -0.8)
    shelf: tuple[float, float, float] = (0.82, 0.82, 0.8)
    rail: tuple[float, float, float] = (0.9, 0.9, 0.88)
    wall: tuple[float, float, float] = (0.55, 0.54, 0.52)
    room: tuple[float, float, float] = (0.35, 0.34, 0.33)
    skin: tuple[float, float, float] = (0.83, 0.62, 0.5)
    gloss: float = 0.3
    pattern: int = 0
    lamps: tuple[Lamp, ...] = ()
    sleeve: tuple[float, float, float] | None = None
    posts: tuple[float, ...] = ()

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Look:
        """A random shop."""
        grey = float(rng.choice([rng.uniform(0.04, 0.2), rng.uniform(0.5, 0.95)]))
        tint = rng.normal(0, 0.04, 3)
        rail = rng.uniform(0, 1, 3) if rng.random() < 0.4 else np.clip(grey + rng.normal(0.05, 0.05, 3), 0, 1)
        skin = np.array([0.9, 0.72, 0.6]) * float(rng.uniform(0.35, 1.05)) + rng.normal(0, 0.02, 3)
        return cls(
            ambient=float(rng.uniform(0.35, 0.6)),
            head=float(rng.uniform(0.1, 0.35)),
            lamp=float(rng.uniform(0.3, 0.75)),
            sun=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.2, 0.9)), -float(rng.uniform(0.3, 1))),
            shelf=_rgb(grey + tint),
            rail=_rgb(rail),
            wall=_rgb(np.full(3, float(rng.uniform(0.03, 0.8))) + tint),
            room=_rgb(rng.uniform(0, 1) + rng.normal(0, 0.05, 3)),
            skin=_rgb(skin),
            gloss=float(rng.uniform(0, 0.8)),
            pattern=int(rng.integers(1, 10_000)),
        )


def _rgb(values: npt.ArrayLike) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in np.clip(values, 0.02, 1))
    return red, green, blue


@dataclass(frozen=True)
class SceneSettings:
    """How a shelf is built and drawn. ``texture`` is the height of a pack's print in pixels."""

    layout: Layout = field(default_factory=Layout)
    look: Look = field(default_factory=Look)
    effects: Effects = field(default_factory=Effects)
    width: int = 640
    height: int = 480
    field_of_view: float = 60.0
    shadows: bool = True
    texture: int = 192


class ShelfScene:
    """A stocked shelf, ready to be looked at. The same seed, products and settings give the same pixels on one machine.

    Close it when done, or use it in a ``with`` statement: it holds an OpenGL context.
    """

    def __init__(self, products: list[Product], seed: int, settings: SceneSettings | None = None) -> None:
        self.settings = settings or SceneSettings()
        self.stock: Stock = stock_shelf(products, self.settings.layout, seed)
        width, height = self.settings.width, self.settings.height
        self.camera = CameraModel.from_field_of_view(width, height, self.settings.field_of_view)
        self._mujoco = load_mujoco()
        builder = _Builder(self._mujoco, self.stock, self.settings)
        self._meshes = builder.meshes
        self._model: Any = builder.compile(self.camera)
        self._data: Any = self._mujoco.MjData(self._model)
        self._pack_of_geom = np.full(self._model.ngeom + 1, -1, np.int32)
        for index in range(len(self.stock.packs)):
            self._pack_of_geom[self._model.geom(f"pack{index}").id] = index
        self._places = self._model.geom_pos.copy()
        self._shifts = np.zeros((len(self.stock.packs), 3))
        self._renderer = Renderer(self._model, width, height)
        self._frames = 0
        self.move_hand(None)

    def __enter__(self) -> ShelfScene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._renderer.close()

    def move_hand(self, position: Vector | None, roll_degrees: float = 0.0) -> None:
        """Put the middle of the fingertips at ``position`` (3,) metres in the world; None takes the hand away.

        The fingers point into the shelf and the forearm comes from below the camera; a positive ``roll_degrees`` lets
        it come from the left instead, a negative one from the right.
        """
        self._data.mocap_pos[1] = FAR_AWAY if position is None else position
        half = np.radians(roll_degrees) / 2
        self._data.mocap_quat[1] = [np.cos(half), 0.0, np.sin(half), 0.0]

    def move_pack(self, index: int, shift: Vector) -> None:
        """Put a pack ``shift`` (3,) metres from its place on the shelf, turned as it stood there."""
        geom = self._model.geom(f"pack{index}").id
        self._model.geom_pos[geom] = self._places[geom] + shift
        self._shifts[index] = shift

    @contextmanager
    def moved(self, shifts: Mapping[int, Vector]) -> Iterator[None]:
        """For a while, packs by their number are that far from their places on the shelf (``move_pack``)."""
        for index, shift in shifts.items():
            self.move_pack(index, shift)
        try:
            yield
        finally:
            for index in shifts:
                self.move_pack(index, np.zeros(3))

    def front(self, index: int) -> Vector:
        """Middle of the front of a pack where it is now (3,), metres in the world."""
        return np.asarray(self.stock.packs[index].front + self._shifts[index])

    def render(
        self, pose: CameraPose, effects: Effects | None = None, truth: bool = True, moment: int | None = None
    ) -> RenderedFrame:
        """The picture from ``pose``. Without ``truth`` there are no boxes, which saves a few milliseconds.

        ``moment`` numbers the picture, which varies the noise; by default pictures are counted.
        """
        self._data.mocap_pos[0] = pose.position
        quaternion = np.empty(4)
        self._mujoco.mju_mat2Quat(quaternion, (pose.rotation * [1.0, -1.0, -1.0]).ravel())
        self._data.mocap_quat[0] = quaternion
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update(self._data, self.settings.shadows)
        clean = self._renderer.colour()
        depth, geoms = self._renderer.depth_and_geoms()
        image = (effects or self.settings.effects).apply(clean, self._frames if moment is None else moment, depth)
        self._frames += 1
        found = self._pack_of_geom[geoms] if truth else np.full((1, 1), -1, np.int32)
        whole = {int(index): self.outline(int(index), pose) for index in np.unique(found) if index >= 0}
        boxes, counts, packs = visible_boxes(found, self._reaches(whole))
        positions = np.array([self.front(index) for index in packs]).reshape(-1, 3)
        outlines = np.array([self._outline_area(index, whole[index]) for index in packs], np.float32)
        return RenderedFrame(
            image=image,
            depth=depth,
            camera=self.camera,
            pose=pose,
            boxes=boxes,
            product_ids=tuple(self.stock.packs[index].product.id for index in packs),
            visibility=np.minimum(counts / np.maximum(outlines, 1), 1).astype(np.float32),
            positions=pose.to_optical(positions),
            packs=packs,
        )

    def pack_vertices(self, index: int) -> Vector:
        """The corners of a pack's mesh, N×3 metres in the world."""
        pack = self.stock.packs[index]
        turn = np.array([[np.cos(pack.yaw), -np.sin(pack.yaw), 0], [np.sin(pack.yaw), np.cos(pack.yaw), 0], [0, 0, 1]])
        return np.asarray(self._meshes[pack.product.id].vertices @ turn.T + pack.foot + self._shifts[index])

    def outline(self, index: int, pose: CameraPose) -> Vector | None:
        """Where the corners of a pack lie in a picture from ``pose``, N×2 pixels; None when one is behind it."""
        points = pose.to_optical(self.pack_vertices(index))
        if points[:, 2].min() < 0.02:
            return None
        focal, centre = [self.camera.fx, self.camera.fy], [self.camera.cx, self.camera.cy]
        return np.asarray(points[:, :2] / points[:, 2:] * focal + centre)

    def _reaches(self, outlines: Mapping[int, Vector | None]) -> BoxArray:
        """Box round each of the packs with an outline, a pixel to spare; unlimited for all others."""
        reaches = np.tile(np.array([-np.inf, -np.inf, np.inf, np.inf], np.float32), (len(self.stock.packs), 1))
        for index, pixels in outlines.items():
            if pixels is not None:
                reaches[index] = [*(pixels.min(axis=0) - 1), *(pixels.max(axis=0) + 1)]
        return reaches

    def _outline_area(self, index: int, pixels: Vector | None) -> float:
        """Pixels that a pack would cover if nothing stood before it and the picture had no edges, by its outline."""
        if pixels is None:
            return float("inf")
        parts = self._meshes[self.stock.packs[index].product.id].parts
        if len(parts) == 1:
            return float(cv2.contourArea(cv2.convexHull(pixels.astype(np.float32))))
        # The parts overlap, so their union is painted, at a size of its own: edge pixels then weigh little.
        low, span = pixels.min(0), np.ptp(pixels, axis=0).max()
        fixed = np.round((pixels - low) * (OUTLINE_PIXELS / span * 16)).astype(np.int32)
        mask = np.zeros((OUTLINE_PIXELS + 1, OUTLINE_PIXELS + 1), np.uint8)
        for part in parts:
            cv2.fillConvexPoly(mask, cv2.convexHull(fixed[part]), 1, shift=4)
        return float(np.count_nonzero(mask)) * float(span / OUTLINE_PIXELS) ** 2


def visible_boxes(
    found: npt.NDArray[np.int32], reaches: BoxArray
) -> tuple[BoxArray, npt.NDArray[np.int64], tuple[int, ...]]:
    """Boxes (N×4), pixel counts (N) and numbers of the packs in an H×W map of pack numbers, -1 where there is none.

    ``reaches`` (packs×4) says how far each pack can reach. What lies outside is no part of it: a graphics driver
    that blends the numbers of neighbours at an edge makes that of a pack elsewhere, and one pixel stretches a box.
    """
    count = len(reaches)
    rows, columns = np.nonzero(found >= 0)
    numbers = found[rows, columns]
    low_x, low_y, high_x, high_y = reaches[numbers].T
    own = (columns + 1 > low_x) & (columns < high_x) & (rows + 1 > low_y) & (rows < high_y)
    rows, columns, numbers = rows[own], columns[own], numbers[own]
    counts = np.bincount(numbers, minlength=count)
    low = np.full((2, count), np.iinfo(np.int32).max)
    high = np.full((2, count), -1)
    for axis, values in enumerate((columns, rows)):
        np.minimum.at(low[axis], numbers, values)
        np.maximum.at(high[axis], numbers, values)
    packs = np.nonzero(counts)[0]
    boxes = np.stack([low[0], low[1], high[0] + 1, high[1] + 1], -1)[packs]
    return boxes.astype(np.float32).reshape(-1, 4), counts[packs], tuple(int(index) for index in packs)


class _Builder:
    """Writes the MuJoCo model: one mesh and texture a product, one geom a pack."""

    def __init__(self, mujoco: Any, stock: Stock, settings: SceneSettings) -> None:
        self._mujoco = mujoco
        self._stock = stock
        self._settings = settings
        self._spec: Any = mujoco.MjSpec()
        self.meshes: dict[str, Mesh] = {}

    def compile(self, camera: CameraModel) -> Any:
        spec, layout = self._spec, self._settings.layout
        spec.stat.extent = 2.0
        spec.stat.center = [0, 0, self._stock.top / 2]
        spec.visual.map.znear, spec.visual.map.zfar = 0.01, 6.0
        spec.visual.map.shadowclip = max(layout.width, self._stock.top)
        spec.visual.quality.shadowsize = 2048
        spec.visual.quality.offsamples = 4
        vertical = 2 * np.degrees(np.arctan(camera.height / 2 / camera.fy))
        body = spec.worldbody.add_body(name="camera", mocap=True)
        body.add_camera(name="camera", fovy=vertical)
        self._add_hand()
        self._add_light()
        self._add_furniture()
        self._add_packs()
        self._add_labels()
        return spec.compile()

    def _add_light(self) -> None:
        look, visual = self._settings.look, self._spec.visual
        visual.headlight.ambient = [look.ambient] * 3
        visual.headlight.diffuse = [look.head] * 3
        visual.headlight.specular = [look.gloss * 0.2] * 3
        light = self._spec.worldbody.add_light(
            pos=[0, -1.2, self._stock.top + 1], dir=list(look.sun), diffuse=[look.lamp] * 3, castshadow=True,
            type=self._mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        )  # fmt: skip
        light.specular = [look.gloss * 0.6] * 3
        for lamp in look.lamps:
            self._spec.worldbody.add_light(
                pos=lamp.position, dir=lamp.direction, diffuse=lamp.colour, specular=[look.gloss * 0.3] * 3,
                type=self._mujoco.mjtLightType.mjLIGHT_SPOT, cutoff=lamp.cutoff, exponent=2.0, castshadow=False,
                attenuation=[1.0, 0.0, 0.4],
            )  # fmt: skip
        self._spec.add_texture(
            name="sky", type=self._mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=self._mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=list(look.room), rgb2=[v * 0.4 for v in look.room], width=64, height=64,
        )  # fmt: skip

    def _add_furniture(self) -> None:
        look, layout, stock = self._settings.look, self._settings.layout, self._stock
        rng = np.random.default_rng([look.pattern, 3])
        wall = _wall_texture(rng, look)
        self._material("wall", wall, gloss=0.05)
        half, top = layout.width / 2 + 0.02, stock.top
        self._box("wall", [0, layout.depth + 0.015, top / 2], [half, 0.01, top / 2 + 0.1], material="wall")
        for side in (-1, 1):
            self._box(
                f"side{side}",
                [side * (half + 0.01), layout.depth / 2, top / 2],
                [0.01, layout.depth / 2, top / 2 + 0.1],
                look.shelf,
            )
        for index, height in enumerate((*stock.boards, top)):
            middle = [0, layout.depth / 2, height - BOARD / 2]
            self._box(f"board{index}", middle, [half, layout.depth / 2, BOARD / 2], look.shelf)
            self._box(f"rail{index}", [0, -0.003, height - RAIL_HEIGHT / 2], [half, 0.003, RAIL_HEIGHT / 2], look.rail)
        for index, x in enumerate(look.posts):
            self._box(f"post{index}", [x, -0.05, top / 2], [0.018, 0.012, top / 2 + 0.1], look.rail)
        self._box("floor", [0, 0, -1.0], [6, 6, 0.01], _rgb(np.array(look.room) * 0.8))

    def _box(
        self,
        name: str,
        middle: list[float],
        half: list[float],
        colour: tuple[float, float, float] | None = None,
        material: str = "",
    ) -> None:
        geom = self._spec.worldbody.add_geom(name=name, type=self._mujoco.mjtGeom.mjGEOM_BOX, pos=middle, size=half)
        geom.contype = geom.conaffinity = 0
        if colour is not None:
            geom.rgba = [*colour, 1.0]
        if material:
            geom.material = material

    def _material(self, name: str, texture: npt.NDArray[np.uint8], gloss: float) -> None:
        # Rows of OpenGL textures start at the bottom.
        pixels = np.ascontiguousarray(texture[::-1, :, ::-1])
        made = self._spec.add_texture(name=name, type=self._mujoco.mjtTexture.mjTEXTURE_2D)
        made.height, made.width, made.nchannel = texture.shape
        made.data = pixels.tobytes()
        material = self._spec.add_material(name=name, specular=gloss, shininess=0.5)
        material.textures[self._mujoco.mjtTextureRole.mjTEXROLE_RGB] = name

    def _mesh(self, name: str, mesh: Mesh) -> None:
        faces = mesh.faces.ravel()
        self._spec.add_mesh(
            name=name, uservert=mesh.vertices.ravel(), usernormal=mesh.normals.ravel(),
            usertexcoord=mesh.texture.ravel(),
            userface=faces, userfacenormal=faces, userfacetexcoord=faces,
            inertia=self._mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
        )  # fmt: skip

    def _add_packs(self) -> None:
        gloss = {"box": 0.25, "pouch": 0.7, "can": 0.8, "bottle": 0.8}
        for index, pack in enumerate(self._stock.packs):
            product = pack.product
            if product.id not in self.meshes:
                self.meshes[product.id] = pack_mesh(product)
                self._mesh(product.id, self.meshes[product.id])
                texture = pack_texture(product, self._settings.texture)
                self._material(product.id, texture, gloss[product.shape] * self._settings.look.gloss * 2)
            geom = self._spec.worldbody.add_geom(
                name=f"pack{index}", type=self._mujoco.mjtGeom.mjGEOM_MESH, meshname=product.id, material=product.id,
                pos=pack.foot, quat=[np.cos(pack.yaw / 2), 0, 0, np.sin(pack.yaw / 2)],
            )  # fmt: skip
            geom.contype = geom.conaffinity = 0

    def _add_labels(self) -> None:
        self._mesh("label", quad(*LABEL_SIZE))
        drawn = set()
        for label in self._stock.labels:
            name = f"price-{label.product.id}"
            if name not in drawn:
                self._material(name, price_label(label.product), gloss=0.2)
                drawn.add(name)
            geom = self._spec.worldbody.add_geom(
                type=self._mujoco.mjtGeom.mjGEOM_MESH, meshname="label", material=name, pos=label.middle
            )
            geom.contype = geom.conaffinity = 0

    def _add_hand(self) -> None:
        """A right hand that reaches into the shelf: four fingers, a thumb, a palm and the forearm."""
        hand = self._spec.worldbody.add_body(name="hand", mocap=True)
        skin = [*self._settings.look.skin, 1.0]
        capsule, ellipsoid = self._mujoco.mjtGeom.mjGEOM_CAPSULE, self._mujoco.mjtGeom.mjGEOM_ELLIPSOID
        for index, (x, length) in enumerate(((-0.03, 0.068), (-0.01, 0.08), (0.011, 0.075), (0.031, 0.058))):
            hand.add_geom(
                name=f"finger{index}",
                type=capsule,
                fromto=[x, -0.004, 0, x * 0.8, -length, -0.012],
                size=[0.0085, 0, 0],
                rgba=skin,
            )
        hand.add_geom(
            name="thumb", type=capsule, fromto=[-0.055, -0.05, 0.0, -0.03, -0.1, -0.018], size=[0.011, 0, 0], rgba=skin
        )
        hand.add_geom(name="palm", type=ellipsoid, pos=[0, -0.11, -0.016], size=[0.043, 0.055, 0.017], rgba=skin)
        hand.add_geom(
            name="arm", type=capsule, fromto=[0, -0.15, -0.025, 0.05, -0.33, -0.3], size=[0.027, 0, 0], rgba=skin
        )
        if self._settings.look.sleeve is not None:
            hand.add_geom(
                name="sleeve", type=capsule, fromto=[0.012, -0.2, -0.1, 0.11, -0.72, -0.66], size=[0.046, 0, 0],
                rgba=[*self._settings.look.sleeve, 1.0],
            )  # fmt: skip
        for geom in hand.geoms:
            geom.contype = geom.conaffinity = 0


def price_label(product: Product) -> npt.NDArray[np.uint8]:
    """A paper label of 96×60 pixels, BGR: the price in large figures under the product's name."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng([product.style, 8])
    paper = (255, 236, 80) if rng.random() < 0.15 else (250, 250, 246)
    canvas = Image.new("RGB", (96, 60), paper)
    write(canvas, product.name, "DejaVuSans", (4, 4, 92, 13), (30, 30, 30), align=0)
    price = f"{rng.integers(0, 9)}.{rng.integers(0, 10)}9"
    write(
        canvas, price, HEAVY_FACES[0], (34, 18, 92, 48), (190, 20, 20) if rng.random() < 0.2 else (10, 10, 10), align=1
    )
    pen = ImageDraw.Draw(canvas)
    for x in range(4, 28, 3):
        pen.line([x, 30, x, 52], fill=(0, 0, 0), width=int(rng.integers(1, 3)))
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def _wall_texture(rng: np.random.Generator, look: Look) -> npt.NDArray[np.uint8]:
    """The back of the shelf: plain, pegboard, stripes or stained."""
    colour = np.array(look.wall[::-1], np.float32) * 255
    y, x = np.mgrid[0:256, 0:256]
    manner = int(rng.integers(4))
    shade = np.ones((256, 256), np.float32)
    if manner == 1:
        shade -= 0.6 * (((x % 16) - 8) ** 2 + ((y % 16) - 8) ** 2 < 7)
    elif manner == 2:
        shade -= 0.25 * ((x // int(rng.integers(4, 20))) % 2)
    elif manner == 3:
        stain = cv2.resize(rng.normal(0, 0.2, (9, 9)).astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
        shade += np.asarray(stain)
    noise = rng.normal(1, 0.03, (256, 256)).astype(np.float32)
    return np.clip(colour * (shade * noise)[..., None], 0, 255).astype(np.uint8)
