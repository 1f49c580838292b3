"""Broken input by the thousand for everything that reads what others wrote: messages, photos, catalogues, bags.

    python test/fuzz.py --seconds 300 --seed 1

Each try changes a good input (bits, bytes, lengths, order, end) or makes up the fields of a message. The only answer
that is allowed beside a result is a ShelfHelpError. Prints tries and finds of each target; a find is kept in --folder.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from drawn_shelf import draw_shelf, photo_of

from shelfhelp_ros.catalogue.enrolment import study_photos
from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.names import clean_name
from shelfhelp_ros.catalogue.store import Catalogue, ReferencePhoto
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import decode_image
from shelfhelp_ros.nodes.bags import Bag, stamp_ns
from shelfhelp_ros.nodes.image_conversion import (
    COLOUR_ENCODINGS,
    DEPTH_ENCODINGS,
    MAX_PIXELS,
    PlainConverter,
    as_bytes,
    decode_compressed,
)
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.bag import START_NS, BagSettings, write_bag

ENCODINGS = (*COLOUR_ENCODINGS, *DEPTH_ENCODINGS, "bayer_rggb8", "", "\0", "16UC3")
SIZES = (0, 1, 2, 3, 7, 8, 480, 65535, 2**31, 2**32 - 1)
#: Pictures of more than this many bytes would say more of the codecs' speed than of our reading.
SMALL = (64, 48)


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """``data`` with a few bits, bytes, stretches or its end changed."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if not changed:
            return bytes(random.integers(0, 256, 16, np.uint8))
        at = int(random.integers(len(changed)))
        stretch = slice(at, at + int(random.integers(1, 64)))
        kind = random.integers(7)
        if kind == 0:
            changed[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            changed[at] = int(random.choice([0, 1, 127, 128, 255]))
        elif kind == 2:
            changed[stretch] = random.integers(0, 256, len(changed[stretch]), np.uint8).tobytes()
        elif kind == 3:
            del changed[at:]
        elif kind == 4:
            del changed[stretch]
        elif kind == 5:
            changed[at:at] = changed[stretch]
        else:
            changed[at : at + 4] = int(random.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
    return bytes(changed)


def claiming(data: bytes, random: np.random.Generator) -> bytes:
    """A JPEG or PNG that says of itself to have any size, with a checksum that is right."""
    width, height = (int(side) for side in random.choice((0, 1, 47, 64, 480, 9000, 65535), 2))
    if data.startswith(b"\xff\xd8"):
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]
    header = data[12:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


class Messages:
    """Image messages with any fields, and compressed ones that are nearly right."""

    def __init__(self) -> None:
        image = cv2.resize(draw_shelf([1, 2, 3, 4])[0], SMALL)
        self._good = [cv2.imencode(kind, image)[1].tobytes() for kind in (".jpg", ".png")]

    def __call__(self, random: np.random.Generator) -> None:
        if random.integers(2):
            change = claiming if random.integers(4) == 0 else mutate
            image = decode_compressed(as_bytes(change(self._good[random.integers(2)], random)), "jpeg")
            assert image.shape[0] * image.shape[1] <= MAX_PIXELS
            return
        height, width = (int(random.choice(SIZES[:7] if random.integers(3) else SIZES)) for _ in range(2))
        step = int(random.choice([width, 2 * width, 3 * width, 4 * width, 3 * width + 5, 0, 1]))
        size = min(step * height, 10**6) - int(random.choice([0, 0, 0, 1, 7]))
        message = SimpleNamespace(
            height=height,
            width=width,
            step=step,
            encoding=str(random.choice(ENCODINGS)),
            is_bigendian=int(random.integers(2)),
            data=as_bytes(random.integers(0, 256, max(0, size), np.uint8)),
        )
        kind = "depth" if message.encoding in DEPTH_ENCODINGS else "colour"
        array = getattr(PlainConverter(), kind)(message)
        assert array.shape[:2] == (height, width)


NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 600.0, 5e-324, 1e308, np.nan, np.inf, -np.inf)
INTEGERS = (0, 1, 2, 3, 4, 5, 640, 2**31 - 1, 2**32 - 1)
TEXTS = ("", "camera", "Pack\n", "\0", "\ud7ff\uffff", "x" * 1000)


def filled(message: Any, random: np.random.Generator) -> Any:
    """A ROS message with anything that its types allow in most of its fields, and in those of its parts."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            filled(value, random)
        elif random.integers(3) and not kind.startswith("sequence"):
            setattr(message, name, _anything(value, kind, random))
    return message


def _anything(value: Any, kind: str, random: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return bool(random.integers(2))
    if isinstance(value, str):
        return str(random.choice(TEXTS))
    if isinstance(value, int):
        return int(random.choice(INTEGERS)) & int(np.iinfo(kind).max)
    with np.errstate(over="ignore"):
        numbers = np.asarray(random.choice(NUMBERS, np.shape(value)), getattr(value, "dtype", kind))
    return numbers if numbers.ndim else float(numbers)


class OtherMessages:
    """Calibrations, targets, products and hands with anything in their fields."""

    def __init__(self) -> None:
        from geometry_msgs.msg import PoseWithCovarianceStamped
        from sensor_msgs.msg import CameraInfo
        from shelfhelp_interfaces.msg import ProductArray, TargetSighting, TrackedProduct

        from shelfhelp_ros.nodes import conversions

        self._product, self._calibration = TrackedProduct, conversions.from_camera_info
        self._ways = (
            (CameraInfo, self._camera, ShelfHelpError),
            (TargetSighting, conversions.from_target, ValueError),
            (ProductArray, conversions.from_product_array, ValueError),
            (PoseWithCovarianceStamped, conversions.from_hand, ValueError),
        )

    def __call__(self, random: np.random.Generator) -> None:
        kind, convert, refusal = self._ways[random.integers(len(self._ways))]
        message = filled(kind(), random)
        if hasattr(message, "products"):
            message.products = [filled(self._product(), random) for _ in range(random.integers(3))]
        try:
            convert(message)
        except refusal as error:
            raise ShelfHelpError(str(error)) from error

    def _camera(self, message: Any) -> None:
        camera = self._calibration(message)
        if camera is None:
            raise ShelfHelpError("not calibrated")
        for side in (1, 640, 65535):
            camera.scaled(side, side)


class Photos:
    """Photos of every format for enrolling, nearly right; names of any characters beside them."""

    def __init__(self, models: Path) -> None:
        from PIL import Image

        self._detector, self._encoder = Detector.load(models, "cpu", 1), Encoder.load(models, "cpu", 1)
        picture = Image.open(io.BytesIO(photo_of(3))).convert("RGB").resize((120, 160))
        self._good = []
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"):
            out = io.BytesIO()
            picture.save(out, kind)
            self._good.append(out.getvalue())

    def __call__(self, random: np.random.Generator) -> None:
        if random.integers(4) == 0:
            points = random.choice([9, 32, 65, 0x5D0, 0x3042, 0x1F600, *random.integers(0, 0x110000, 2)], 6)
            clean_name("".join(chr(point) for point in points))
            return
        data = mutate(self._good[random.integers(len(self._good))], random)
        decode_image(data)
        if random.integers(20) == 0:
            study_photos(self._detector, self._encoder, [data])


class Catalogues:
    """Catalogue files and their index, damaged in any place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoder = "a" * 64
        good = folder / "good.db"
        random = np.random.default_rng(0)
        with Catalogue(good) as catalogue:
            for number in range(4):
                crop = random.integers(0, 256, (12, 9, 3), np.uint8)
                vector = random.standard_normal(8).astype(np.float32)
                photo = ReferencePhoto(crop, vector / np.linalg.norm(vector), 0.9, 0.1, 128.0)
                catalogue.add(f"Product {number}", [photo], self._encoder)
            Index.open(catalogue, self._encoder)
        self._good, self._index = good.read_bytes(), good.with_suffix(".faiss").read_bytes()

    def __call__(self, random: np.random.Generator) -> None:
        path = self._folder / "bad.db"
        for old in self._folder.glob("bad*"):
            old.unlink()
        whole = random.integers(3) == 0
        path.write_bytes(self._good if whole else mutate(self._good, random))
        path.with_suffix(".faiss").write_bytes(mutate(self._index, random))
        with Catalogue(path) as catalogue:
            Index.open(catalogue, self._encoder).search(np.ones((1, 8), np.float32), 2)
            for product in catalogue.list():
                catalogue.crops(product.id)
            catalogue.find_names("Product 1")
            catalogue.remove("Product 2")


class Bags:
    """Recordings of both storages, damaged in the data or in their description."""

    def __init__(self, folder: Path) -> None:
        image = cv2.resize(draw_shelf([1, 2, 3, 4])[0], SMALL)
        depth = np.ones(image.shape[:2], np.float32)
        self._bags = []
        for storage in ("sqlite3", "mcap"):
            frames = (Frame(START_NS + n * 10**8, "camera", image, depth, None) for n in range(3))
            path = folder / storage
            write_bag(path, frames, BagSettings(storage=storage, compressed=True))
            self._bags.append((path, {file: file.read_bytes() for file in path.iterdir()}))

    def __call__(self, random: np.random.Generator) -> None:
        path, files = self._bags[random.integers(len(self._bags))]
        victim = list(files)[random.integers(len(files))]
        for file, data in files.items():
            file.write_bytes(mutate(data, random) if file is victim else data)
        with Bag(path) as bag:
            for message in bag.messages(bag.choose_topics()):
                stamp_ns(message.data)


def targets(models: Path, folder: Path) -> dict[str, Callable[[np.random.Generator], None]]:
    for name in ("catalogues", "bags"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "messages": Messages(),
        **other_messages(),
        "photos and names": Photos(models),
        "catalogues": Catalogues(folder / "catalogues"),
        "bags": Bags(folder / "bags"),
    }


def other_messages() -> dict[str, Callable[[np.random.Generator], None]]:
    try:
        return {"other messages": OtherMessages()}
    except ImportError:  # they are ROS's own
        return {}


def attempt(target: Callable[[np.random.Generator], None], seed: tuple[int, ...]) -> str:
    """One try: ``result``, ``sentence``, or the traceback of a find."""
    try:
        target(np.random.default_rng(seed))
    except ShelfHelpError as error:
        return "sentence" if "\n" not in str(error).strip() else f"a sentence of several lines: {error}"
    except Exception:
        return traceback.format_exc()
    return "result"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="for each of the targets (300)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    from tiny_models import write_models

    with tempfile.TemporaryDirectory() as folder:
        models = write_models(Path(folder) / "models", side=320)
        print("| target | tries | read | refused in a sentence | finds |\n|---|---|---|---|---|")
        for number, (name, target) in enumerate(targets(models, Path(folder)).items()):
            until, answers = time.monotonic() + arguments.seconds, []
            finds: dict[str, tuple[int, ...]] = {}
            while time.monotonic() < until:
                seed = (arguments.seed, number, len(answers))
                answers.append(answer := attempt(target, seed))
                if answer not in ("result", "sentence"):
                    finds.setdefault(answer.strip().splitlines()[-1][:200], seed)
                    if len(finds) < 6:
                        print(answer, seed, file=sys.stderr)
            read, refused = answers.count("result"), answers.count("sentence")
            print(f"| {name} | {len(answers)} | {read} | {refused} | {len(finds)} |", flush=True)


if __name__ == "__main__":
    main()
