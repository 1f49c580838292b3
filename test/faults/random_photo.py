"""Reference photos of noise, which fill a disk quickly: nothing can be compressed in them."""

from __future__ import annotations

import numpy as np

from shelfhelp_ros.catalogue.store import ReferencePhoto


def random_photo(seed: int) -> ReferencePhoto:
    """A crop of 60×40 pixels and a vector of 32 numbers."""
    random = np.random.default_rng(seed)
    vector = random.standard_normal(32).astype(np.float32)
    crop = random.integers(0, 256, (60, 40, 3), np.uint8)
    return ReferencePhoto(crop, vector / np.linalg.norm(vector), 0.9, 0.1, 128.0)
