"""Perception's errors on rendered shelves against the ground truth: what the fast closed loop stands on.

``python -m shelfhelp_ros.benchmark.perception_noise FILE`` renders shelves, runs the whole pipeline on them and writes
a YAML file for ``simulation.perception_noise``: one line a run, with its verdicts and position errors. Latency comes
from ``shelfhelp bench --json BENCH``, over ROS; ``--latency`` only takes that into the FILE that is there. ``--held``
measures only what is said of a pack in the hand, with the second look, and puts that into it.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from tqdm import tqdm

from shelfhelp_ros.benchmark.figures import commit, machine
from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.pipeline import Pipeline
from shelfhelp_ros.perception.verifier import Verifier
from shelfhelp_ros.sightings import Decision, Frame, TargetSighting
from shelfhelp_ros.simulation.camera import ShelfSettings, SimulatedShelf
from shelfhelp_ros.simulation.hearing import Gesture
from shelfhelp_ros.simulation.packs import draw_faces
from shelfhelp_ros.simulation.perception_noise import COVERED, SITUATIONS, STAGES, VERSION
from shelfhelp_ros.simulation.products import Product, family_differences, make_products
from shelfhelp_ros.simulation.scene import RenderedFrame

DISTANCES = (0.5, 0.65, 0.8, 1.0)
FRAMES = 26
PERIOD_NS = 200_000_000
#: The hand sets out for the product after this many frames.
CALM = 14
ENROLLED = 6
#: The case of ``shelfhelp bench`` that a shelf at arm's length comes nearest to: picture size, products in view.
CASE = ("640x480", 10)
CLEARLY_VISIBLE = 0.8
#: Packs that are taken: situation of the shelf, which pack, runs. Frames on the shelf, held up, closer, at the top.
HELD = (("twin", "right", 40), ("twin", "twin", 40), ("plain", "right", 20), ("plain", "other", 8))
HELD_FRAMES = (3, 9, 7, 20)
_ASKED_FOR = (Gesture.TAKE, Gesture.CLOSER, Gesture.AT_TOP)
HELD_DISTANCE = 0.7
#: Shelves with one facing of most products, and with several, in turn.
HELD_LAYOUTS = ("sparse", "normal")
#: What is this near to the fingers, metres, may be taken for a pack in the hand.
NEAR_HAND = 0.2


Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class _Networks:
    detector: Detector
    encoder: Encoder
    verifier: Verifier

    @classmethod
    def load(cls, models: Path | None) -> _Networks:
        """Those of a folder, with one thread each: every core has a process of its own."""
        return cls(Detector.load(models, threads=1), Encoder.load(models, threads=1), Verifier.load(models))


@dataclass
class _Run:
    """Counts of one run: verdicts before and while something covers the product, errors in metres."""

    first_found: int | None = None
    clear: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    errors: list[np.ndarray] = field(default_factory=list)


def measure_run(situation: str, distance: float, seed: int, networks: _Networks) -> dict[str, Any] | None:
    """One run as a row of the file; None when the shelf of this seed has no product for the situation."""
    settings = ShelfSettings(seed=seed, distance=distance, products=20, motion="handheld")
    with SimulatedShelf(settings) as shelf, tempfile.TemporaryDirectory() as folder:
        wanted = _wanted(situation, shelf, seed)
        if wanted is None:
            return None
        with Catalogue(Path(folder) / "catalogue.db") as catalogue:
            _enrol(catalogue, wanted, shelf, networks)
            pipeline = Pipeline(networks.detector, networks.encoder, catalogue, verifier=networks.verifier)
            pipeline.set_target(catalogue.get(wanted.name).id)
            try:
                run = _watch(shelf, pipeline, wanted)
            finally:
                pipeline.close()
        facts = {"situation": situation, "differ": _differ(shelf, wanted), "distance": distance}
    return {**facts, **_row(run)}


def measure_held(situation: str, taken: str, seed: int, networks: _Networks) -> dict[str, Any] | None:
    """What is said, frame by frame, while a pack is held up, closer, and at its top; None when the shelf has no such
    pack."""
    layout = HELD_LAYOUTS[seed % len(HELD_LAYOUTS)]
    settings = ShelfSettings(seed=seed, distance=HELD_DISTANCE, products=20, motion="handheld", layout=layout)
    with SimulatedShelf(settings) as shelf, tempfile.TemporaryDirectory() as folder:
        wanted = _wanted(situation, shelf, seed)
        pack = None if wanted is None else _pack_to_take(taken, wanted, shelf)
        if wanted is None or pack is None:
            return None
        with Catalogue(Path(folder) / "catalogue.db") as catalogue:
            _enrol(catalogue, wanted, shelf, networks)
            pipeline = Pipeline(networks.detector, networks.encoder, catalogue, verifier=networks.verifier)
            pipeline.set_target(catalogue.get(wanted.name).id)
            try:
                stages = _watch_held(shelf, pipeline, pack, wanted)
            finally:
                pipeline.close()
        packs = sum(pack.product.id == wanted.id for pack in shelf.packs)
        facts = {"situation": situation, "differ": _differ(shelf, wanted), "taken": taken, "packs": packs}
    return {**facts, **dict(zip(STAGES, stages, strict=True))}


def _differ(shelf: SimulatedShelf, wanted: Product) -> str:
    """What the wanted product's near-duplicates differ from it in; empty when it has none."""
    return family_differences(shelf.products).get(wanted.family, "")


