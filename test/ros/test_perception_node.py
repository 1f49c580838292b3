"""The perception node on a real graph: lifecycle, topics, services, parameters, bad input."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from diagnostic_msgs.msg import DiagnosticArray
from drawn_shelf import draw_shelf
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_graph import FRAME, LENS, Graph, photo_of, until
from sensor_msgs.msg import CompressedImage, Image
from shelfhelp_interfaces.msg import ProductArray, TargetSighting
from shelfhelp_interfaces.srv import EnrolProduct, RemoveProduct, SetTarget
from visualization_msgs.msg import MarkerArray

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import perception_node
from shelfhelp_ros.nodes.conversions import from_time, to_header
from shelfhelp_ros.nodes.image_conversion import PlainConverter, as_bytes, fill_colour
from shelfhelp_ros.nodes.quality_of_service import RESULT

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.client import AssistantClient

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
FOUND = TargetSighting.FOUND


@pytest.fixture
def client(graph: Graph, tiny_models: Path) -> AssistantClient:
    """The services of an active perception node."""
    graph.perception(tiny_models)
    return graph.client()


def ask(graph: Graph, kind: type, name: str, request: Any) -> Any:
    """The answer of any service."""
    # One client a service: each new one has to be discovered, and now and then that takes long.
    service = graph.clients.get(name) or graph.clients.setdefault(name, graph.node.create_client(kind, name))
    assert service.wait_for_service(20.0)
    done = threading.Event()
    future = service.call_async(request)
    future.add_done_callback(lambda _: done.set())
    assert done.wait(20.0)
    return future.result()


def test_a_product_enrolled_and_chosen_through_services_is_found(graph: Graph, client: AssistantClient) -> None:
    """The main job: enrol, choose, see it on the shelf, with the frame's own stamp and frame_id on every output."""
    target, products = graph.listen(TargetSighting, "target"), graph.listen(ProductArray, "products")
    assert client.enrol_product("Pack three", [photo_of(3)]).product_id
    answer = client.set_target("pack THREE")
    assert answer.product_name == "Pack three"
    camera, stamps = graph.camera(), []
    found = target.wait_for(lambda m: m.decision == FOUND, lambda: stamps.append(camera.show(SHELF)))
    _, boxes = draw_shelf(SHELF)
    assert found.target_id == answer.product_id
    assert found.header.frame_id == FRAME
    assert from_time(found.header.stamp) in stamps
    assert np.abs(found.product.box - boxes[2]).max() < 8
    assert found.product.product_name == "Pack three"
    assert not found.product.has_position
    everything = products.wait_for(lambda m: len(m.products) == len(SHELF), lambda: camera.show(SHELF))
    assert from_time(everything.header.stamp) in {*stamps, from_time(everything.header.stamp)}
    assert (everything.header.frame_id, everything.image_width, everything.image_height) == (FRAME, 640, 480)


def test_depth_gives_metres_and_without_it_the_direction_stays(graph: Graph, client: AssistantClient) -> None:
    """Position is depth along the bearing; the bearing is that of camera_info, depth or no depth."""
    target = graph.listen(TargetSighting, "target")
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    camera = graph.camera()
    depth = np.full((480, 640), 0.8, np.float32)
    near = target.wait_for(
        lambda m: m.has_product and m.product.has_position, lambda: camera.show(SHELF, depth)
    ).product
    assert near.position.z == pytest.approx(0.8, abs=0.01)
    u, v = (near.box[0] + near.box[2]) / 2, (near.box[1] + near.box[3]) / 2
    expected = LENS.bearing(float(u), float(v))
    assert [near.bearing.x, near.bearing.y, near.bearing.z] == pytest.approx(list(expected), abs=1e-3)
    assert near.position.x / near.position.z == pytest.approx(expected[0] / expected[2], abs=1e-3)
    covariance = np.reshape(near.position_covariance, (3, 3))
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    target.messages.clear()
    blind = target.wait_for(
        lambda m: m.decision == FOUND and not m.product.has_position, lambda: camera.show(SHELF)
    ).product
    assert [blind.bearing.x, blind.bearing.y] == pytest.approx(list(expected[:2]), abs=0.01)


def test_compressed_colour(graph: Graph, tiny_models: Path) -> None:
    """The same over the compressed transport."""
    graph.perception(tiny_models, image_transport="compressed")
    client = graph.client()
    target = graph.listen(TargetSighting, "target")
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    camera = graph.camera()
    found = target.wait_for(lambda m: m.decision == FOUND, lambda: camera.show(SHELF, compressed=True))
    assert found.header.frame_id == FRAME


