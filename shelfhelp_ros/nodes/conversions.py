"""ROS messages to the house's dataclasses and back. Pictures are in ``image_conversion.py``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseWithCovarianceStamped, Vector3
from sensor_msgs.msg import CameraInfo
from shelfhelp_interfaces import msg as messages
from std_msgs.msg import Header

from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.guidance.instruction import Instruction
from shelfhelp_ros.sightings import Decision, HeldPack, Position, Sightings, TargetSighting, TrackedProduct, Verified

SECOND = 1_000_000_000
# Sides of the picture that a lens may be long, or its middle away; beyond, numbers are no calibration.
_MOST = 1000.0


def to_time(stamp_ns: int) -> Time:
    """A stamp in nanoseconds as a message."""
    return Time(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)


def from_time(stamp: Time) -> int:
    """A stamp message in nanoseconds."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


def to_header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def from_camera_info(message: CameraInfo) -> CameraModel | None:
    """The pinhole camera of a calibration message; None when it is not calibrated, or as no camera can be."""
    k = message.k
    try:
        camera = CameraModel(message.width, message.height, float(k[0]), float(k[4]), float(k[2]), float(k[5]))
    except ValueError:
        return None
    sides = np.array([camera.width, camera.height])
    focal, centre = np.array([camera.fx, camera.fy]) / sides, np.array([camera.cx, camera.cy]) / sides
    return camera if focal.min() > 1 / _MOST and max(focal.max(), np.abs(centre).max()) < _MOST else None


def to_camera_info(camera: CameraModel, stamp_ns: int, frame_id: str) -> CameraInfo:
    """A calibration message without lens distortion."""
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return CameraInfo(
        header=to_header(stamp_ns, frame_id),
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=k,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
    )


def to_product(product: TrackedProduct) -> messages.TrackedProduct:
    message = messages.TrackedProduct(
        track_id=product.track_id,
        box=np.asarray(product.box, np.float32),
        score=float(product.score),
        product_id=product.product_id,
        product_name=product.product_name,
        similarity=float(product.similarity),
        bearing=Vector3(x=float(product.bearing[0]), y=float(product.bearing[1]), z=float(product.bearing[2])),
    )
    if product.position is not None:
        x, y, z = (float(v) for v in product.position.xyz)
        message.has_position = True
        message.position = Point(x=x, y=y, z=z)
        message.position_covariance = np.asarray(product.position.covariance, np.float64).reshape(9)
    if product.size is not None:
        message.size = np.array(product.size, np.float32)
    return message


def from_product(message: messages.TrackedProduct) -> TrackedProduct:
    position = None
    if message.has_position:
        point = message.position
        covariance = np.array(message.position_covariance, np.float64).reshape(3, 3)
        position = Position(np.array([point.x, point.y, point.z]), covariance)
    return TrackedProduct(
        track_id=message.track_id,
        box=np.array(message.box, np.float32),
        score=message.score,
        product_id=message.product_id,
        product_name=message.product_name,
        similarity=message.similarity,
        bearing=np.array([message.bearing.x, message.bearing.y, message.bearing.z]),
        position=position,
        size=(float(message.size[0]), float(message.size[1])) if min(message.size) > 0 else None,
    )


def to_product_array(sightings: Sightings) -> messages.ProductArray:
    width, height = sightings.image_size
    return messages.ProductArray(
        header=to_header(sightings.stamp_ns, sightings.frame_id),
        image_width=width,
        image_height=height,
        products=[to_product(product) for product in sightings.products],
    )


def from_product_array(message: messages.ProductArray) -> Sightings:
    """Everything in view. Raises ValueError for a product that is none."""
    size = (int(message.image_width), int(message.image_height))
    products = tuple(from_product(product) for product in message.products)
    return Sightings(from_time(message.header.stamp), message.header.frame_id, size, products)


def to_target(sighting: TargetSighting) -> messages.TargetSighting:
    message = messages.TargetSighting(
        header=to_header(sighting.stamp_ns, sighting.frame_id),
        target_id=sighting.target_id,
        target_name=sighting.target_name,
        decision=sighting.decision.value,
        probability=float(sighting.probability),
        runner_up_probability=float(sighting.runner_up_probability),
        verified=sighting.verified.value,
    )
    if sighting.product is not None:
        message.has_product, message.product = True, to_product(sighting.product)
    if sighting.runner_up is not None:
        message.has_runner_up, message.runner_up = True, to_product(sighting.runner_up)
    if sighting.held is not None:
        message.has_held, message.held = True, to_product(sighting.held.product)
        message.held_probability = float(sighting.held.probability)
        message.held_verified = sighting.held.verified.value
    return message


def from_target(message: messages.TargetSighting) -> TargetSighting:
    """Raises ValueError when the decision, or what is verified, is none of the known ones."""
    return TargetSighting(
        stamp_ns=from_time(message.header.stamp),
        frame_id=message.header.frame_id,
        target_id=message.target_id,
        target_name=message.target_name,
        decision=Decision(message.decision),
        probability=message.probability,
        product=from_product(message.product) if message.has_product else None,
        runner_up=from_product(message.runner_up) if message.has_runner_up else None,
        runner_up_probability=message.runner_up_probability,
        verified=Verified(message.verified),
        held=_from_held(message) if message.has_held else None,
    )


def _from_held(message: messages.TargetSighting) -> HeldPack:
    return HeldPack(from_product(message.held), message.held_probability, Verified(message.held_verified))


def from_hand(message: PoseWithCovarianceStamped) -> tuple[Position, int]:
    """The hand's position with its covariance, and the stamp in nanoseconds.

    Raises ValueError when a coordinate is not finite.
    """
    point = message.pose.pose.position
    xyz = np.array([point.x, point.y, point.z])
    covariance = np.array(message.pose.covariance, np.float64).reshape(6, 6)[:3, :3]
    if not (np.isfinite(xyz).all() and np.isfinite(covariance).all()):
        raise ValueError("the hand's position is not finite")
    return Position(xyz, covariance), from_time(message.header.stamp)


def to_hand(position: Position, stamp_ns: int, frame_id: str) -> PoseWithCovarianceStamped:
    message = PoseWithCovarianceStamped(header=to_header(stamp_ns, frame_id))
    point = message.pose.pose.position
    point.x, point.y, point.z = (float(v) for v in position.xyz)
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = position.covariance
    message.pose.covariance = covariance.reshape(36)
    return message


def to_instruction(instruction: Instruction) -> messages.Instruction:
    return messages.Instruction(
        header=to_header(instruction.stamp_ns, instruction.frame_id),
        sequence=instruction.sequence,
        phase=_text(instruction.phase),
        text=instruction.text,
        axis=_text(instruction.axis),
        distance=float(instruction.distance),
        urgency=int(_plain(instruction.urgency)),
        valid_until=to_time(instruction.valid_until_ns),
    )


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _text(value: Any) -> str:
    return str(_plain(value) or "")


def distance_text(distance: float) -> str:
    """A distance for people who read: ``0.42 m``, or an empty text when it is unknown."""
    return "" if math.isnan(distance) else f"{distance:.2f} m"
