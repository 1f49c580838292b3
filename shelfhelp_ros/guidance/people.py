"""What is learnt of each person's movements, kept on disk: one small JSON file a person."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.gains import Gains

VERSION = 1


def people_folder() -> Path:
    """Where the files lie: ``shelfhelp/people`` in the user's data folder."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "shelfhelp" / "people"


def load_gains(person: str, folder: Path | None = None) -> Gains:
    """What is known of a person; the prior for a new one.

    A file that is damaged is put aside as ``….damaged`` and the person is learnt anew; a warning says so.
    """
    path = _path(person, folder)
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Gains.prior()
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        logging.getLogger(__name__).warning("%s", f"{path} cannot be used ({reason}): {person} is learnt anew")
        _put_aside(path)
        return Gains.prior()


def save_gains(person: str, gains: Gains, folder: Path | None = None) -> None:
    """Keep what is known of a person: the file is replaced as a whole or not at all. Raises ShelfHelpError."""
    path = _path(person, folder)
    text = json.dumps({"version": VERSION, "mean": gains.mean, "covariance": gains.covariance, "n": gains.movements})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}", delete=False) as file:
            file.write(text + "\n")
        os.replace(file.name, path)
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written ({error.strerror}); make its folder writable") from error


def _path(person: str, folder: Path | None) -> Path:
    return (people_folder() if folder is None else folder) / f"{person}.json"


def _parsed(raw: Any) -> Gains:
    if raw["version"] != VERSION:
        raise ValueError(f"version {raw['version']}, not {VERSION}")
    mean, covariance = np.array(raw["mean"], np.float64), np.array(raw["covariance"], np.float64)
    if mean.shape != (3,) or covariance.shape != (3, 3) or not np.isfinite(mean).all():
        raise ValueError("no three gains with their covariance")
    if not (np.abs(mean) < math.log(10)).all() or not np.allclose(covariance, covariance.T):
        raise ValueError("gains that no person has")
    if not np.linalg.eigvalsh(covariance).min() > 0:
        raise ValueError("a covariance that is none")
    rows = tuple((float(row[0]), float(row[1]), float(row[2])) for row in covariance)
    return Gains((float(mean[0]), float(mean[1]), float(mean[2])), rows, int(raw["n"]))


def _put_aside(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.replace(path.with_suffix(".damaged"))