def test_photos_in_the_request_are_looked_for_and_not_kept(graph: Graph, client: AssistantClient) -> None:
    """A product may be chosen by photos of the moment; the catalogue stays as it was."""
    target = graph.listen(TargetSighting, "target")
    answer = client.set_target("my cereal", [photo_of(5)])
    assert (answer.product_name, answer.message) == ("my cereal", "Looking for my cereal.")
    camera = graph.camera()
    found = target.wait_for(lambda m: m.decision == FOUND, lambda: camera.show(SHELF))
    _, boxes = draw_shelf(SHELF)
    assert np.abs(found.product.box - boxes[4]).max() < 8
    assert list(client.list_products().products) == []


def test_a_product_that_is_not_there_is_called_absent(graph: Graph, tiny_models: Path) -> None:
    """Honest about what is not on the shelf."""
    graph.perception(tiny_models, absent_after=0.5)
    client = graph.client()
    target = graph.listen(TargetSighting, "target")
    client.enrol_product("Pack twenty", [photo_of(20)])
    client.set_target("Pack twenty")
    camera = graph.camera()
    gone = target.wait_for(lambda m: m.decision == TargetSighting.ABSENT, lambda: camera.show(SHELF))
    assert not gone.has_product
    assert FOUND not in {message.decision for message in target.messages}


def test_a_new_search_is_announced_and_no_old_sighting_follows(graph: Graph, client: AssistantClient) -> None:
    """After the answer of set_target, listeners hear of the new target only, be it the same product as before."""
    target = graph.listen(TargetSighting, "target")
    ids = [client.enrol_product(f"Pack {number}", [photo_of(number)]).product_id for number in (3, 5)]
    camera = graph.camera()
    for wanted in (0, 1, 1):
        client.set_target(ids[wanted])
        target.wait_for(
            lambda m, wanted=wanted: m.target_id == ids[wanted] and m.decision == FOUND, lambda: camera.show(SHELF)
        )
    client.clear_target()

    def changes() -> list[str]:
        heard = [message.target_id for message in list(target.messages)]
        return [name for before, name in zip([None, *heard], heard, strict=False) if name != before]

    # The answer of a service may overtake what was published before it.
    until(lambda: changes().count("") == 4, what="the word that the last search ended")
    for _ in range(3):
        camera.show(SHELF)
    assert changes() == ["", ids[0], "", ids[1], "", ids[1], ""]


@pytest.mark.parametrize(
    ("service", "request_of", "says"),
    [
        ("set_target", lambda: SetTarget.Request(), "no product was named"),
        ("set_target", lambda: SetTarget.Request(product="pack tree"), "Pack three"),
        ("set_target", lambda: SetTarget.Request(product="\u0000\n"), "no product"),
        ("set_target", lambda: SetTarget.Request(product="x" * 300), "200 characters"),
        ("set_target", lambda: SetTarget.Request(photos=[CompressedImage()]), "empty"),
        ("set_target", lambda: SetTarget.Request(photos=[_bytes(b"not a picture")]), "not a picture"),
        ("set_target", lambda: SetTarget.Request(photos=[_bytes(photo_of(1)[:200])]), "cut short"),
        ("set_target", lambda: SetTarget.Request(photos=[_bytes(photo_of(1))] * 6), "one to 5 photos"),
        ("set_target", lambda: SetTarget.Request(photos=[_bytes(bytes(20_000_001))]), "larger than 20 MB"),
        ("enrol_product", lambda: EnrolProduct.Request(name="", photos=[_bytes(photo_of(1))]), "no product was named"),
        ("enrol_product", lambda: EnrolProduct.Request(name="New"), "one to 5 photos"),
        ("enrol_product", lambda: EnrolProduct.Request(name="New", photos=[_bytes(b"\xff\xd8\xff")]), "photo"),
        ("remove_product", lambda: RemoveProduct.Request(), "no product was named"),
        ("remove_product", lambda: RemoveProduct.Request(product="Pack thre"), "Pack three"),
    ],
)
def test_bad_requests_are_answered_with_a_sentence(
    graph: Graph, client: AssistantClient, service: str, request_of: Callable[[], Any], says: str
) -> None:
    """Every wrong request gets success false and words to speak; the catalogue and the target stay as they were."""
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    answer = client.ask(service, request_of())
    assert not answer.success
    assert says in answer.message
    if "pack tre" in answer.message.lower().replace("'", ""):
        assert list(answer.suggestions) == ["Pack three"]
    assert [product.name for product in client.list_products().products] == ["Pack three"]
    assert "Pack three" in client.clear_target().message


def _bytes(data: bytes) -> CompressedImage:
    return CompressedImage(format="jpeg", data=as_bytes(data))


