"""The rendered shelf agrees with its geometry, and with itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfhelp_ros.geometry import box_depth, position_at
from shelfhelp_ros.simulation.camera import SimulatedShelf
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import make_products
from shelfhelp_ros.simulation.scene import CameraPose, RenderedFrame, SceneSettings, ShelfScene, visible_boxes

coordinate = st.floats(-2, 2)


def look(scene: ShelfScene, sideways: float = 0.0, distance: float = 0.9, roll: float = 0.0) -> CameraPose:
    """A camera before the middle of the shelf."""
    middle = np.array([0.0, 0.05, scene.stock.top / 2])
    return CameraPose.looking_at(middle + np.array([sideways, -distance, 0.1]), middle, roll)


@given(st.tuples(coordinate, coordinate, coordinate), st.floats(-180, 180), st.floats(-1, 1), st.floats(-1, 1))
def test_pose_goes_there_and_back(point: tuple[float, float, float], roll: float, x: float, z: float) -> None:
    """Protects the frames: world to optical and back is nothing; the target is straight ahead."""
    pose = CameraPose.looking_at(np.array([x, -1.0, z]), np.array([0.3, 0.2, 0.1]), roll)
    assert pose.to_world(pose.to_optical(np.array(point))) == pytest.approx(np.array(point), abs=1e-9)
    ahead = pose.to_optical(np.array([0.3, 0.2, 0.1]))
    assert ahead[:2] == pytest.approx([0, 0], abs=1e-9)
    assert ahead[2] > 0
    assert pose.rotation @ pose.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(pose.rotation) == pytest.approx(1)


def test_upright_camera_has_x_right_and_y_down() -> None:
    """Protects against a mirrored or upside-down optical frame."""
    pose = CameraPose.looking_at(np.array([0.0, -1.0, 0.0]), np.zeros(3))
    assert pose.rotation == pytest.approx(np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), abs=1e-12)


@pytest.mark.usefixtures("_opengl")
def test_same_seed_same_pixels() -> None:
    """Protects reproducibility: two scenes of one seed are equal to the pixel, another seed's is not."""

    def render(seed: int) -> RenderedFrame:
        scene_settings = SceneSettings(layout=LAYOUTS["small"], width=160, height=120, texture=64)
        with ShelfScene(make_products(seed, 8), seed, scene_settings) as scene:
            return scene.render(look(scene))

    first, again, other = render(1), render(1), render(2)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.depth, again.depth, equal_nan=True)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(("sideways", "distance", "roll"), [(0.0, 0.9, 0.0), (0.4, 0.8, 0.0), (-0.3, 1.1, 12.0)])
def test_boxes_agree_with_the_projected_corners(
    small_scene: ShelfScene, sideways: float, distance: float, roll: float
) -> None:
    """Protects the labels: the box of a pack that is seen whole is that of its projected mesh, to a pixel or two."""
    pose = look(small_scene, sideways, distance, roll)
    frame = small_scene.render(pose)
    whole = 0
    for box, share, index in zip(frame.boxes, frame.visibility, frame.packs, strict=True):
        pixels = np.array([frame.camera.project(p) for p in pose.to_optical(small_scene.pack_vertices(index))])
        expected = np.concatenate([pixels.min(0), pixels.max(0)])
        inside = (expected[:2] > 1).all() and expected[2] < 319 and expected[3] < 239
        # What is seen can never reach beyond the outline.
        assert (box[:2] >= expected[:2] - 2).all()
        assert (box[2:] <= expected[2:] + 2).all()
        if inside and share > 0.96:
            whole += 1
            assert box == pytest.approx(expected, abs=2)
    assert whole >= 3


def test_depth_puts_fronts_where_they_are(small_scene: ShelfScene) -> None:
    """Protects depth and camera together: a front seen, by depth and pinhole, is where the scene has it."""
    pose = look(small_scene)
    frame = small_scene.render(pose)
    checked = 0
    for box, share, position, index in zip(frame.boxes, frame.visibility, frame.positions, frame.packs, strict=True):
        product = small_scene.stock.packs[index].product
        u, v = frame.camera.project(position)
        if share < 0.9 or product.shape not in ("box", "can") or not (0 <= u < 320 and 0 <= v < 240):
            continue
        measured = frame.camera.deproject(u, v, float(frame.depth[int(v), int(u)]))
        assert measured == pytest.approx(position, abs=0.006)
        middle = box_depth(box, frame.depth)
        assert middle is not None
        found, _ = position_at(box, middle[0], frame.camera)
        assert np.linalg.norm(found - position) < 0.6 * max(product.width, product.height)
        checked += 1
    assert checked >= 2


