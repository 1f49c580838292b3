"""Sightings as markers for RViz: a dot for every product with a position, the target larger and named."""

from __future__ import annotations

from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from shelfhelp_ros.nodes.conversions import to_header
from shelfhelp_ros.sightings import Decision, Sightings, TrackedProduct

PRODUCT = ColorRGBA(r=0.7, g=0.7, b=0.7, a=0.8)
TARGET = ColorRGBA(r=0.0, g=0.62, b=0.45, a=1.0)


def to_markers(sightings: Sightings) -> MarkerArray:
    """Markers in the camera's optical frame; the first one clears those of the frame before."""
    header = to_header(sightings.stamp_ns, sightings.frame_id)
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    target = sightings.target
    found = target.product.track_id if target and target.product and target.decision is Decision.FOUND else None
    for product in sightings.products:
        if product.position is not None:
            markers += [
                _marker(product, product.track_id == found, kind, sightings)
                for kind in (Marker.SPHERE, Marker.TEXT_VIEW_FACING)
            ]
    return MarkerArray(markers=markers)


def _marker(product: TrackedProduct, is_target: bool, kind: int, sightings: Sightings) -> Marker:
    assert product.position is not None
    size = 0.06 if is_target else 0.03
    text = kind == Marker.TEXT_VIEW_FACING
    x, y, z = (float(v) for v in product.position.xyz)
    marker = Marker(
        header=to_header(sightings.stamp_ns, sightings.frame_id),
        ns="names" if text else "products",
        id=product.track_id & 0x7FFFFFFF,
        type=kind,
        action=Marker.ADD,
        scale=Vector3(x=size, y=size, z=size),
        color=TARGET if is_target else PRODUCT,
        text=product.product_name if text else "",
    )
    marker.pose.position = Point(x=x, y=y - (0.06 if text else 0.0), z=z)
    marker.pose.orientation.w = 1.0
    return marker
