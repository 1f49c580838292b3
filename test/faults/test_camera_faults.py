"""A camera that stops, slows, lies about the time or sends rubbish: what is heard, and what /diagnostics says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticStatus
from drawn_shelf import draw_shelf
from faulty_assistant import LOST, RATE, SHELF, Assistant, Shot, changed, is_direction, values, without
from ros_graph import FRAME, LENS, Graph, until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from shelfhelp_interfaces.msg import TargetSighting

from shelfhelp_ros.nodes.conversions import to_camera_info
from shelfhelp_ros.nodes.image_conversion import as_bytes, fill_colour, fill_compressed, fill_depth
from shelfhelp_ros.nodes.quality_of_service import RESULT

SECOND = 1_000_000_000


def frozen_clock() -> Callable[[Shot], Shot]:
    """A driver that stamps every picture with the time of the first."""
    stamps: list[int] = []

    def alter(shot: Shot) -> Shot:
        stamps.append(shot.stamp_ns)
        return replace(shot, stamp_ns=stamps[0])

    return alter


def shifted(seconds: float) -> Callable[[Shot], Shot]:
    return lambda shot: replace(shot, stamp_ns=shot.stamp_ns + round(seconds * SECOND))


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda shot: None, "no camera images"),
        (shifted(1), "s ahead of this machine's clock"),
        (shifted(-3600), "s behind this machine's clock"),
        (frozen_clock(), "repeats the stamp of its last picture"),
        (lambda shot: changed(shot, step=1), "has rows of 1 bytes"),
        (lambda shot: changed(shot, height=0), "an image message is empty"),
        (lambda shot: changed(shot, data=as_bytes(b"12")), "cut short"),
        (lambda shot: changed(shot, height=2**32 - 1), "pixels; lower the camera's resolution"),
        (lambda shot: changed(shot, encoding="\x1b[31m"), "is not supported"),
    ],
    ids=["stops", "second-ahead", "hour-behind", "frozen-clock", "step", "height", "cut-short", "huge", "code"],
)
def test_pictures_that_are_no_use_are_a_lost_camera(
    assistant: Assistant, alter: Callable[[Shot], Shot | None], says: str
) -> None:
    """Word that the camera is lost, no direction meanwhile, the reason on /diagnostics; then all goes on by itself."""
    assistant.breaks(alter)
    assistant.hears(LOST)
    lost = len(assistant.said)
    assistant.tells("perception: frames", says)
    assistant.tells("guidance: health", "no fresh picture comes from perception")
    assert not any(is_direction(said) for said, _ in assistant.said[lost:])
    assistant.mends()


def test_word_of_the_lost_camera_cuts_off_what_is_being_said(assistant: Assistant) -> None:
    """Whoever moves on after a direction from before moves blindly: it does not wait for the voice."""
    assistant.breaks(lambda shot: None)
    lost = assistant.hears(LOST)
    assert lost.urgency == lost.URGENCY_HIGH
    assistant.mends()


def test_a_camera_that_slows_down_gives_no_old_direction(assistant: Assistant) -> None:
    """One picture a second: between them the camera counts as lost, and a direction comes only with a picture."""
    assistant.stream.rate = 1.0
    assistant.hears(LOST)
    until(lambda: values(assistant.health["perception: frames"])["frames a second"] in ("0", "1", "2"), what="slow")
    assistant.stream.rate = RATE
    assistant.mends()


def test_a_truncated_jpeg_is_told_and_not_looked_at(graph: Graph, tiny_models: Path) -> None:
    """Half a picture would be looked at as if the shelf ended there."""
    assistant = Assistant(graph, tiny_models, image_transport="compressed")

    def jpeg(shot: Shot) -> Shot:
        return replace(shot, colour=fill_compressed(CompressedImage(), draw_shelf(SHELF)[0]))

    def truncated(shot: Shot) -> Shot:
        whole = jpeg(shot)
        whole.colour.data = whole.colour.data[: len(whole.colour.data) // 2]
        return whole

    try:
        assistant.breaks(jpeg)
        assistant.find()
        assistant.breaks(truncated)
        assistant.hears(LOST)
        assistant.tells("perception: frames", "is cut short; check the connection to the camera")
        assistant.breaks(jpeg)
        assistant.hears(is_direction)
        assistant.check()
    finally:
        assistant.close()


def test_a_picture_of_12_megapixels_is_worked_on(graph: Graph, tiny_models: Path) -> None:
    """Slowly perhaps, but it neither ends perception nor fills the memory; as JPEG, as phones and webcams send it."""
    graph.perception(tiny_models, image_transport="compressed")
    client, target, camera = graph.client(), graph.listen(TargetSighting, "target", RESULT), graph.camera()
    client.set_target("Pack three", [_photo()])
    image, boxes = draw_shelf(SHELF, size=(4000, 3000))
    found = target.wait_for(
        lambda m: m.decision == TargetSighting.FOUND, lambda: camera.publish(image, compressed=True, calibrated=False)
    )
    assert np.abs(found.product.box - boxes[2]).max() < 60


def _photo() -> bytes:
    from ros_graph import photo_of

    return photo_of(3)


def other_size(shot: Shot) -> Shot:
    return replace(shot, depth=fill_depth(Image(), np.full((480, 848), 0.5, np.float32)))


def nothing_known(shot: Shot) -> Shot:
    return replace(shot, depth=fill_depth(Image(), np.full((480, 640), np.nan, np.float32)))


def not_a_number(shot: Shot) -> Shot:
    depth = Image(height=480, width=640, encoding="32FC1", step=640 * 4)
    depth.data = as_bytes(np.full((480, 640), np.nan, "<f4"))
    return replace(shot, depth=depth)


def zeroed(shot: Shot) -> Shot:
    return replace(shot, info=CameraInfo())


def without_size(shot: Shot) -> Shot:
    info = to_camera_info(LENS, shot.stamp_ns, FRAME)
    info.width = info.height = 0
    return replace(shot, info=info)


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (without("depth"), None),
        (nothing_known, None),
        (not_a_number, None),
        (lambda shot: replace(shot, depth_stamp_ns=shot.stamp_ns - 400_000_000), "no depth image has the stamp"),
        (other_size, "the depth image (848×480) is not aligned to the colour image"),
        (without("info"), "no camera_info comes"),
        (zeroed, "camera_info is not calibrated"),
        (without_size, "camera_info is not calibrated"),
    ],
    ids=[
        "depth-missing",
        "depth-zero",
        "depth-nan",
        "depth-unaligned",
        "depth-size",
        "info-missing",
        "info-zero",
        "info-without-size",
    ],
)
def test_what_is_missing_beside_the_picture_ends_no_search(
    assistant: Assistant, alter: Callable[[Shot], Shot], says: str | None
) -> None:
    """Directions go on without distances, or by an assumed field of view, and /diagnostics says why."""
    target = assistant.graph.listen(TargetSighting, "target", RESULT)
    target.wait_for(lambda m: m.has_product and m.product.has_position)
    if says is not None and "camera_info" in says:
        # The last calibration serves on; only a node that never had one has to assume.
        assistant.breaks(without("info"))
        restart(assistant.perception)
    assistant.breaks(alter)
    if says is None or "camera_info" not in says:
        target.wait_for(lambda m: m.has_product and not m.product.has_position)
    if says is not None:
        assistant.tells("perception: frames", says)
    else:
        until(lambda: _depth_free(assistant, alter), what="word of the depth")
    assistant.hears(is_direction)
    assistant.mends()


def _depth_free(assistant: Assistant, alter: Any) -> bool:
    """Frames are worked on; depth that is there and knows nothing is no fault of the camera's messages."""
    frames = values(assistant.health["perception: frames"])
    without_depth = frames["frames with depth"] == "0"
    return int(frames["frames a second"]) > 0 and (without_depth or alter in (nothing_known, not_a_number))