@given(sideways=st.floats(-0.3, 0.3), distance=st.floats(0.5, 1.4), roll=st.floats(-20, 20))
@settings(max_examples=8, deadline=None)
def test_every_depth_lies_on_the_shelf_or_beyond(
    small_scene: ShelfScene, sideways: float, distance: float, roll: float
) -> None:
    """Protects depth: every pixel, taken back to the world, lies on the shelf, on the floor or far behind."""
    pose = look(small_scene, sideways, distance, roll)
    frame = small_scene.render(pose)
    rows, columns = np.nonzero(np.isfinite(frame.depth))
    keep = np.arange(0, len(rows), 97)
    camera = frame.camera
    points = np.array(
        [camera.deproject(c + 0.5, r + 0.5, frame.depth[r, c]) for r, c in zip(rows[keep], columns[keep], strict=True)]
    )
    world = pose.to_world(points)
    assert (world[:, 1] > -0.03).mean() > 0.8
    assert (np.abs(world[:, 2]) < 6).all()
    assert world[:, 2].min() > -1.05


def test_occluded_packs_are_less_visible(small_scene: ShelfScene) -> None:
    """Protects ``visibility``: a hand before a pack takes away its share, and it comes back when the hand is gone."""
    pose = look(small_scene)
    small_scene.move_hand(None)
    free = small_scene.render(pose)
    most = int(np.argmax(free.visibility))
    pack = free.packs[most]
    small_scene.move_hand(small_scene.stock.packs[pack].front + np.array([0.0, -0.05, 0.0]))
    covered = small_scene.render(pose)
    small_scene.move_hand(None)
    share = dict(zip(covered.packs, covered.visibility, strict=True)).get(pack, 0.0)
    assert share < free.visibility[most] - 0.02
    assert np.array_equal(small_scene.render(pose).boxes, free.boxes)


def test_visible_boxes_of_a_drawn_map() -> None:
    """Protects the boxes' arithmetic: right and bottom edges lie behind the last pixel; unseen packs have none."""
    found = np.full((6, 8), -1, np.int32)
    found[1:3, 2:5] = 1
    found[5, 7] = 3
    boxes, counts, packs = visible_boxes(found, np.tile(np.float32([-np.inf, -np.inf, np.inf, np.inf]), (5, 1)))
    assert packs == (1, 3)
    assert boxes.tolist() == [[2, 1, 5, 3], [7, 5, 8, 6]]
    assert counts.tolist() == [6, 1]


def test_a_stray_pixel_stretches_no_box() -> None:
    """Protects the boxes from drivers that blend numbers at edges: what a pack cannot reach is no part of it."""
    found = np.full((6, 8), -1, np.int32)
    found[1:3, 2:5] = 1
    found[5, 7] = 1
    found[0, 0] = 2
    reaches = np.float32([[0, 0, 8, 6], [1.5, 0.5, 5.5, 3.5], [5, 2, 7, 4]])
    boxes, counts, packs = visible_boxes(found, reaches)
    assert packs == (1,)
    assert boxes.tolist() == [[2, 1, 5, 3]]
    assert counts.tolist() == [6]


def test_boxes_lie_within_the_outlines_of_their_packs(small_scene: ShelfScene) -> None:
    """Protects the ground truth on every machine and driver: a box shows its own pack, and reaches its edges."""
    frame = small_scene.render(look(small_scene))
    assert len(frame.packs) > 3
    for box, index, visibility in zip(frame.boxes, frame.packs, frame.visibility, strict=True):
        outline = small_scene.outline(index, frame.pose)
        assert outline is not None
        whole = np.array([*outline.min(axis=0), *outline.max(axis=0)])
        assert (box[:2] >= whole[:2] - 2).all()
        assert (box[2:] <= whole[2:] + 2).all()
        if visibility > 0.98:
            inside = np.clip(whole, 0, [frame.camera.width, frame.camera.height] * 2)
            np.testing.assert_allclose(box, inside, atol=2.5)


def test_truth_of_the_simulated_camera(shelf: SimulatedShelf) -> None:
    """Protects what the demo is judged by: truths are in the optical frame, nearest to the axis first."""
    frame = shelf.render()
    for product_id, position, index in zip(frame.product_ids, frame.positions, frame.packs, strict=True):
        truths = shelf.ground_truth(product_id)
        assert next(t for t in truths if t.pack == index).position == pytest.approx(position)
        angles = [np.hypot(*t.position[:2]) / t.position[2] for t in truths]
        assert angles == sorted(angles)
    assert shelf.ground_truth("nothing") == []


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_effects_keep_size_and_type_and_repeat(seed: int, width: int, height: int) -> None:
    """Protects training data: any random camera gives a picture of the same size, and the same one again."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    effects = Effects.sample(rng)
    taken = effects.apply(image, 3)
    assert taken.shape == image.shape
    assert taken.dtype == np.uint8
    assert np.array_equal(taken, effects.apply(image, 3))


def test_no_effects_change_nothing() -> None:
    """Protects the ground truth: with every effect off the picture stays as rendered."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(Effects(blur=0, noise=0, vignette=0).apply(image), image)
