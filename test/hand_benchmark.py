"""How well the hand is found, and how fast: MediaPipe on real pictures, markers on a rendered shelf at known poses.

python test/hand_benchmark.py ../shared/data/mmpose_hand
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt
from worn_marker import MarkerPose, punch_holes, wear

from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.hand import HandSource
from shelfhelp_ros.perception.hand_landmarks import HandLandmarker
from shelfhelp_ros.perception.hand_position import PALM
from shelfhelp_ros.perception.wrist_marker import MarkerSettings, WristMarker
from shelfhelp_ros.sightings import Frame, ImageArray

Vector = npt.NDArray[np.float64]

DISTANCES = (0.3, 0.45, 0.6, 0.8, 1.0, 1.2)
#: A hand counts as found when a palm lies within this share of its size from the label's.
NEAR = 0.25
# Wrist and knuckles. RHD and InterHand count each finger from its tip.
_ORDERS = {"rhd": (0, 8, 12, 16, 20), "freihand": PALM, "onehand10k": PALM, "panoptic": PALM}
_INTERHAND = (20, 7, 11, 15, 19)


@dataclass(frozen=True)
class LabelledHand:
    """One hand in a picture: which of MediaPipe's points of the palm are labelled, their mean (2,), and the longer side
    of the hand's box, pixels."""

    picture: Path
    known: tuple[int, ...]
    palm: Vector
    size: float


@dataclass(frozen=True)
class Miss:
    """How far a found palm lies from its label: pixels, and as a share of the hand's size; NaN when none was found."""

    hand: LabelledHand
    pixels: float

    @property
    def share(self) -> float:
        return self.pixels / self.hand.size


def labelled_hands(folder: Path) -> list[LabelledHand]:
    """The hands of mmpose's test pictures; of some, not every knuckle is labelled."""
    data = folder / "tests" / "data"
    return [hand for name in _ORDERS for hand in _of_coco(data / name, name)] + list(_of_interhand(data))


def _of_coco(folder: Path, name: str) -> Iterator[LabelledHand]:
    labels = json.loads((folder / f"test_{name}.json").read_text(encoding="utf-8"))
    files = {image["id"]: folder / image["file_name"] for image in labels["images"]}
    for label in labels["annotations"]:
        points = np.array(label["keypoints"], float).reshape(-1, 3)[list(_ORDERS[name])]
        seen = points[:, 2] > 0
        known = tuple(index for index, there in zip(PALM, seen, strict=True) if there)
        yield LabelledHand(files[label["image_id"]], known, points[seen, :2].mean(axis=0), max(label["bbox"][2:]))


def _of_interhand(data: Path) -> Iterator[LabelledHand]:
    folder = data / "interhand2.6m"
    parts: dict[str, Any] = {
        part: json.loads((folder / f"test_interhand2.6m_{part}.json").read_text(encoding="utf-8"))
        for part in ("data", "camera", "joint_3d")
    }
    for image, label in zip(parts["data"]["images"], parts["data"]["annotations"], strict=True):
        lens, name = parts["camera"][str(image["capture"])], image["camera"]
        world = np.array(parts["joint_3d"][str(image["capture"])][str(image["frame_idx"])]["world_coord"])
        seen = (world - lens["campos"][name]) @ np.array(lens["camrot"][name]).T
        pixels = seen[:, :2] / seen[:, 2:] * lens["focal"][name] + lens["princpt"][name]
        valid = np.array(label["joint_valid"]).ravel() > 0
        for first in (0, 21):
            if valid[first : first + 21].all():
                palm = pixels[[first + index for index in _INTERHAND]].mean(axis=0)
                size = float(np.ptp(pixels[first : first + 21], axis=0).max())
                yield LabelledHand(folder / image["file_name"], PALM, palm, size)


def misses(hands: list[LabelledHand], landmarker: HandLandmarker) -> list[Miss]:
    """For each labelled hand the nearest palm found in its picture."""
    answer = []
    for hand in hands:
        palms = [
            found.pixels[list(hand.known)].mean(axis=0) for found in landmarker.landmarks(load_image(hand.picture))
        ]
        answer.append(
            Miss(hand, min((float(np.linalg.norm(palm - hand.palm)) for palm in palms), default=float("nan")))
        )
    return answer


def rendered_shelf() -> Frame:
    """A shelf without a hand, 640×480 with 69° across, its front 0.9 m away. Raises ShelfHelpError without OpenGL."""
    from shelfhelp_ros.simulation.camera import ShelfSettings, SimulatedShelf

    settings = ShelfSettings(seed=2, field_of_view=69.0, distance=0.9, motion="still", hand=False)
    with SimulatedShelf(settings) as shelf:
        frame = shelf.render(truth=False)
        return Frame(0, shelf.frame_id, frame.image, frame.depth, frame.camera)