def restart(node: Any) -> None:
    node.trigger_deactivate()
    node.trigger_activate()


def test_a_black_picture_is_an_empty_shelf_not_a_fault(assistant: Assistant) -> None:
    """A covered lens sends pictures, too: nothing is found there, and that is said in words of the search."""
    black = np.zeros((480, 640, 3), np.uint8)
    assistant.breaks(lambda shot: replace(shot, colour=fill_colour(Image(), black)))
    said = assistant.hears(lambda said: said.phase in ("lost", "search", "absent"))
    assert said.text
    assert assistant.health["perception: frames"].level == DiagnosticStatus.OK
    assistant.mends()


def test_pictures_of_changing_size_are_followed(assistant: Assistant) -> None:
    """A driver that is set to another resolution in the middle of a search."""
    sizes = [(640, 480), (320, 240), (848, 480)]
    pictures = [cv2.resize(draw_shelf(SHELF)[0], size) for size in sizes]
    shown: list[int] = []

    def of_next_size(shot: Shot) -> Shot:
        shown.append(shot.stamp_ns)
        return replace(shot, colour=fill_colour(Image(), pictures[len(shown) % 3]), depth=None)

    assistant.breaks(of_next_size)
    until(lambda: len(shown) > 20, what="twenty pictures")
    assistant.mends()
