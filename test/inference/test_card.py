"""A card survives its file, and a wrong card or a swapped model is named."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tiny_models import detector_card, encoder_card

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import ModelCard, card_path, load_card


@pytest.mark.parametrize("card", [detector_card(), encoder_card()], ids=["detector", "encoder"])
def test_round_trip(card):
    """What is written is what is read."""
    assert ModelCard.from_json(card.to_json()) == card


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": 1}', "null", '{"task": "detection", "input": {}}'])
def test_broken_cards(text):
    """Text that is no card is an error that names its origin."""
    with pytest.raises(ShelfHelpError, match=r"here\.json is not a usable model card"):
        ModelCard.from_json(text, "here.json")


def test_unknown_field():
    """A card from a newer program that moves a field is refused, not half read."""
    raw = json.loads(detector_card().to_json())
    raw["input"]["colour_space"] = "Lab"
    with pytest.raises(ShelfHelpError, match="colour_space"):
        ModelCard.from_json(json.dumps(raw))


def test_a_card_that_does_not_say_how_to_look():
    """A card from before zooms and their limits were in it is read as those models were run."""
    raw = json.loads(detector_card().to_json())
    for field in ("zooms", "least_side", "inside", "tile_overlap"):
        del raw["detection"][field]
    detection = ModelCard.from_json(json.dumps(raw)).detection
    assert (detection.zooms, detection.least_side, detection.inside) == ((1.0, 0.25), 45, 0.7)


@pytest.mark.parametrize(("field", "value"), [("zooms", []), ("zooms", [0]), ("zooms", 1), ("tile_overlap", 1)])
def test_impossible_looks(field, value):
    """Looks that no picture can be given are refused with the card."""
    raw = json.loads(detector_card().to_json())
    raw["detection"][field] = value
    with pytest.raises(ShelfHelpError, match="not a usable model card"):
        ModelCard.from_json(json.dumps(raw))


def test_hash(tiny_models, tmp_path):
    """A model that is not the one of its card is refused, unless its hash does not matter."""
    model = tmp_path / "detector.onnx"
    model.write_bytes((tiny_models / "detector.onnx").read_bytes() + b"\0")
    card_path(model).write_text((tiny_models / "detector.json").read_text())
    with pytest.raises(ShelfHelpError, match="SHA-256 differs"):
        load_card(model)
    assert load_card(model, verify=False).name == "rectangle finder"


def test_missing_files(tiny_models, tmp_path):
    """A missing model or card is named with its path."""
    model = tmp_path / "detector.onnx"
    with pytest.raises(ShelfHelpError, match=r"detector\.onnx is missing"):
        load_card(model)
    model.write_bytes((tiny_models / "detector.onnx").read_bytes())
    with pytest.raises(ShelfHelpError, match=r"detector\.json is missing"):
        load_card(model)


def test_unreadable_text(tiny_models, tmp_path):
    """A card that is not UTF-8 is an error, not a traceback."""
    model = tmp_path / "detector.onnx"
    model.write_bytes(b"x")
    card_path(model).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ShelfHelpError, match="cannot be read"):
        load_card(model)


def test_replaced_card_is_frozen():
    """Cards are values: they are replaced, never changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector_card().name = "other"
