"""Topic names of cameras: a namespace as realsense2_camera fills it, or a file of ``config/cameras``. No ROS here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.resources import config_folder

TRANSPORTS = ("raw", "compressed")
COLOUR = "camera/color/image_raw"
COMPRESSED = "camera/color/image_raw/compressed"
CAMERA_INFO = "camera/color/camera_info"
DEPTH = "camera/aligned_depth_to_color/image_raw"
TOPICS = (COLOUR, COMPRESSED, CAMERA_INFO, DEPTH)


@dataclass(frozen=True)
class CameraTopics:
    """Where a camera publishes: ``remappings`` from our topic names to its own; ``transport`` raw or compressed."""

    remappings: tuple[tuple[str, str], ...]
    transport: str = "raw"


def camera_topics(camera: str = "camera", transport: str = "") -> CameraTopics:
    """The topics of ``camera``: the name of a file in ``config/cameras``, the path of such a file, or a namespace.

    ``transport`` overrides the file's. Raises ShelfHelpError for a file that is missing or wrong.
    """
    if transport and transport not in TRANSPORTS:
        raise ShelfHelpError(f"the image transport is {transport!r}; it has to be one of {', '.join(TRANSPORTS)}")
    path = (
        Path(camera).expanduser()
        if camera.endswith((".yaml", ".yml"))
        else config_folder() / "cameras" / f"{camera}.yaml"
    )
    if path.suffix != Path(camera).suffix and ("/" in camera or not path.is_file()):
        return CameraTopics(_of_namespace(camera.rstrip("/")), transport or "raw")
    topics = _read(path)
    return CameraTopics(topics.remappings, transport or topics.transport)


def _of_namespace(namespace: str) -> tuple[tuple[str, str], ...]:
    if namespace == "camera":
        return ()
    if not namespace or any(not (part.isidentifier() or part in ("", "~")) for part in namespace.split("/")):
        raise ShelfHelpError(f"{namespace!r} is neither a camera of config/cameras nor a ROS namespace")
    return tuple((topic, f"{namespace}/{topic.removeprefix('camera/')}") for topic in TOPICS)


def _read(path: Path) -> CameraTopics:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ShelfHelpError(f"the camera file {path} cannot be read: {' '.join(str(error).split())}") from error
    topics = raw.get("topics") if isinstance(raw, dict) else None
    if not isinstance(topics, dict) or not all(
        key in TOPICS and isinstance(value, str) for key, value in topics.items()
    ):
        raise ShelfHelpError(f"the camera file {path} has to map some of {', '.join(TOPICS)} under the key topics")
    transport = raw.get("image_transport", "raw")
    if transport not in TRANSPORTS:
        raise ShelfHelpError(
            f"the camera file {path} has image_transport {transport!r}; it has to be one of {', '.join(TRANSPORTS)}"
        )
    return CameraTopics(tuple(topics.items()), transport)
