"""A network on an NVIDIA GPU with TensorRT, behind the protocol of every other session.

Beside `run`, which takes tensors, there is `see`: a picture and the parts of it that are wanted go to the GPU as bytes,
and letterbox, normalisation, the network and non-maximum suppression follow each other there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.batches import in_batches
from shelfhelp_ros.inference.card import ModelCard, load_card
from shelfhelp_ros.inference.cuda import Device
from shelfhelp_ros.inference.engine_cache import Engine, EngineCache, Loaded, Product
from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS, Gpu, Profile, Recipe, precision_of, profiles_for
from shelfhelp_ros.inference.graphs import graph_folder
from shelfhelp_ros.inference.parity import check_parity, reference
from shelfhelp_ros.inference.preprocessing import letterbox_for, views_tensor
from shelfhelp_ros.inference.progress import tell
from shelfhelp_ros.inference.session import OnnxSession, Tensor
from shelfhelp_ros.inference.tensorrt_library import library_version
from shelfhelp_ros.inference.views import View, see_inputs
from shelfhelp_ros.sightings import ImageArray

# Height and width of the largest picture that is scaled on the GPU; a larger one is scaled on the processor.
LARGEST_PICTURE = (1920, 2560)
USUAL_PICTURE = (480, 640)
# Shapes that stay prepared: a detector's looks at a few cameras, or the batches of an encoder.
LANES = 12
NOT_CHECKED = "not checked: no device"


@dataclass(frozen=True)
class Engines(Generic[Loaded]):
    """The engines of one network: what makes its input, itself, and for a detector what suppresses its boxes."""

    see: Loaded
    network: Loaded
    suppress: Loaded | None
    notes: dict[str, Any]


def recipes(model: Path, card: ModelCard, gpu: Gpu) -> list[Recipe]:
    """What the engines of a network are made of: `see`, the network, and for a detector `suppress`."""
    library = library_version()
    networks = profiles_for(card)
    seeing = tuple(_see_profile(profile[card.input.name]) for profile in networks)
    made = [
        Recipe(graph_folder() / "see.onnx", gpu, library, "fp32", seeing),
        Recipe(model, gpu, library, precision_of(card), networks),
    ]
    if card.detection is not None:
        made.append(Recipe(graph_folder() / "suppress.onnx", gpu, library, "fp32", (_suppress_profile(),)))
    return made


def get_engines(
    model: Path,
    card: ModelCard,
    gpu: Gpu,
    cache: EngineCache,
    load: Callable[[bytes, Recipe], Loaded],
    parity: Callable[[bytes, Recipe], float | None],
) -> Engines[Loaded]:
    """The engines of a network out of the cache, built where they are not in it.

    ``parity`` is asked when the network's engine is new: how well it agrees with ONNX Runtime, None without a device.
    Raises ShelfHelpError when an engine cannot be built, and what ``load`` and ``parity`` raise.
    """

    def get(recipe: Recipe) -> tuple[Engine, Loaded]:
        def build(timing_cache: bytes) -> Product:
            from shelfhelp_ros.inference import engine_builder

            built = engine_builder.build(recipe, timing_cache)
            notes: dict[str, Any] = {"seconds": round(built.seconds, 1)}
            if recipe.model == model:
                agreement = parity(built.engine, recipe)
                notes["parity"] = NOT_CHECKED if agreement is None else round(agreement, 6)
                # Kept here so that a hit need not open the ONNX file.
                notes["metadata_card"] = OnnxSession(model).metadata_card
                tell(f"{recipe.name} against ONNX Runtime: {notes['parity']}")
            return Product(built.engine, notes, built.timing_cache)

        return cache.get(recipe, build, lambda content: load(content, recipe))

    see, network, *rest = [get(recipe) for recipe in recipes(model, card, gpu)]
    return Engines(see[1], network[1], rest[0][1] if rest else None, network[0].notes)


class TensorRtSession:
    """TensorRT on the GPU of this machine."""

    backend = "tensorrt"

    def __init__(self, model: Path, cache: EngineCache | None = None) -> None:
        """Raises ShelfHelpError without TensorRT or a GPU, and when an engine cannot be built or does not agree."""
        # Here and not above: without TensorRT everything else in this file still works.
        from shelfhelp_ros.inference.tensorrt_engine import Lane, LoadedEngine

        self._model = model
        self._card = load_card(model, verify=False)
        self._device = Device()
        self._device.use()

        def load(content: bytes, recipe: Recipe) -> LoadedEngine:
            return LoadedEngine(content, recipe.profiles)

        def parity(content: bytes, recipe: Recipe) -> float:
            alone = Engines(None, load(content, recipe), None, {})
            runner = Runner(model, self._card, alone, Lane)
            try:
                return check_parity(self._card, recipe.precision, reference(model, recipe.precision).run, runner.run)
            finally:
                runner.free()

        engines = get_engines(model, self._card, self._device.gpu, cache or EngineCache(), load, parity)
        self._notes = engines.notes
        self._names = engines.network.inputs, engines.network.outputs
        self._runner = Runner(model, self._card, engines, Lane)
        self._warm_up()

    @property
    def input_names(self) -> tuple[str, ...]:
        return self._names[0]

    @property
    def output_names(self) -> tuple[str, ...]:
        return self._names[1]

    @property
    def metadata_card(self) -> str | None:
        return self._notes.get("metadata_card")

    @property
    def parity(self) -> float | str:
        """How well the engine agreed with ONNX Runtime when it was built: the least cosine."""
        agreement: float | str = self._notes.get("parity", NOT_CHECKED)
        return agreement

    @property
    def unrecorded(self) -> tuple[str, ...]:
        """Why some runs are not replayed as CUDA graphs, each reason once; empty where all are."""
        return self._runner.unrecorded

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._device.use()
        return self._runner.run(inputs)

    def see(self, image: ImageArray, views: Sequence[View]) -> dict[str, Tensor]:
        """Every output for views of one H×W×3 uint8 BGR picture, all of one tensor size; see `preprocessing.see`."""
        self._device.use()
        return self._runner.see(image, views)

    def _warm_up(self) -> None:
        """Prepare and record what a 640×480 camera asks for, so that the first frame is as quick as the others."""
        height, width = USUAL_PICTURE
        picture = np.full((height, width, 3), self._card.input.pad_value, np.uint8)
        for views in usual_views(self._card, width, height):
            for _ in range(2):
                self.see(picture, views)


class Runner:
    """Engines and the lanes through them, one for each combination of shapes; the last used ones stay.

    Threads take turns, one run at a time: a lane has one set of buffers, and may go to make room for another.
    ``make_lane`` makes a lane from stages, inputs and the names of the wanted outputs, as `tensorrt_engine.Lane` does.
    """

    def __init__(self, model: Path, card: ModelCard, engines: Engines[Any], make_lane: Callable[..., Any]) -> None:
        self._model, self._card, self._engines, self._make_lane = model, card, engines, make_lane
        self._largest = 1 if card.detection is not None else BATCH_BUCKETS[-1]
        self._lanes: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        self.unrecorded: tuple[str, ...] = ()

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        wanted, network = self._engines.network.inputs, self._engines.network
        try:
            given = {name: np.ascontiguousarray(inputs[name], network.dtype(name)) for name in wanted}
        except KeyError as error:
            raise ShelfHelpError(f"{self._model.name} failed on its input (no tensor {error})") from error
        return in_batches(
            given, wanted, lambda part: self._go(("run",), [_stage(network)], part, network.outputs), self._largest
        )

    def see(self, image: ImageArray, views: Sequence[View]) -> dict[str, Tensor]:
        if image.shape[0] > LARGEST_PICTURE[0] or image.shape[1] > LARGEST_PICTURE[1]:
            return self.run({self._card.input.name: views_tensor(self._card.input, image, views)})
        inputs = see_inputs(self._card.input, image, views)
        stages = [_stage(self._engines.see, tensor=self._card.input.name), _stage(self._engines.network)]
        wanted = {name: name for name in self._engines.network.outputs}
        detection = self._card.detection
        if detection is not None and self._engines.suppress is not None:
            stages.append(_stage(self._engines.suppress, boxes=detection.boxes, scores=detection.scores))
            wanted[detection.scores] = "kept_scores"
            inputs["window"] = np.asarray(views[0].window, np.float32)
            inputs["iou"] = np.asarray([detection.nms_iou], np.float32)
        found = in_batches(
            inputs,
            ("rows", "columns"),
            lambda part: self._go(("see",), stages, part, tuple(wanted.values())),
            self._largest,
        )
        return {name: found[source] for name, source in wanted.items()}

    def free(self) -> None:
        """Give the memory of every lane back."""
        with self._lock:
            while self._lanes:
                self._lanes.popitem()[1].free()

    def _go(
        self, kind: tuple[str, ...], stages: list[Any], inputs: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> dict[str, Tensor]:
        key = (*kind, *((name, value.shape) for name, value in sorted(inputs.items())))
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                if len(self._lanes) >= LANES:
                    self._lanes.popitem(last=False)[1].free()
                lane = self._lanes[key] = self._make_lane(stages, inputs, wanted)
            self._lanes.move_to_end(key)
            found = lane.run(inputs)
            if lane.why_not_recorded not in ("", *self.unrecorded):
                self.unrecorded += (lane.why_not_recorded,)
        return {name: np.asarray(value, np.float32) for name, value in found.items()}


def _stage(engine: Any, **renamed: str) -> Any:
    from shelfhelp_ros.inference.tensorrt_engine import Stage

    return Stage.named(engine, **renamed)


def usual_views(card: ModelCard, width: int, height: int) -> list[list[View]]:
    """What is asked for with a picture of this size: each zoom of a detector, each batch of an encoder."""
    if card.detection is not None:
        return [[View.whole(letterbox_for(card.input, width, height, zoom))] for zoom in card.detection.zooms]
    return [[View.of(card.input, 0, 0, width, height)] * count for count in BATCH_BUCKETS]


def _see_profile(network: Profile) -> dict[str, Profile]:
    """The profile of ``see.onnx`` that makes the input of a network's profile."""

    def spans(axis: int) -> Profile:
        least, best, most = ((shape[0], shape[axis], 3) for shape in (network.least, network.best, network.most))
        return Profile(least, best, most)

    picture = Profile((1, 1, 3), (*USUAL_PICTURE, 3), (*LARGEST_PICTURE, 3))
    return {"picture": picture, "rows": spans(2), "columns": spans(3)}


def _suppress_profile() -> dict[str, Profile]:
    shapes = ((1, 1), (1, 600), (1, 1024))
    least, best, most = shapes
    return {"boxes": Profile((*least, 4), (*best, 4), (*most, 4)), "scores": Profile(least, best, most)}