def worn(shelf: Frame, distance: float, rng: np.random.Generator, depth: str) -> tuple[Frame, Vector]:
    """The shelf with a marker before it, with noise, and where the hand then is. ``depth``: whole, holes or none."""
    assert shelf.depth is not None
    assert shelf.camera is not None
    settings = MarkerSettings()
    pose = MarkerPose.random(rng, distance)
    image, metres = wear(shelf.image, shelf.depth, shelf.camera, pose, settings)
    noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    holes = {"whole": 0.0, "holes": 0.4}
    seen = punch_holes(metres, rng, holes[depth]) if depth in holes else None
    return Frame(0, shelf.frame_id, noisy, seen, shelf.camera), pose.hand(settings)


def marker_errors(shelf: Frame, distance: float, depth: str, count: int = 30, seed: int = 0) -> tuple[Vector, int]:
    """Errors (N×3, metres) over ``count`` random poses, and how many markers were not found."""
    rng, marker, errors = np.random.default_rng([seed, round(distance * 100)]), WristMarker(), []
    for _ in range(count):
        frame, true = worn(shelf, distance, rng, depth)
        assert frame.camera is not None
        errors += [hand.xyz - true for hand in marker.find(frame, frame.camera)[:1]]
    return np.array(errors).reshape(-1, 3), count - len(errors)


def median_ms(work: Callable[[], object], rounds: int = 40) -> float:
    """Median milliseconds of a call, after three to warm up."""
    times = []
    for number in range(rounds + 3):
        started = time.perf_counter()
        work()
        if number >= 3:
            times.append((time.perf_counter() - started) * 1e3)
    return float(np.median(times))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Print the tables of docs/benchmarks.md."""
    hands, shelf = labelled_hands(folder), rendered_shelf()
    landmarker = HandLandmarker()
    try:
        found = misses(hands, landmarker)
        print_misses(found)
        print_marker_errors(shelf)
        sure = min(found, key=lambda miss: np.nan_to_num(miss.share, nan=np.inf))
        print_times(landmarker, load_image(sure.hand.picture), shelf)
    finally:
        landmarker.close()


def print_misses(found: list[Miss]) -> None:
    """The labelled pictures, by collection."""
    print(
        "\n| collection | hands | found | palm error, px (median) | … as a share of the hand |\n|---|---|---|---|---|"
    )
    for name in [*sorted({miss.hand.picture.parent.name for miss in found}), "all"]:
        own = [miss for miss in found if name in ("all", miss.hand.picture.parent.name)]
        near = [miss for miss in own if miss.share <= NEAR]
        pixels, share = (np.median([(miss.pixels, miss.share) for miss in near], axis=0)) if near else (0.0, 0.0)
        print(f"| {name} | {len(own)} | {len(near)} | {pixels:.1f} | {share:.3f} |")


def print_marker_errors(shelf: Frame) -> None:
    """The marker, by distance and what the depth image is like."""
    print("\n| distance, m | depth | found | error, mm (median) | … 90 % below | across the picture (median) |")
    print("|---|---|---|---|---|---|")
    for distance in DISTANCES:
        for depth in ("whole", "holes", "none"):
            errors, missing = marker_errors(shelf, distance, depth)
            far, across = (1e3 * np.linalg.norm(part, axis=1) for part in (errors, errors[:, :2]))
            found = f"{len(errors)} of {len(errors) + missing}"
            figures = f"{np.median(far):.1f} | {np.quantile(far, 0.9):.1f} | {np.median(across):.1f}"
            print(f"| {distance} | {depth} | {found} | {figures} |")


def print_times(landmarker: HandLandmarker, photo: ImageArray, shelf: Frame) -> None:
    """Milliseconds of each source for a picture with and without what it looks for."""
    assert shelf.camera is not None
    reaching = np.asarray(shelf.image).copy()
    height, width = reaching.shape[:2]
    scale = min(height / photo.shape[0], width / photo.shape[1])
    photo = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale), np.uint8)
    reaching[: photo.shape[0], : photo.shape[1]] = photo
    marked, _ = worn(shelf, 0.6, np.random.default_rng(0), "whole")
    marker = WristMarker()
    print(f"\n| source | {width}×{height} picture | ms a frame (median) |\n|---|---|---|")
    sources: tuple[tuple[HandSource, str, Frame], ...] = (
        (landmarker, "with a hand", Frame(0, "", reaching, shelf.depth, shelf.camera)),
        (landmarker, "without", shelf),
        (marker, "with a marker", marked),
        (marker, "without", shelf),
    )
    for source, picture, frame in sources:
        print(f"| {source.name} | {picture} | {median_ms(partial(source.find, frame, shelf.camera)):.1f} |")


if __name__ == "__main__":
    main()
