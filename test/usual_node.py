"""A detector node in the usual style, before the same camera as ours: a peer over ROS, from stamp to ``target``.

    pip install ultralytics    # AGPL-3.0: only to compare
    python test/usual_node.py --products 30 --seconds 12

It works in the image's callback, on the newest picture: YOLO11n at 640 pixels in eager PyTorch (untrained: that does
not change the time), then our encoder's architecture in eager PyTorch, crop by crop, on the boxes of the products in
view. Ours is measured in the same run, as ``shelfhelp bench`` measures it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from shelfhelp_ros.benchmark.figures import commit, machine, markdown_table, peak_memory_mb, percentile
from shelfhelp_ros.benchmark.scenes import BenchmarkScene, render_scene
from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.cli.bench import FIRST_SECONDS, WARM_UP_SECONDS, Row, Run, measure_ros
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.simulation.packs import draw_faces

RATE = 15.0


def serve(boxes: Path) -> None:
    """The node, until it is interrupted."""
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from shelfhelp_interfaces.msg import TargetSighting
    from ultralytics import YOLO

    from shelfhelp_ros.nodes.image_conversion import PlainConverter
    from shelfhelp_ros.nodes.transport import make_room_for_images
    from shelfhelp_training.eager import eager_encoder

    crops, detector, encoder = np.load(boxes), YOLO("yolo11n.yaml", verbose=False), eager_encoder()
    make_room_for_images()
    rclpy.init()
    node = rclpy.create_node("usual")
    publisher, converter = node.create_publisher(TargetSighting, "target", 5), PlainConverter()

    def on_image(message: Image) -> None:
        image = converter.colour(message)
        detector.predict(image, imgsz=640, device="cpu", verbose=False)
        for crop in crops:
            encoder.embed_boxes(image, crop[None])
        publisher.publish(TargetSighting(header=message.header, target_id="usual"))

    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "camera/color/image_raw", on_image, newest)
    rclpy.spin(node)


def measure_usual(scene: BenchmarkScene, boxes: np.ndarray, seconds: float, folder: Path) -> Row:
    """What `measure_ros` says of ours, of the usual node."""
    from shelfhelp_ros.nodes.latency_probe import LatencyProbe
    from shelfhelp_ros.nodes.processes import private_domain, require_alive, running
    from shelfhelp_ros.nodes.running import ros

    os.environ.update(private_domain())
    saved, log = folder / "boxes.npy", folder / "usual.log"
    np.save(saved, boxes)
    command = [sys.executable, __file__, "--serve", str(saved)]
    with running(command, log, together=True) as process, ros([]):
        probe = LatencyProbe(scene.frames)
        began = time.monotonic()
        while not probe.run(FIRST_SECONDS, RATE).target_ms:
            require_alive(process, "the usual node", log)
        first = time.monotonic() - began
        probe.run(WARM_UP_SECONDS, RATE)
        answers = probe.run(seconds, RATE)
        memory = peak_memory_mb(process.pid)
        probe.destroy_node()
    return {
        "updates/s": round(len(answers.target_ms) / answers.seconds, 1),
        "target p50": percentile(answers.target_ms, 50),
        "target p95": percentile(answers.target_ms, 95),
        "start to first target s": round(first, 1),
        "peak memory MB": memory,
    }


def measure_ours(scene: BenchmarkScene, detector: Detector, seconds: float, folder: Path) -> Row:
    path, encoder = folder / "catalogue.db", Encoder.load()
    with Catalogue(path) as catalogue:
        for product in (scene.target, *scene.others[:9]):
            enrol(catalogue, detector, encoder, product.name, draw_faces(product))
    return measure_ros(scene.frames, scene.target.name, path, None, seconds, RATE, folder, Run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=30, help="products in view")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each is measured")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    scene, detector = render_scene(640, 480, products_in_view=options.products), Detector.load()
    boxes = detector.detect(scene.frames[0].image).boxes[: options.products]
    with tempfile.TemporaryDirectory() as folder:
        theirs = measure_usual(scene, boxes, options.seconds, Path(folder))
        ours = measure_ours(scene, detector, options.seconds, Path(folder))
    rows = [{"node": "the usual one", **theirs}, {"node": "ours", **{name: ours[name] for name in theirs}}]
    rows.append({"node": "ours ÷ the usual one", **{name: round(ours[name] / theirs[name], 3) for name in theirs}})
    print(f"- machine: {machine()}\n- commit: {commit()}\n- crops: {len(boxes)}\n\n{markdown_table(rows)}")


if __name__ == "__main__":
    main()