def _pack_to_take(taken: str, wanted: Product, shelf: SimulatedShelf) -> int | None:
    """The most visible pack of the wanted product, of its look-alike, or of another family."""
    seen = shelf.render()
    for index in np.argsort(-seen.visibility, kind="stable"):
        product = shelf.packs[seen.packs[index]].product
        kin = product.family == wanted.family
        kind = "right" if product.id == wanted.id else "twin" if kin else "other"
        if kind == taken:
            return int(seen.packs[index])
    return None


def _watch_held(shelf: SimulatedShelf, pipeline: Pipeline, pack: int, wanted: Product) -> list[list[str]]:
    """After a look at the shelf the pack is held up, closer, and at its top: one code a frame of each."""
    codes: list[list[str]] = [[] for _ in HELD_FRAMES]
    moment = 0
    for stage, frames in enumerate(HELD_FRAMES):
        if stage == 1:
            shelf.take(pack)
        if stage:
            shelf.gesture(_ASKED_FOR[stage - 1])
        for _ in range(frames):
            moment += 1
            shelf.step(PERIOD_NS / 1e9)
            seen = shelf.render()
            sighting = _process(pipeline, shelf, seen, moment)
            if sighting is not None:
                hand = _code_of_hand(sighting, seen, pack, shelf.hand_position)
                codes[stage].append(f"{_code(sighting, seen, pack, wanted)} {hand}")
    return codes[1:]


def _code(sighting: TargetSighting, seen: RenderedFrame, pack: int, wanted: Product) -> str:
    """Decision, what it is about (the pack in the hand, the wanted product on the shelf, another one there, nothing),
    what the second look says of that, and how probable it is."""
    index = None if sighting.product is None else _pack_at(sighting.product.box, seen)
    if index is None:
        place = "nothing"
    elif seen.packs[index] == pack:
        place = "held"
    else:
        place = "wanted" if seen.product_ids[index] == wanted.id else "other"
    decision, verified = sighting.decision.name.lower(), sighting.verified.name.lower()
    return f"{decision} {place} {verified} {sighting.probability:.2f}"


def _code_of_hand(sighting: TargetSighting, seen: RenderedFrame, pack: int, hand: Any) -> str:
    """What stands clear of the shelf (the pack in the hand, the hand itself, nothing near it), how probable it is the
    product, and what the second look says of it."""
    held = sighting.held
    if held is None or held.product.position is None:
        return "nothing 0.00 unknown"
    index = _pack_at(held.product.box, seen)
    shown = index is not None and seen.packs[index] == pack
    near = float(np.linalg.norm(held.product.position.xyz - hand)) <= NEAR_HAND
    place = "held" if shown else "hand" if near else "nothing"
    return f"{place} {held.probability:.2f} {held.verified.name.lower()}"


def _enrol(catalogue: Catalogue, wanted: Product, shelf: SimulatedShelf, networks: _Networks) -> None:
    """The wanted product, its look-alikes and some others."""
    others = sorted((p for p in shelf.products if p.id != wanted.id), key=lambda p: p.family != wanted.family)
    for product in (wanted, *others[: ENROLLED - 1]):
        enrol(catalogue, networks.detector, networks.encoder, product.name, draw_faces(product))


