"""Colour and depth of a shelf bin: the stored depth, the cameras, and what is missing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_training.data.apc_rgbd import depth_metres, load_scene

INFO = """# Environment: shelf
# Bin ID: B
# Objects: ["kleenex_tissue_box","i_am_a_bunny_book"]

# Color camera intrinsic matrix
 6.0e+01\t  0.0e+00\t  3.1e+01\t
 0.0e+00\t  6.1e+01\t  2.3e+01\t
 0.0e+00\t  0.0e+00\t  1.0e+00\t

# Depth camera intrinsic matrix
 4.7e+01\t  0.0e+00\t  3.2e+01\t
 0.0e+00\t  4.7e+01\t  2.4e+01\t
 0.0e+00\t  0.0e+00\t  1.0e+00\t

# Depth-to-color camera extrinsic matrix
 1.0e+00\t 0.0e+00\t 0.0e+00\t 2.5e-02\t
 0.0e+00\t 1.0e+00\t 0.0e+00\t -7.0e-04\t
 0.0e+00\t 0.0e+00\t 1.0e+00\t 4.0e-03\t
 0.0e+00\t 0.0e+00\t 0.0e+00\t 1.0e+00\t

# Camera-to-world extrinsic matrix (camera pose) for frame-000000
 4.3e-01\t 3.7e-05\t 8.9e-01\t 1.17e+00\t
-8.9e-01\t -2.3e-04\t 4.3e-01\t -1.6e-01\t
 2.2e-04\t -9.9e-01\t -6.9e-05\t 1.15e+00\t
 0.0e+00\t 0.0e+00\t 0.0e+00\t 1.0e+00\t
"""


def write_scene(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cam.info.txt").write_text(INFO)
    cv2.imwrite(str(folder / "frame-000000.color.png"), np.full((48, 64, 3), 90, np.uint8))
    millimetres = np.full((48, 64), 800, np.uint16)
    millimetres[:, :10] = 0
    tenths = (millimetres * np.uint16(10)).astype(np.uint16)
    cv2.imwrite(str(folder / "frame-000000.depth.png"), (tenths << 3) | (tenths >> 13))
    return folder


def test_depth_is_turned_back() -> None:
    """Taken as it is stored, depth would be eight times too far, and the near wrap round to the far."""
    for metres in (0.0001, 0.5, 0.8191, 0.8192, 6.5):
        tenths = np.array([[round(metres * 10_000)]], np.uint16)
        stored = (tenths << 3) | (tenths >> 13)
        assert depth_metres(stored)[0, 0] == pytest.approx(metres, abs=1e-6)
    assert np.isnan(depth_metres(np.zeros((1, 1), np.uint16))).all()


def test_a_scene_has_objects_cameras_and_poses(tmp_path: Path) -> None:
    """Matrices come from their own sections, whatever their number of rows."""
    scene = load_scene(write_scene(tmp_path))
    assert scene.objects == ("kleenex_tissue_box", "i_am_a_bunny_book")
    frame = scene.read("frame-000000")
    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (60, 61, 31, 23)
    assert (frame.depth_camera.fx, frame.depth_camera.width, frame.depth_camera.height) == (47, 64, 48)
    assert np.isnan(frame.depth[:, :10]).all()
    np.testing.assert_allclose(frame.depth[:, 10:], 0.8)
    assert frame.depth_to_colour[0, 3] == 0.025
    assert frame.pose.shape == (4, 4)


def test_broken_scenes_are_named(tmp_path: Path) -> None:
    """One line for each: no folder, no frames, an 8-bit depth picture, a pose that is not there."""
    with pytest.raises(ShelfHelpError, match=r"cam\.info\.txt is not"):
        load_scene(tmp_path)
    (tmp_path / "cam.info.txt").write_text(INFO)
    with pytest.raises(ShelfHelpError, match="holds no scene"):
        load_scene(tmp_path)
    write_scene(tmp_path)
    (tmp_path / "cam.info.txt").write_text(INFO.replace("frame-000000", "frame-000007"))
    with pytest.raises(ShelfHelpError, match="frame-000000"):
        load_scene(tmp_path).read("frame-000000")
    cv2.imwrite(str(tmp_path / "frame-000000.depth.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(ShelfHelpError, match="16-bit"):
        load_scene(tmp_path).read("frame-000000")
    (tmp_path / "cam.info.txt").write_text("# Objects: [broken\n# Color camera intrinsic matrix\n 1 2\n 3\n")
    with pytest.raises(ShelfHelpError, match="is not the description"):
        load_scene(tmp_path)


@pytest.mark.photos
def test_the_real_bin_lies_within_reach(photos: Path) -> None:
    """A shelf bin lies within reach of its camera; stored values that were not turned back would be all over."""
    scene = load_scene(photos / "apc_rgbd" / "data" / "sample" / "scene-0000")
    assert len(scene.frames) == 15
    assert len(scene.objects) == 4
    frame = scene.read(scene.frames[0])
    assert frame.image.shape == (480, 640, 3)
    assert 0.3 < float(np.nanmedian(frame.depth)) < 1.5
    assert np.nanpercentile(frame.depth, 95) < 1.5
    np.testing.assert_allclose(frame.pose[:3, :3] @ frame.pose[:3, :3].T, np.eye(3), atol=1e-4)
