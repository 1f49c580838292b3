"""The wild domain, depth, and what the ground truth of a data set says beside its boxes."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.coco import CocoSettings, depth_millimetres, export_coco
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import family_differences, make_products
from shelfhelp_ros.simulation.scene import CameraPose, Lamp, Look, SceneSettings, ShelfScene

WILD = CocoSettings(seed=3, frames=4, width=160, height=120, products=40, layout="small", domain="wild", depth=True)
STILL = Effects(blur=0, noise=0, vignette=0)


def gradient(height: int = 90, width: int = 120) -> np.ndarray:
    """A picture with edges everywhere."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.usefixtures("_opengl")
def test_wild_pictures_do_not_depend_on_who_renders_them_and_when(tmp_path: Path) -> None:
    """Protects long exports: an interrupted one, gone on with by other workers, ends with the same bytes."""
    whole = export_coco(tmp_path / "whole", WILD)
    export_coco(tmp_path / "parts", replace(WILD, frames=2))
    for lost in ("frames/000001.jpg", "labels/000000.json"):
        (tmp_path / "parts" / lost).unlink()
    parts = export_coco(tmp_path / "parts", WILD, workers=2)
    assert json.loads(parts.read_text()) == json.loads(whole.read_text())
    for folder in ("frames", "depth"):
        files = sorted((tmp_path / "whole" / folder).iterdir())
        assert len(files) == WILD.frames
        for file in files:
            assert file.read_bytes() == (tmp_path / "parts" / folder / file.name).read_bytes(), file.name
    assert not list(tmp_path.rglob("*.part"))

    coco = json.loads(whole.read_text())
    for image in coco["images"]:
        assert image["drawn"]["domain"] == "wild"
        millimetres = cv2.imread(str(tmp_path / "whole" / image["depth"]), cv2.IMREAD_UNCHANGED)
        assert millimetres.dtype == np.uint16
        assert millimetres.shape == (image["height"], image["width"])
        x, y = round(image["camera"]["cx"]), round(image["camera"]["cy"])
        assert 200 < millimetres[y, x] < 6000


@pytest.mark.usefixtures("_opengl")
def test_the_domain_is_part_of_a_data_set(tmp_path: Path) -> None:
    """Protects data sets from being mixed, and lets those of versions before the domains go on as plain ones."""
    plain = replace(WILD, frames=1, domain="plain", depth=False)
    export_coco(tmp_path, plain)
    note = tmp_path / "settings.json"
    older = {k: v for k, v in json.loads(note.read_text()).items() if k not in ("domain", "depth")}
    note.write_text(json.dumps(older))
    export_coco(tmp_path, plain)
    with pytest.raises(ShelfHelpError, match="other settings"):
        export_coco(tmp_path, replace(plain, domain="wild"))
    with pytest.raises(ShelfHelpError, match="plain, wild"):
        CocoSettings(domain="wilder")  # type: ignore[arg-type]


def test_thousands_of_products_declare_their_families() -> None:
    """Protects the near-duplicates: no two products are the same, and what tells siblings apart is named."""
    products = make_products(8, 4000)
    assert len({p.id for p in products}) == len({(p.style, p.flavour, p.quantity, p.claim) for p in products}) == 4000
    differs = family_differences(products)
    families = defaultdict(list)
    for product in products:
        families[product.family].append(product)
    assert set(differs.values()) == {"", "flavour", "size", "word"}
    for family, members in families.items():
        assert (differs[family] == "") == (len(members) == 1)
        assert len({m.flavour for m in members}) == (len(members) if differs[family] == "flavour" else 1)
        assert len({m.quantity for m in members}) == (len(members) if differs[family] == "size" else 1)
        assert len({m.claim for m in members}) == (len(members) if differs[family] == "word" else 1)