def _wanted(situation: str, shelf: SimulatedShelf, seed: int) -> Product | None:
    """A product that stands in clear view, with or without a near-duplicate; *absent*: one that is not there."""
    if situation == "absent":
        here = {product.family for product in shelf.products}
        return next(p for p in make_products(seed + 977, 60) if p.family not in here)
    seen = shelf.render()
    families = Counter(product.family for product in shelf.products)
    width, height = shelf.settings.width, shelf.settings.height
    for index in np.argsort(-seen.visibility, kind="stable"):
        pack, box = shelf.packs[int(seen.packs[index])], seen.boxes[index]
        inside = box[0] > 20 and box[1] > 20 and box[2] < width - 20 and box[3] < height - 20
        twin = families[pack.product.family] > 1
        if seen.visibility[index] >= CLEARLY_VISIBLE and inside and twin == (situation == "twin"):
            return pack.product
    return None


def _watch(shelf: SimulatedShelf, pipeline: Pipeline, wanted: Product) -> _Run:
    run = _Run()
    start = shelf.hand.position.copy()
    goals = shelf.ground_truth(wanted.id)
    goal = shelf.packs[goals[0].pack].front - np.array([0.0, 0.05, 0.0]) if goals else start
    for number in range(FRAMES):
        shelf.step(PERIOD_NS / 1e9)
        shelf.hand.position = start + (goal - start) * max(0.0, (number - CALM) / (FRAMES - 1 - CALM))
        seen = shelf.render()
        sighting = _process(pipeline, shelf, seen, number + 1)
        if sighting is not None:
            _note(run, sighting, seen, wanted, number)
    return run


def _process(pipeline: Pipeline, shelf: SimulatedShelf, seen: RenderedFrame, moment: int) -> TargetSighting | None:
    """The verdict on one frame; a second look that it asks for has been answered when the next one comes."""
    frame = Frame(moment * PERIOD_NS, shelf.frame_id, seen.image, seen.depth, seen.camera)
    sighting = pipeline.process(frame).target
    if pipeline.second_looks is not None:
        pipeline.second_looks.worker.wait(5.0)
    return sighting


def _note(run: _Run, sighting: TargetSighting, seen: RenderedFrame, wanted: Product, number: int) -> None:
    index = None if sighting.product is None else _pack_at(sighting.product.box, seen)
    right = index is not None and seen.product_ids[index] == wanted.id
    decision = sighting.decision.name.lower()
    if sighting.decision is Decision.FOUND and not right:
        decision = "wrong"
    if sighting.decision is Decision.AMBIGUOUS and sighting.runner_up is None:
        decision = "unsure" if right else "searching"
    visible = [float(v) for v, p in zip(seen.visibility, seen.product_ids, strict=True) if p == wanted.id]
    covered = number > CALM and max(visible, default=1.0) < COVERED
    if sighting.decision is Decision.FOUND and run.first_found is None:
        run.first_found = number
    if run.first_found is not None or decision in ("absent", "ambiguous", "unsure"):
        (run.covered if covered else run.clear)[decision] += 1
    if right and sighting.decision is Decision.FOUND and sighting.product is not None and sighting.product.position:
        run.errors.append(sighting.product.position.xyz - seen.positions[index])


