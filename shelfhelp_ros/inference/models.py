"""From a folder of models to a running network whose card, metadata and graph agree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import METADATA_KEY, ModelCard, load_card
from shelfhelp_ros.inference.session import Session, open_session

FOLDER_VARIABLE = "SHELFHELP_MODELS"


@dataclass(frozen=True)
class LoadedModel:
    """A network and its card, known to belong together."""

    card: ModelCard
    session: Session


def default_model_folder() -> Path:
    """The folder named by SHELFHELP_MODELS, else the one that comes with the package."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path(__file__).resolve().parent.parent / "models"


def load_model(
    folder: Path | None, name: str, task: str, backend: str = "auto", threads: int | None = None
) -> LoadedModel:
    """Load ``folder/name.onnx`` for a task (``detection`` or ``embedding``), its SHA-256 checked against the card.

    Raises ShelfHelpError when a file is missing or damaged, or when card, metadata and graph contradict each other.
    """
    path = (default_model_folder() if folder is None else folder) / f"{name}.onnx"
    card = load_card(path)
    if card.task != task:
        raise ShelfHelpError(f"{path} is a model for {card.task}, not for {task}; give another folder with --models")
    session = open_session(path, backend, threads)
    _check_agreement(path, card, session)
    return LoadedModel(card, session)


def _check_agreement(path: Path, card: ModelCard, session: Session) -> None:
    if session.metadata_card is None:
        raise ShelfHelpError(f"{path} carries no card in its metadata ({METADATA_KEY}); export the model again")
    inside = ModelCard.from_json(session.metadata_card, f"the metadata of {path}")
    for part in ("task", "input", "detection", "embedding"):
        if getattr(inside, part) != getattr(card, part):
            raise ShelfHelpError(f"{path} and its card disagree on {part!r}; export the model again")
    outputs = [card.detection.boxes, card.detection.scores] if card.detection else []
    outputs += [card.embedding.name] if card.embedding else []
    if not outputs:
        raise ShelfHelpError(f"the card of {path} does not say what the outputs are; export the model again")
    missing = {card.input.name} - set(session.input_names) | set(outputs) - set(session.output_names)
    if missing:
        raise ShelfHelpError(
            f"{path} has no tensor {', '.join(sorted(missing))} as its card says; export the model again"
        )