def test_only_what_is_out_of_focus_is_blurred() -> None:
    """Protects the defocus: sharp at the distance in focus, softer the more dioptres away, nothing without depth."""
    picture = gradient()
    depth = np.full(picture.shape[:2], 1.0, np.float32)
    depth[:, 60:] = 0.4
    effects = replace(STILL, defocus=4.0, focus=1.0)
    taken = effects.apply(picture, depth=depth)
    assert np.array_equal(taken[:, :50], picture[:, :50])
    assert taken[:, 70:].std() < 0.5 * picture[:, 70:].std()
    assert np.array_equal(effects.apply(picture), picture)
    nearer = effects.apply(picture, depth=np.full_like(depth, 0.2))
    assert nearer[:, 70:].std() < taken[:, 70:].std()
    unknown = effects.apply(picture, depth=np.full_like(depth, np.nan))
    assert unknown.std() < picture.std()


@pytest.mark.parametrize("fault", [{"aisle": 0.8}, {"frost": 0.9}, {"flicker": 0.5}, {"metered": 60.0}])
def test_each_fault_changes_the_picture_and_is_off_by_default(fault: dict[str, float]) -> None:
    """Protects the plain domain: without the new faults a picture stays as it was, bit for bit."""
    picture = gradient()
    assert np.array_equal(STILL.apply(picture), picture)
    changed = replace(STILL, **fault).apply(picture)  # type: ignore[arg-type]
    assert not np.array_equal(changed, picture)
    assert np.array_equal(changed, replace(STILL, **fault).apply(picture))  # type: ignore[arg-type]


def test_a_metering_camera_exposes_for_its_level() -> None:
    """Protects the exposure: dark and bright scenes come out at the level that was asked for."""
    for brightness in (20, 90, 180):
        taken = replace(STILL, metered=80.0).apply(np.full((20, 20, 3), brightness, np.uint8))
        assert taken.mean() == pytest.approx(80, abs=1)


@pytest.mark.usefixtures("_opengl")
def test_arms_and_door_posts_hide_what_is_behind_them() -> None:
    """Protects boxes and visibility: whatever stands before a pack takes its pixels away in the truth as well."""
    products = make_products(5, 8)
    pose = CameraPose.looking_at(np.array([0.0, -0.7, 0.2]), np.array([0.0, 0.0, 0.2]))
    look = Look(
        sleeve=(0.1, 0.2, 0.8), posts=(0.0,), lamps=(Lamp((0.0, -1.0, 1.0), (0.0, 1.0, -0.5), (0.5, 0.4, 0.3)),)
    )
    free, hindered = (
        SceneSettings(layout=LAYOUTS["small"], look=chosen, effects=STILL, width=160, height=120, texture=64)
        for chosen in (Look(), look)
    )
    with ShelfScene(products, 5, free) as scene:
        open_view = dict(zip(*seen(scene, pose), strict=True))
    with ShelfScene(products, 5, hindered) as scene:
        behind_post = dict(zip(*seen(scene, pose), strict=True))
        lit = scene.render(pose).image
        scene.move_hand(np.array([0.15, -0.25, 0.2]), 60.0)
        behind_arm = dict(zip(*seen(scene, pose), strict=True))
        scene.move_hand(np.array([0.15, -0.25, 0.2]), -60.0)
        other_way = scene.render(pose).image
    assert sum(behind_post.values()) < sum(open_view.values()) - 0.3
    assert sum(behind_arm.values()) < sum(behind_post.values()) - 0.3
    assert not np.array_equal(lit, other_way)


def seen(scene: ShelfScene, pose: CameraPose) -> tuple[tuple[int, ...], list[float]]:
    """The packs that show and the shares of them that do."""
    frame = scene.render(pose)
    return frame.packs, [float(v) for v in frame.visibility]


def test_depth_is_millimetres_and_zero_where_unknown() -> None:
    """Protects the 16 bits: rounding, unknown places, and what is too far to be told."""
    metres = np.array([[0.5004, np.nan, 80.0]], np.float32)
    assert depth_millimetres(metres).tolist() == [[500, 0, 65535]]