def test_the_catalogue_through_services(client: AssistantClient) -> None:
    """List with a filter, add photos to a product, remove the target: it is no longer looked for."""
    for number in (3, 5):
        client.enrol_product(f"Pack {number}", [photo_of(number)])
    client.enrol_product("Pack 3", [photo_of(3)])
    listed = client.list_products("k 3").products
    assert [(product.name, product.photos) for product in listed] == [("Pack 3", 2)]
    assert from_time(listed[0].created) > 0
    client.set_target("Pack 3")
    assert client.remove_product("Pack 3").message == "Pack 3 removed."
    assert client.clear_target().message == "Nothing was being looked for."
    with pytest.raises(ShelfHelpError, match="Pack 5"):
        client.set_target("Pack 3")


def test_lifecycle_through_its_services(graph: Graph, tiny_models: Path) -> None:
    """Configure loads, activate starts, deactivate pauses, cleanup lets go, and all of it again."""
    node = graph.perception(tiny_models, active=False)
    products = graph.listen(ProductArray, "products")
    camera = graph.camera()

    def change(transition: int) -> str:
        assert ask(graph, ChangeState, "perception/change_state", _transition(transition)).success
        return str(ask(graph, GetState, "perception/get_state", GetState.Request()).current_state.label)

    for _ in range(2):
        assert change(1) == "inactive"
        assert change(3) == "active"
        products.wait_for(doing=lambda: camera.show(SHELF))
        assert change(4) == "inactive"
        products.messages.clear()
        for _ in range(5):
            camera.show(SHELF)
        assert products.messages == []
        assert change(2) == "unconfigured"
        assert node.pipeline is None


def _transition(number: int) -> ChangeState.Request:
    request = ChangeState.Request()
    request.transition.id = number
    return request


