"""Off-screen OpenGL for MuJoCo models: one pass for colour, one for depth and object numbers together."""

from __future__ import annotations

import ctypes.util
import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError

GL_HELP = "install one with: apt-get install libegl1 libgl1-mesa-dri"


def load_mujoco() -> ModuleType:
    """MuJoCo, set up to render without a screen; ShelfHelpError when it is not installed or there is no OpenGL."""
    os.environ.setdefault("MUJOCO_GL", _platform())
    try:
        import mujoco
    except ImportError as error:
        raise ShelfHelpError("the simulation needs MuJoCo; install it with: pip install 'shelfhelp[sim]'") from error
    except (AttributeError, OSError, RuntimeError) as error:
        raise ShelfHelpError(f"OpenGL does not start ({error}); {GL_HELP}") from error
    module: ModuleType = mujoco
    return module


def _platform() -> str:
    """What to reach OpenGL through: MUJOCO_GL when it names a way without a screen, else EGL, else OSMesa."""
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted in ("egl", "osmesa"):
        return wanted
    if ctypes.util.find_library("EGL"):
        return "egl"
    if ctypes.util.find_library("OSMesa"):
        return "osmesa"
    raise ShelfHelpError(f"the simulation finds no OpenGL library to draw without a screen; {GL_HELP}")


def _open_context(width: int, height: int) -> Any:
    """An OpenGL context, of the platform named here: another one may have been chosen when MuJoCo was loaded."""
    try:
        context = importlib.import_module(f"mujoco.{_platform()}").GLContext(width, height)
        context.make_current()
    except Exception as error:  # each platform raises its own kind
        raise ShelfHelpError(f"OpenGL does not start ({error}); {GL_HELP}") from error
    return context


class Renderer:
    """Draws one model at one size. Close it when done: it holds a GL context with the model's textures."""

    def __init__(self, model: Any, width: int, height: int) -> None:
        self._mujoco = mujoco = load_mujoco()
        self._model = model
        self._width, self._height = width, height
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._gl: Any = _open_context(width, height)
        try:
            self._context: Any = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        except mujoco.FatalError as error:
            raise ShelfHelpError(f"OpenGL does not start ({error}); {GL_HELP}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 64)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = 0
        self._rect = mujoco.MjrRect(0, 0, width, height)

    def update(self, data: Any, shadows: bool) -> None:
        """Take over the positions of ``data``."""
        self._gl.make_current()
        mujoco = self._mujoco
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def colour(self) -> npt.NDArray[np.uint8]:
        """H×W×3 uint8 BGR."""
        image = np.empty((self._height, self._width, 3), np.uint8)
        self._draw(segment=False)
        self._mujoco.mjr_readPixels(image, None, self._rect, self._context)
        return np.ascontiguousarray(image[::-1, :, ::-1])

    def depth_and_geoms(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        """H×W depth along the optical axis in metres, and H×W geom numbers, -1 where nothing stands."""
        image = np.empty((self._height, self._width, 3), np.uint8)
        buffer = np.empty((self._height, self._width), np.float32)
        self._draw(segment=True)
        self._mujoco.mjr_readPixels(image, buffer, self._rect, self._context)
        number = (
            image[..., 0].astype(np.int32)
            + (image[..., 1].astype(np.int32) << 8)
            + (image[..., 2].astype(np.int32) << 16)
        )
        count = self._scene.ngeom
        geom_of = np.full(count + 1, -1, np.int32)
        for geom in self._scene.geoms[:count]:
            if geom.segid != -1 and geom.objtype == self._mujoco.mjtObj.mjOBJ_GEOM:
                geom_of[geom.segid + 1] = geom.objid
        return self._metres(buffer)[::-1].copy(), geom_of[np.minimum(number, count)][::-1].copy()

    def close(self) -> None:
        """Give the GL context back."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None

    def _draw(self, segment: bool) -> None:
        flags, kinds = self._scene.flags, self._mujoco.mjtRndFlag
        flags[kinds.mjRND_SEGMENT] = flags[kinds.mjRND_IDCOLOR] = segment
        self._gl.make_current()
        self._mujoco.mjr_render(self._rect, self._scene, self._context)

    def _metres(self, buffer: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The reversed depth buffer (1 at the near plane, 0 at the far one) as metres; NaN at the far plane."""
        near = self._model.vis.map.znear * self._model.stat.extent
        far = self._model.vis.map.zfar * self._model.stat.extent
        value = buffer.astype(np.float64)
        metres = near * far / (near + value * (far - near))
        return np.where(value > 0, metres, np.nan).astype(np.float32)
