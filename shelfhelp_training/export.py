"""From a trained module to an ONNX file with its card, checked against PyTorch before anything is written."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import METADATA_KEY, ModelCard, card_path, file_sha256

FloatArray = npt.NDArray[np.float32]
Outputs = dict[str, FloatArray]
OPSET = 18


def largest_difference(expected: Outputs, found: Outputs) -> float:
    """The largest absolute difference between outputs of the same name."""
    return float(np.max([np.abs(expected[name] - found[name]).max() for name in expected]))


def export_model(
    module: nn.Module,
    card: ModelCard,
    output: Path,
    inputs: Sequence[Tensor],
    dynamic_shapes: Mapping[int, Any],
    difference: Callable[[Outputs, Outputs], float] = largest_difference,
    tolerance: float = 1e-3,
) -> ModelCard:
    """Write ``module`` as ONNX to ``output`` and its card beside it; returns the card with its hash.

    Args:
        module: takes one tensor; gives a tensor or a tuple of tensors in the order of the card's outputs.
        card: names of input and outputs come from here; its ``sha256`` is filled in.
        output: path that ends in ``.onnx``.
        inputs: tensors to compare on, of different sizes; the first, whose dynamic dimensions must be larger than 1, is
            also traced.
        dynamic_shapes: ``torch.export`` dimensions by axis of the input.
        difference: how far ONNX Runtime's outputs are from PyTorch's, in whatever unit ``tolerance`` has.
        tolerance: the largest difference accepted.

    Raises:
        ShelfHelpError: ONNX Runtime does not agree with PyTorch. Nothing is written then.
    """
    module = module.eval().float()
    names = output_names(card)
    with tempfile.TemporaryDirectory(dir=_parent(output)) as folder:
        draft = Path(folder) / output.name
        torch.onnx.export(
            module,
            (inputs[0],),
            draft,
            dynamo=True,
            opset_version=OPSET,
            input_names=[card.input.name],
            output_names=names,
            dynamic_shapes=(dict(dynamic_shapes),),
            external_data=False,
            verbose=False,
        )
        write_card_metadata(draft, card)
        check_parity(module, draft, card, inputs, difference, tolerance)
        draft.replace(output)
    return write_card(output, card)


def check_parity(
    module: nn.Module,
    model: Path,
    card: ModelCard,
    inputs: Sequence[Tensor],
    difference: Callable[[Outputs, Outputs], float] = largest_difference,
    tolerance: float = 1e-3,
) -> float:
    """The largest difference between PyTorch and ONNX Runtime over ``inputs``; ShelfHelpError above ``tolerance``."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = output_names(card)
    differences = []
    for tensor in inputs:
        with torch.no_grad():
            raw = module(tensor)
        values = raw if isinstance(raw, tuple) else (raw,)
        expected = {name: value.numpy() for name, value in zip(names, values, strict=True)}
        found = dict(zip(names, session.run(names, {card.input.name: tensor.numpy()}), strict=True))
        differences.append(difference(expected, found))
    # Not Python's max, which can pass over a NaN.
    worst = float(np.max(differences))
    if not worst <= tolerance:
        raise ShelfHelpError(
            f"the exported model differs from PyTorch by {worst:.3g} (at most {tolerance:g} is accepted); not exported"
        )
    return worst


def output_names(card: ModelCard) -> list[str]:
    """Names of the outputs in the order in which the module gives them."""
    if card.detection is not None:
        return [card.detection.boxes, card.detection.scores]
    if card.embedding is not None:
        return [card.embedding.name]
    if card.classification is not None:
        return [card.classification.name]
    raise ValueError("the card describes no detector, encoder or classifier")


def write_card(model: Path, card: ModelCard) -> ModelCard:
    """Put the card into the ONNX metadata and, with the file's hash, beside it; also for a card that has changed."""
    write_card_metadata(model, card)
    final = dataclasses.replace(card, sha256=file_sha256(model))
    card_path(model).write_text(final.to_json(), encoding="utf-8")
    return final


def write_card_metadata(model: Path, card: ModelCard) -> None:
    """Replace the card in the ONNX metadata. It goes without the hash, which it would change."""
    proto = onnx.load(str(model))
    forget_origin(proto.graph)
    onnx.helper.set_model_props(proto, {METADATA_KEY: dataclasses.replace(card, sha256="").to_json()})
    onnx.save(proto, str(model))


def forget_origin(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes: stack traces that name folders of the machine it ran on."""
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _parent(output: Path) -> Path:
    if output.suffix != ".onnx":
        raise ShelfHelpError(f"{output} has to end in .onnx")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShelfHelpError(f"{output.parent} cannot be written to: {error}") from error
    return output.parent
