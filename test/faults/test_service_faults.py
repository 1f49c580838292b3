"""Requests of every wrong kind, and very many of them: a sentence each, no hang, and the search goes on."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from faulty_assistant import Assistant
from PIL import Image as Picture
from rclpy.parameter import Parameter
from ros_graph import photo_of, until
from sensor_msgs.msg import CompressedImage
from shelfhelp_interfaces.srv import EnrolProduct, ListProducts, SetTarget
from soak import sample
from std_srvs.srv import Trigger

from shelfhelp_ros.nodes.client import AssistantClient
from shelfhelp_ros.nodes.image_conversion import as_bytes

SLOW = pytest.mark.skipif(os.environ.get("SHELFHELP_SLOW") != "1", reason="takes minutes; set SHELFHELP_SLOW=1")
CLIENTS = 8


def picture(data: bytes) -> CompressedImage:
    return CompressedImage(format="png", data=as_bytes(data))


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that says it is this large, with as many rows of zeros as its compressed data hold; one row, if any."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", rows or zlib.compress(bytes(1 + min(width, 10_000) * 3)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def bomb() -> bytes:
    """Gigabytes of zeros in a few hundred kilobytes, said to be an innocent picture of 64×64."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(10**7)) for _ in range(30)) + packer.flush()
    return png(64, 64, rows)


def bomb_of_text() -> bytes:
    """A compressed comment of 200 MB in a picture of one pixel."""
    out = io.BytesIO()
    Picture.new("RGB", (64, 64), "red").save(out, "PNG")
    whole = out.getvalue()
    data = b"Comment\0\0" + zlib.compress(bytes(2 * 10**8), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return whole[:33] + chunk + whole[33:]


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        (lambda: [CompressedImage()] * 10_000, "one to 5 photos of the product, not 10000"),
        (lambda: [picture(png(10_000, 10_000))], "10000×10000 pixels, more than 80 million"),
        (lambda: [picture(png(2**31 - 1, 2**31 - 1))], "not a picture this program can read"),
        (lambda: [picture(bomb())], "no photo can be used"),
        (lambda: [picture(bomb_of_text())], "no photo can be used"),
        (lambda: [picture(photo_of(3)[:-40])], "damaged or cut short"),
        (lambda: [picture(b"GIF89a" + bytes(40))], "no photo can be used"),
    ],
    ids=["ten-thousand", "100-megapixels", "impossible", "bomb", "bomb-of-text", "cut-short", "gif"],
)
def test_photos_that_are_too_much_are_refused(
    assistant: Assistant, photos: Callable[[], list[CompressedImage]], says: str
) -> None:
    """In a sentence, soon, and without the memory that they would take; the search that is on stays on."""
    request = SetTarget.Request(photos=photos())
    before = sample(assistant, 0.0).memory_mb
    answer = assistant.client.ask("set_target", request, timeout=60.0)
    assert not answer.success
    assert says in answer.message
    assert sample(assistant, 0.0).memory_mb - before < 150
    assistant.works()


REFUSED = {
    "\x1b]0;title\x07Tea": "control or undefined characters",
    "Tea \x1b[31m": "control or undefined characters",
    "Tea\u202etxt.exe": "control or undefined characters",
    "...": "no letter or digit",
    "\u200b": "no letter or digit",
    "x" * 201: "200 characters",
}
TAKEN = (
    "'; DROP TABLE products; --",
    "../../etc/passwd",
    "${HOME} `id` $(id)",
    "<speak>Tea</speak>",
    "緑茶",
    "שוקולד",
    "عصير برتقال",
    "हरी चाय",
    "Ζάχαρη",
    "Café crème №5",
    "--help",
)


@pytest.mark.parametrize("name", REFUSED, ids=range(len(REFUSED)))
def test_names_that_cannot_be_said_are_refused(assistant: Assistant, name: str) -> None:
    """For the catalogue and for photos of the moment alike: what is spoken and printed holds no control characters."""
    for request in (
        ("enrol_product", EnrolProduct.Request(name=name, photos=[picture(photo_of(5))])),
        ("set_target", SetTarget.Request(product=name, photos=[picture(photo_of(5))])),
    ):
        answer = assistant.client.ask(*request)
        assert not answer.success
        assert REFUSED[name] in answer.message
    assert not set(assistant.client.ask("set_target", SetTarget.Request(product=name)).message) & set(
        "\0\x1b\x07\u202e"
    )
    assert [product.name for product in assistant.client.list_products().products] == ["Pack three"]