def test_without_models_it_stays_unconfigured_and_says_why(graph: Graph, tmp_path: Path) -> None:
    """A wrong folder is a sentence, and the node can be configured later."""
    node = graph.perception(tmp_path / "nowhere", active=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "nowhere" in node.failure
    assert "missing" in node.failure


def test_parameters_are_described_and_checked_while_it_runs(graph: Graph, tiny_models: Path) -> None:
    """A wrong value is refused with a reason, a right one takes effect at once, a fixed one cannot change."""
    node = graph.perception(tiny_models)

    def set_to(name: str, value: object) -> Any:
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return ask(graph, SetParameters, "perception/set_parameters", request).results[0]

    assert set_to("score_threshold", 0.9).successful
    assert node.pipeline.settings.score_threshold == 0.9
    assert set_to("depth_slop", 0.1).successful
    assert node.matcher.slop_ns == 100_000_000
    for name, value in (
        ("score_threshold", 1.5),
        ("score_threshold", "high"),
        ("score_threshold", float("nan")),
        ("coast", -1.0),
    ):
        refused = set_to(name, value)
        assert not refused.successful
        assert refused.reason
    assert node.pipeline.settings.score_threshold == 0.9
    assert "read-only" in set_to("image_transport", "compressed").reason
    names = DescribeParameters.Request(names=["score_threshold", "image_transport"])
    score, transport = ask(graph, DescribeParameters, "perception/describe_parameters", names).descriptors
    assert score.description
    assert (score.floating_point_range[0].from_value, score.floating_point_range[0].to_value) == (0.0, 1.0)
    assert transport.read_only
    assert "compressed" in transport.additional_constraints


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("score_threshold", 2.0, "between 0 and 1"),
        ("score_threshold", "high", "number with a decimal point"),
        ("threads", 1.5, "whole number"),
        ("image_transport", "carrier_pigeon", "raw, compressed"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(
    graph: Graph, tiny_models: Path, name: str, value: object, says: str
) -> None:
    """A typing error in the parameter file names the parameter and what it has to be."""
    with pytest.raises(ShelfHelpError, match=says):
        graph.perception(tiny_models, **{name: value})


def test_the_newest_frame_wins_while_the_worker_is_busy(graph: Graph, tiny_models: Path) -> None:
    """Frames that came in during a slow one are skipped but for the last, and the executor is never held up."""
    node = graph.perception(tiny_models)
    products = graph.listen(ProductArray, "products")
    camera = graph.camera()
    products.wait_for(doing=lambda: camera.show(SHELF))
    until(lambda: node.matcher.received == len(products.messages) + node.matcher.dropped, what="an idle worker")
    products.messages.clear()
    before = node.matcher.received
    # The pipeline's own lock stands for a frame that takes long.
    with node.pipeline._lock:
        stamps = [camera.show(SHELF)]
        until(lambda: node.matcher.received > before, what="the first frame's arrival")
        # A busy machine loses frames of a best-effort stream, so it is shown as many as it takes.
        until(
            lambda: node.matcher.received >= before + 10,
            doing=lambda: stamps.append(camera.show(SHELF, pause=0.03)),
            what="arrival while the worker is busy",
        )
        arrived = node.matcher.received - before
        assert products.messages == []
    newest = products.wait_for(lambda m: from_time(m.header.stamp) >= stamps[len(stamps) // 2])
    heard = [from_time(message.header.stamp) for message in products.messages]
    assert heard == sorted(heard)
    assert from_time(newest.header.stamp) in stamps
    assert len(heard) < arrived
    assert node.matcher.dropped >= arrived - 5


def test_bad_frames_are_counted_and_told_and_the_next_good_one_works(graph: Graph, tiny_models: Path) -> None:
    """A driver's hiccup shows in /diagnostics and does not stop the search."""
    node = graph.perception(tiny_models)
    told = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    products = graph.listen(ProductArray, "products")
    camera = graph.camera()
    products.wait_for(doing=lambda: camera.show(SHELF))
    image, _ = draw_shelf(SHELF)
    for change in ({"encoding": "bayer_rggb8"}, {"step": 1}, {"height": 0}, {"data": as_bytes(b"12")}):
        bad = fill_colour(Image(header=to_header(graph.node.get_clock().now().nanoseconds, FRAME)), image)
        for name, value in change.items():
            setattr(bad, name, value)
        faults = node.statistics.total_faults
        until(
            lambda faults=faults: node.statistics.total_faults > faults,
            lambda bad=bad: camera.send(bad),
            f"a fault of {change}",
        )
    products.messages.clear()
    products.wait_for(doing=lambda: camera.show(SHELF))

    def values(message: DiagnosticArray) -> dict[str, str]:
        return {entry.key: entry.value for entry in message.status[0].values}

    warned = told.wait_for(lambda m: m.status[0].level == b"\x01" and int(values(m)["faults"]) >= 4)
    assert warned.status[0].message
    told.messages.clear()
    fine = values(told.wait_for(lambda m: m.status[0].level == b"\x00", lambda: camera.show(SHELF)))
    assert fine["backend"] == "cpu"
    assert float(fine["detect, ms"]) > 0
    assert float(fine["detector run, ms"]) > 0
    assert int(fine["frames dropped for newer ones"]) >= 0
    assert float(fine["age at publish, ms (median)"]) > 0
    assert "runs without a CUDA graph" not in fine


def test_diagnostics_tell_why_runs_are_not_replayed(graph: Graph, tiny_models: Path) -> None:
    """A GPU that is slower than it could be says why, once, also where both networks have the same reason."""
    node = graph.perception(tiny_models)
    told = graph.listen(DiagnosticArray, "/diagnostics", RESULT)
    assert node.pipeline is not None
    for network in (node.pipeline.detector, node.pipeline.encoder):
        network.session.unrecorded = ("an old driver",)  # type: ignore[attr-defined]
    told.wait_for(
        lambda m: ("runs without a CUDA graph", "an old driver") in [(e.key, e.value) for e in m.status[0].values]
    )


def test_a_depth_image_that_is_not_aligned_is_told_and_left_out(graph: Graph, tiny_models: Path) -> None:
    """Depth of another shape would be read at the wrong places."""
    node = graph.perception(tiny_models)
    products = graph.listen(ProductArray, "products")
    camera = graph.camera()
    seen = products.wait_for(
        lambda m: len(m.products) == len(SHELF) and node.statistics.total_faults > 0,
        lambda: camera.show(SHELF, np.full((480, 848), 0.5, np.float32)),
    )
    assert not any(product.has_position for product in seen.products)


def test_pictures_and_markers_are_drawn_for_listeners_only(
    graph: Graph, client: AssistantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawing costs time that the search needs; a listener gets the boxes, with the stamp of the frame."""
    made: list[str] = []
    for name in ("annotate", "to_markers"):
        draw = getattr(perception_node, name)
        monkeypatch.setattr(perception_node, name, lambda *a, draw=draw, name=name: (made.append(name), draw(*a))[1])
    products = graph.listen(ProductArray, "products")
    client.enrol_product("Pack three", [photo_of(3)])
    client.set_target("Pack three")
    camera = graph.camera()
    depth = np.full((480, 640), 0.8, np.float32)
    products.wait_for(doing=lambda: camera.show(SHELF, depth))
    products.messages.clear()
    products.wait_for(doing=lambda: camera.show(SHELF, depth))
    assert not made
    drawn, markers = graph.listen(Image, "annotated_image", RESULT), graph.listen(MarkerArray, "markers", RESULT)
    shown = drawn.wait_for(doing=lambda: camera.show(SHELF, depth))
    plain, _ = draw_shelf(SHELF)
    assert shown.header.frame_id == FRAME
    assert (PlainConverter().colour(shown) != plain).any()
    named = markers.wait_for(
        lambda m: any(marker.text == "Pack three" for marker in m.markers), lambda: camera.show(SHELF, depth)
    )
    assert all(marker.header.frame_id == FRAME for marker in named.markers)
    assert {"annotate", "to_markers"} == set(made)
