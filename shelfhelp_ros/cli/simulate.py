"""``shelfhelp simulate``: rendered shelves as a picture, a bag, a data set or a live camera."""

from __future__ import annotations

import json
from pathlib import Path

import click
import cv2
from tqdm import tqdm

from shelfhelp_ros.cli.assist import require_ros
from shelfhelp_ros.cli.episodes import Outputs, run_many, run_rendered
from shelfhelp_ros.cli.options import PATH, box_json, print_json
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray
from shelfhelp_ros.simulation.bag import BagSettings, Storage, photo_pan_bag, simulated_frames, write_bag
from shelfhelp_ros.simulation.camera import MOTIONS, Motion, ShelfSettings, SimulatedShelf
from shelfhelp_ros.simulation.coco import CocoSettings, export_coco, usual_workers
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.listeners import POPULATIONS
from shelfhelp_ros.simulation.packs import draw_face
from shelfhelp_ros.simulation.views import DOMAINS, Domain, random_effects

MAX_PROCESSES = 64


def parse_size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as two numbers."""
    width, _, height = value.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"{value!r} is not a size; write it as 640x480")
    return int(width), int(height)


@click.command(name="simulate")
@click.option("--image", type=PATH, metavar="FILE", help="Write one picture, and print what stands where as JSON.")
@click.option("--bag", type=PATH, metavar="PATH", help="Write a ROS 2 bag: colour, camera_info and aligned depth.")
@click.option("--coco", type=PATH, metavar="DIR", help="Write a data set for training; goes on where it stopped.")
@click.option("--camera", is_flag=True, help="Publish over ROS 2 like a camera, until it is interrupted.")
@click.option("--episodes", type=click.IntRange(1), metavar="N", help="Searches without pictures, with every planner.")
@click.option(
    "--people", type=click.Choice(list(POPULATIONS)), default="fitted", show_default=True, help="Of the episodes."
)
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Figures and records of the episodes.")
@click.option("--report", type=PATH, metavar="FILE", help="A page about the episodes.")
@click.option(
    "--rendered",
    is_flag=True,
    help="Episodes through the real perception and the ROS graph; a run that stopped goes on.",
)
@click.option("--video", type=PATH, metavar="FILE", help="A video (WebM) of one episode.")
@click.option(
    "--episode", type=click.IntRange(0), default=0, show_default=True, metavar="K", help="Which one the video shows."
)
@click.option("--faces", type=PATH, metavar="DIR", help="Write a packshot of every product on the shelf.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Which shelf; the same seed, the same."
)
@click.option(
    "--layout", type=click.Choice(list(LAYOUTS)), help="How the shelf is stocked.  [default: normal; data sets: any]"
)
@click.option(
    "--products", type=click.IntRange(1), help="Different products to draw from.  [default: 20; data sets: 600]"
)
@click.option(
    "--packshots", type=PATH, metavar="FOLDER", help="Real packshots, one picture a product, instead of drawn ones."
)
@click.option(
    "--frames", type=click.IntRange(1), default=100, show_default=True, help="Frames of the bag or the data set."
)
@click.option(
    "--size", callback=parse_size, metavar="WIDTHxHEIGHT", default="640x480", show_default=True, help="Of the pictures."
)
@click.option(
    "--rate",
    type=click.FloatRange(0.5, 60),
    default=15.0,
    show_default=True,
    help="Frames a second, of a bag or a live camera as fast as the machine is.",
)
@click.option("--motion", type=click.Choice(MOTIONS), help="Of the camera.  [default: pan; live: handheld]")
@click.option("--hand", is_flag=True, help="Show a hand; that of a live camera follows what is spoken.")
@click.option(
    "--photo", type=PATH, metavar="FILE", help="Let the bag's camera move over this photo instead of a simulated shelf."
)
@click.option(
    "--storage", type=click.Choice(["sqlite3", "mcap"]), default="sqlite3", show_default=True, help="Of the bag."
)
@click.option("--compressed", is_flag=True, help="JPEG instead of raw pictures in the bag.")
@click.option("--shadows/--no-shadows", default=True, show_default=True, help="Cast shadows; slower.")
@click.option(
    "--varied", is_flag=True, help="Light, colours and camera faults by the seed; data sets always have them."
)
@click.option(
    "--domain",
    type=click.Choice(DOMAINS),
    default="plain",
    show_default=True,
    help="Of the data set; wild: harder light, lenses, motion, hands, glass doors, tilt and crowding; held: with a pack"
    " held up to the camera; packshot: one pack on a plain ground.",
)
@click.option("--depth", is_flag=True, help="Write depth beside the data set's pictures: 16-bit PNG, millimetres.")
@click.option(
    "--workers",
    "--processes",
    "workers",
    type=click.IntRange(1, MAX_PROCESSES),
    help="Processes that render the data set; the pictures are the same.  [default: the processor's cores]",
)
def command(
    image: Path | None,
    bag: Path | None,
    coco: Path | None,
    camera: bool,
    episodes: int | None,
    people: str,
    json_file: Path | None,
    report: Path | None,
    rendered: bool,
    video: Path | None,
    episode: int,
    faces: Path | None,
    seed: int,
    layout: str | None,
    products: int | None,
    packshots: Path | None,
    frames: int,
    size: tuple[int, int],
    rate: float,
    motion: Motion | None,
    hand: bool,
    photo: Path | None,
    storage: Storage,
    compressed: bool,
    shadows: bool,
    varied: bool,
    domain: Domain,
    depth: bool,
    workers: int | None,
) -> None:
    """Render grocery shelves: pictures to try things on, bags to replay, data to train with.

    What stands on the shelves is invented and drawn, or comes from a folder of packshots. The same seed gives the same
    pixels on one machine.

    \b
    Examples:
      shelfhelp simulate --image shelf.jpg --faces packs
      shelfhelp simulate --bag walk --frames 150 --layout dense
      shelfhelp simulate --bag walk --photo shelf.jpg --storage mcap
      shelfhelp simulate --coco data --frames 1000 --domain wild --depth
      shelfhelp simulate --camera --hand --seed 3
      shelfhelp simulate --episodes 1000 --people fitted --json episodes.json --report episodes.html
      shelfhelp simulate --episodes 30 --rendered --json rendered.json --report rendered.html
      shelfhelp simulate --episodes 5 --video search.webm --episode 4
    """
    if not (image or bag or coco or faces or camera or episodes):
        text = "say what to make: --image FILE, --bag PATH, --coco DIR, --faces DIR, --camera or --episodes N"
        raise click.UsageError(text)
    if episodes is None and (json_file or report or rendered or video):
        raise click.UsageError("--json, --report, --rendered and --video need --episodes N")
    if episodes is not None:
        if rendered and json_file is None:
            raise click.UsageError("--rendered needs --json FILE: a run that stopped goes on from beside it")
        if episode >= episodes:
            raise click.UsageError(f"there are episodes 0 to {episodes - 1}; choose --episode among them")
        (run_rendered if rendered else run_many)(episodes, seed, people, Outputs(json_file, report, video, episode))
    if photo is not None and bag is None:
        raise click.UsageError("--photo needs --bag PATH")
    settings = ShelfSettings(
        seed=seed,
        products=products or 20,
        packshots=str(packshots or ""),
        layout=layout or "normal",
        width=size[0],
        height=size[1],
        motion=motion or ("pan" if bag else "handheld" if camera else "still"),
        hand=hand,
        shadows=shadows,
        random_look=varied,
        effects=random_effects(seed) if varied else Effects(),
    )
    if image or faces:
        _write_picture(settings, image, faces)
    if bag is not None:
        _write_bag(settings, bag, frames, rate, photo, storage, compressed)
    if camera:
        _be_a_camera(settings, rate, compressed)
    if coco is not None:
        coco_settings = CocoSettings(
            seed=settings.seed,
            frames=frames,
            width=settings.width,
            height=settings.height,
            products=products or CocoSettings.products,
            layout=layout or "",
            packshots=settings.packshots,
            domain=domain,
            depth=depth,
        )
        path = export_coco(coco, coco_settings, workers or usual_workers())
        print_json({"annotations": str(path), "frames": frames})


def _write_picture(settings: ShelfSettings, image: Path | None, faces: Path | None) -> None:
    with SimulatedShelf(settings) as shelf:
        if faces is not None:
            for product in shelf.products:
                _write(faces / f"{product.id}.png", draw_face(product, 480))
        if image is None:
            return
        frame = shelf.render()
        _write(image, frame.image)
        names = {product.id: product.name for product in shelf.products}
    packs = [
        {"product": product, "name": names[product], "box": box_json(box), "visibility": round(float(share), 3)}
        for product, box, share in zip(frame.product_ids, frame.boxes, frame.visibility, strict=True)
    ]
    print_json({"image": str(image), "width": settings.width, "height": settings.height, "packs": packs})


def _write(path: Path, picture: ImageArray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), picture)
    except (OSError, cv2.error) as error:
        raise ShelfHelpError(f"{path} cannot be written; give a path that ends in .jpg or .png") from error
    if not written:
        raise ShelfHelpError(f"{path} cannot be written; give a path in a folder that may be written to")


def _write_bag(
    settings: ShelfSettings,
    path: Path,
    count: int,
    rate: float,
    photo: Path | None,
    storage: Storage,
    compressed: bool,
) -> None:
    bag_settings = BagSettings(storage=storage, compressed=compressed)
    if photo is not None:
        written = photo_pan_bag(photo, path, count, (settings.width, settings.height), rate, bag_settings)
    else:
        with SimulatedShelf(settings) as shelf:
            frames = tqdm(simulated_frames(shelf, count, rate), total=count, unit="frame", desc="rendering")
            written = write_bag(path, frames, bag_settings)
    print_json({"bag": str(path), "frames": written, "seconds": round(written / rate, 2), "storage": storage})


def _be_a_camera(settings: ShelfSettings, rate: float, compressed: bool) -> None:
    """Run the simulation node until a signal comes."""
    require_ros()
    from shelfhelp_ros.nodes.running import Crew, ros, stopped_by_signals
    from shelfhelp_ros.nodes.simulation_node import SimulationNode

    names = ("seed", "products", "packshots", "layout", "width", "height", "motion", "hand")
    given = {**{name: getattr(settings, name) for name in names}, "rate": rate}
    given["image_transport"] = "compressed" if compressed else "raw"
    arguments = ["--ros-args"]
    for name, value in given.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    with ros(arguments):
        crew = Crew()
        with stopped_by_signals(crew):
            try:
                crew.add(SimulationNode())
                click.echo("Publishing on camera/color/image_raw and beside it; stop with Ctrl-C.", err=True)
                status = crew.wait()
            finally:
                crew.close()
    if status:
        raise ShelfHelpError("the simulated camera ended because of an internal error; its log is above")