def _pack_at(box: Any, seen: RenderedFrame) -> int | None:
    """The row of the pack in a frame that a box shows, by the overlap; None when it shows none."""
    if not len(seen.boxes):
        return None
    low, high = np.maximum(seen.boxes[:, :2], box[:2]), np.minimum(seen.boxes[:, 2:], box[2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(seen.boxes[:, 2:] - seen.boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - shared
    best = int(np.argmax(shared / areas))
    return best if shared[best] / areas[best] > 0.3 else None


def _row(run: _Run) -> dict[str, Any]:
    errors = np.array(run.errors).reshape(-1, 3)
    enough = len(errors) >= 3
    return {
        "first_found": run.first_found,
        "clear": dict(sorted(run.clear.items())),
        "covered": dict(sorted(run.covered.items())),
        "offset": [round(float(v), 4) for v in np.median(errors, axis=0)] if enough else None,
        "jitter": [round(float(v), 4) for v in errors.std(axis=0)] if enough else None,
    }


def latency_of(bench: Path, size: str, in_view: int) -> dict[str, float | str]:
    """Latency from stamp to target and updates a second of one case of ``shelfhelp bench --json``, and its commit."""
    try:
        found = json.loads(bench.read_text(encoding="utf-8"))
        row = next(row for row in found["ros"] if row["size"] == size and row["in view"] == in_view)
        return {
            "commit": str(found["commit"]),
            "median_ms": float(row["target p50"]),
            "p95_ms": float(row["target p95"]),
            "updates_a_second": float(row["updates/s"]),
        }
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise click.UsageError(f"{bench} holds no case {size} with {in_view} in view over ROS") from error


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--bench", type=click.Path(path_type=Path), help="JSON of shelfhelp bench, for latency.")
@click.option(
    "--held", is_flag=True, help="Measure only packs in the hand, and put them into the OUTPUT that is there."
)
@click.option(
    "--latency", "latency_only", is_flag=True, help="Take only BENCH's latency into the OUTPUT that is there."
)
@click.option("--shelves", type=click.IntRange(1), default=12, show_default=True, help="Shelves a situation, distance.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder with the networks.")
def main(output: Path, bench: Path | None, held: bool, latency_only: bool, shelves: int, models: Path | None) -> None:
    """Measure perception on rendered shelves and write its errors to OUTPUT."""
    if held:
        _write(output, {**_there(output), **_measure_held(models)})
        return
    if bench is None:
        raise click.UsageError("give --bench FILE, or --held")
    latency = latency_of(bench, *CASE)
    if latency_only:
        _write(output, {**_there(output), "latency": latency})
        return
    at_start = commit()
    networks = _Networks.load(models)
    cases = list(enumerate(itertools.product(SITUATIONS, DISTANCES)))
    rows = in_processes(runs_of, [(models, number, *case, shelves) for number, case in cases])
    facts = {
        "version": VERSION,
        "command": f"python -m shelfhelp_ros.benchmark.perception_noise FILE --bench BENCH --shelves {shelves}",
        "latency": latency,
        "commit": at_start,
        "machine": machine(),
        "frames_a_run": FRAMES,
        "frames_a_second": round(1e9 / PERIOD_NS, 2),
        "detector": networks.detector.card.sha256[:12],
        "encoder": networks.encoder.card.sha256[:12],
    }
    _write(output, {**facts, "runs": rows, **_measure_held(models)})


def in_processes(measure: Callable[..., Rows], cases: Sequence[tuple[Any, ...]]) -> Rows:
    """The rows of every case, in their order; as many cases at a time as there are cores."""
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(measure, *case) for case in cases]
        for part in tqdm(as_completed(parts), total=len(parts), unit="case"):
            part.result()
    return [row for part in parts for row in part.result()]


def runs_of(models: Path | None, number: int, situation: str, distance: float, shelves: int) -> Rows:
    """The runs of one situation and distance."""
    wanted = shelves if situation != "absent" else math.ceil(shelves / 2)
    seeds = range(100 * number, 100 * number + 8 * shelves)
    networks = _Networks.load(models)
    return _first(wanted, seeds, lambda seed: measure_run(situation, distance, seed, networks))


def _held_of(models: Path | None, number: int, situation: str, taken: str, runs: int) -> Rows:
    """The runs with one kind of pack in the hand."""
    seeds = range(2000 + 100 * number, 2000 + 100 * number + 8 * runs)
    networks = _Networks.load(models)
    return _first(runs, seeds, lambda seed: measure_held(situation, taken, seed, networks))


def _first(wanted: int, seeds: Iterable[int], measure: Callable[[int], dict[str, Any] | None]) -> Rows:
    """The first rows that there are, each with its seed."""
    rows = ({"seed": seed, **row} for seed in seeds if (row := measure(seed)) is not None)
    return list(itertools.islice(rows, wanted))


def _there(output: Path) -> dict[str, Any]:
    """What was measured before."""
    try:
        return dict(yaml.safe_load(output.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise click.UsageError(f"{output} is no file of measurements; measure everything first") from error


def _measure_held(models: Path | None) -> dict[str, Any]:
    """Every run with a pack in the hand, and what they were measured with."""
    at_start = commit()
    rows = in_processes(_held_of, [(models, number, *case) for number, case in enumerate(HELD)])
    sha256 = _Networks.load(models).encoder.card.sha256
    facts = {"commit": at_start, "machine": machine(), "encoder": sha256[:12], "distance": HELD_DISTANCE}
    return {"held_facts": facts, "held": rows}


def _write(output: Path, found: dict[str, Any]) -> None:
    """Facts first, then one line a run."""
    tables = {name: found[name] for name in ("runs", "held") if name in found}
    facts = {name: value for name, value in found.items() if name not in tables}
    lines = ["# Written by shelfhelp_ros.benchmark.perception_noise, which says what it holds; not edited by hand."]
    lines.append(yaml.safe_dump(facts, sort_keys=False, width=1000).rstrip())
    for name, rows in tables.items():
        lines.append(f"{name}:")
        lines += [f"- {yaml.safe_dump(row, default_flow_style=True, width=2000).strip()}" for row in rows]
    output.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