def test_names_of_any_script_and_any_trick_are_only_names(assistant: Assistant) -> None:
    """Stored, found, said and removed as they are written; no file appears and no table goes."""
    files = sorted(path.name for path in assistant.graph.folder.iterdir())
    for name in TAKEN:
        assert assistant.client.enrol_product(name, [photo_of(5)]).success
    assert {product.name for product in assistant.client.list_products().products} == {"Pack three", *TAKEN}
    for name in TAKEN[:5]:
        assert assistant.client.set_target(name).product_name == name
        until(lambda words=f"Looking for {name}.": words in assistant.words, what=f"word of {name}")
    for name in TAKEN:
        assistant.client.remove_product(name)
    assert [product.name for product in assistant.client.list_products().products] == ["Pack three"]
    assert sorted(path.name for path in assistant.graph.folder.iterdir()) == files
    assistant.mends_search()


def test_parameters_changed_under_load(assistant: Assistant) -> None:
    """Hundreds of changes, right and wrong ones, while pictures are worked on; the last right one holds."""
    node = assistant.perception
    for number in range(201):
        changes = [
            Parameter("confirm", value=("cautious", "balanced", "eager")[number % 3]),
            Parameter("score_threshold", value=(number % 10) / 100),
            Parameter("depth_slop", value=0.01 + (number % 5) / 100),
        ]
        assert all(answer.successful for answer in node.set_parameters(changes))
        refused = node.set_parameters([Parameter("confirm", value="sure"), Parameter("coast", value=float("nan"))])
        assert not any(answer.successful for answer in refused)
        assert assistant.guidance.set_parameters([Parameter("repeat_after", value=float(number % 20))])[0].successful
    assert node.pipeline.settings.confirm == "eager"
    restored = [("confirm", "balanced"), ("score_threshold", 0.0), ("depth_slop", 0.02)]
    node.set_parameters([Parameter(name, value=value) for name, value in restored])
    assistant.guidance.set_parameters([Parameter("repeat_after", value=1.5)])
    assistant.mends_search()


def storm(clients: list[AssistantClient], calls: int) -> int:
    """``calls`` calls of every kind from all clients at once; how many were answered."""
    answered: list[str] = []
    kinds = (
        ("list_products", lambda: ListProducts.Request()),
        ("set_target", lambda: SetTarget.Request(product="Pack three")),
        ("repeat", lambda: Trigger.Request()),
        ("set_target", lambda: SetTarget.Request(product="Pack of wolves")),
        ("clear_target", lambda: Trigger.Request()),
        ("stop", lambda: Trigger.Request()),
        ("enrol_product", lambda: EnrolProduct.Request(name="New", photos=[picture(b"none")])),
    )

    def work(number: int, client: AssistantClient) -> None:
        for call in range(calls // len(clients)):
            service, request = kinds[(call + number) % len(kinds)]
            if client.ask(service, request(), timeout=120.0).message:
                answered.append(service)

    threads = [threading.Thread(target=work, args=facts) for facts in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(answered)


@pytest.mark.parametrize(
    "calls", [160, pytest.param(10_000, marks=[SLOW, pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_services_are_called_again_and_again_from_eight_clients(assistant: Assistant, calls: int) -> None:
    """Every call is answered, no memory, thread or file is kept, and the search can go on."""
    clients = [assistant.graph.add(AssistantClient, f"client_{number}") for number in range(CLIENTS)]
    storm(clients, 2 * CLIENTS)
    before, began = sample(assistant, 0.0), time.monotonic()
    answered = storm(clients, calls)
    after = sample(assistant, 0.0)
    print(f"{answered} calls in {time.monotonic() - began:.0f} s; before {before}, after {after}")
    assert answered == calls
    assert after.memory_mb - before.memory_mb < 60
    assert (after.threads, after.files) == (before.threads, before.files)
    assistant.mends_search()
