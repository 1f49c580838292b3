"""What passes between the rooms: frames, detections, tracked products and the verdict on the target.

Boxes are ``float32 [x1, y1, x2, y2]`` in pixels of the source image. Positions are metres in the camera's optical frame
(x right, y down, z forward). Stamps are nanoseconds of the clock that stamped the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import CameraModel

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One camera frame. ``image`` is H×W×3 uint8 BGR; ``depth`` is H×W float32 metres with NaN where unknown."""

    stamp_ns: int
    frame_id: str
    image: ImageArray
    depth: FloatArray | None = None
    camera: CameraModel | None = None


@dataclass(frozen=True)
class Detections:
    """Products found in one image: ``boxes`` N×4 source-image pixels, ``scores`` N in 0..1, best first; before all
    others those ``clear`` ones that were seen to stand clear of the shelf."""

    boxes: FloatArray
    scores: FloatArray
    clear: int = 0

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Position:
    """A point in the optical frame: ``xyz`` metres (3,), ``covariance`` metres² (3, 3)."""

    xyz: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackedProduct:
    """One product followed from frame to frame, with its best catalogue entry.

    ``size`` is the width and height of what is seen of it, metres, as if it faced the camera; None without a distance.
    """

    track_id: int
    box: FloatArray
    score: float
    product_id: str
    product_name: str
    similarity: float
    bearing: npt.NDArray[np.float64]
    position: Position | None = None
    size: tuple[float, float] | None = None


class Decision(Enum):
    """What is known of the target. The values are those of ``TargetSighting.msg``."""

    SEARCHING = 0
    FOUND = 1
    AMBIGUOUS = 2
    ABSENT = 3
    LOST = 4


class Verified(Enum):
    """What a second look says of the product that was chosen. The values are those of ``TargetSighting.msg``."""

    UNKNOWN = 0
    PENDING = 1
    YES = 2
    NO = 3


@dataclass(frozen=True)
class HeldPack:
    """What stands clear of the shelf, as a pack in the hand does, judged by itself: ``probability`` is calibrated."""

    product: TrackedProduct
    probability: float
    verified: Verified = Verified.UNKNOWN


@dataclass(frozen=True)
class TargetSighting:
    """The verdict on the wanted product in one frame; ``probability`` is calibrated.

    ``held``: of what stands clear of the shelf, the likeliest; ``product`` may be another pack meanwhile, on the shelf.
    """

    stamp_ns: int
    frame_id: str
    target_id: str
    target_name: str
    decision: Decision
    probability: float
    product: TrackedProduct | None = None
    runner_up: TrackedProduct | None = None
    runner_up_probability: float = 0.0
    verified: Verified = Verified.UNKNOWN
    held: HeldPack | None = None


@dataclass(frozen=True)
class Sightings:
    """Everything perception knows after one frame. ``timings_ms`` holds milliseconds by stage name."""

    stamp_ns: int
    frame_id: str
    image_size: tuple[int, int]
    products: tuple[TrackedProduct, ...]
    target: TargetSighting | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
