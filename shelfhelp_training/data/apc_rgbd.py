"""Colour and depth of the Amazon Picking Challenge 2016 (Zeng et al. 2017): one shelf bin from fifteen places.

On disk, a folder a scene: ``frame-000000.color.png``, ``frame-000000.depth.png`` … and ``cam.info.txt`` with the
objects, the intrinsics of both cameras, the way from one to the other and the pose of every frame. A depth value is 16
bits, turned left by three; turned back it counts ten-thousandths of a metre, and 0 is where nothing was measured.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.images import load_image
from shelfhelp_ros.sightings import FloatArray, ImageArray

Matrix = npt.NDArray[np.float64]
COLOUR = "Color camera intrinsic matrix"
DEPTH = "Depth camera intrinsic matrix"
DEPTH_TO_COLOUR = "Depth-to-color camera extrinsic matrix"
POSE = "Camera-to-world extrinsic matrix (camera pose) for {}"


@dataclass(frozen=True, eq=False)
class RgbdFrame:
    """One frame: ``image`` H×W×3 uint8 BGR and ``depth`` h×w float32 metres of the depth camera, NaN where unknown.

    ``camera`` and ``depth_camera`` are pinholes, ``depth_to_colour`` and ``pose`` (colour camera to world) 4×4.
    """

    name: str
    image: ImageArray
    depth: FloatArray
    camera: CameraModel
    depth_camera: CameraModel
    depth_to_colour: Matrix
    pose: Matrix


@dataclass(frozen=True)
class RgbdScene:
    """A bin: the names of the ``objects`` in it, and its frames' names, to be read one by one."""

    folder: Path
    objects: tuple[str, ...]
    frames: tuple[str, ...]
    matrices: dict[str, Matrix]

    def read(self, name: str) -> RgbdFrame:
        """Decode one frame. Raises ShelfHelpError when a file or a matrix of it is missing or broken."""
        image = load_image(self.folder / f"{name}.color.png")
        path = self.folder / f"{name}.depth.png"
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise ShelfHelpError(f"{path} is no 16-bit depth picture; unpack the scene again")
        try:
            colour, depth = (self.matrices[key] for key in (COLOUR, DEPTH))
            return RgbdFrame(
                name,
                image,
                depth_metres(np.asarray(raw, np.uint16)),
                _camera(colour, image.shape[1], image.shape[0]),
                _camera(depth, raw.shape[1], raw.shape[0]),
                self.matrices[DEPTH_TO_COLOUR],
                self.matrices[POSE.format(name)],
            )
        except KeyError as error:
            raise ShelfHelpError(f"{self.folder / 'cam.info.txt'} holds no {error.args[0]!r}") from error


def load_scene(folder: Path) -> RgbdScene:
    """A scene's description. Raises ShelfHelpError when it is missing, of another form, or has no frames."""
    path = folder / "cam.info.txt"
    try:
        text = path.read_text(encoding="utf-8")
        found = re.search(r"^# Objects: (\[.*\])$", text, re.MULTILINE)
        objects = tuple(str(name) for name in json.loads(found[1])) if found else ()
        sections = re.findall(r"^# (.+)\n((?:[ \t]*-?\d.*\n?)+)", text, re.MULTILINE)
        matrices = {
            title.strip(): np.array([line.split() for line in rows.splitlines()], float) for title, rows in sections
        }
    except (OSError, ValueError) as error:
        raise ShelfHelpError(f"{path} is not the description of a scene: {error}") from error
    frames = tuple(sorted(p.name.removesuffix(".color.png") for p in folder.glob("*.color.png")))
    if not frames or not matrices:
        raise ShelfHelpError(f"{folder} holds no scene; give a folder with cam.info.txt and frame-000000.color.png")
    return RgbdScene(folder, objects, frames, matrices)


def depth_metres(raw: npt.NDArray[np.uint16]) -> FloatArray:
    """Stored values to metres, NaN where nothing was measured."""
    turned = (raw >> 3) | (raw << 13)
    return np.where(turned > 0, turned.astype(np.float32) / 10_000, np.nan).astype(np.float32)


def _camera(matrix: Matrix, width: int, height: int) -> CameraModel:
    return CameraModel(
        fx=float(matrix[0, 0]), fy=float(matrix[1, 1]), cx=float(matrix[0, 2]), cy=float(matrix[1, 2]), width=width,
        height=height,
    )  # fmt: skip
