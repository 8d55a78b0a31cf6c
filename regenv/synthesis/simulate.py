"""A CBCT made from a user's CT, by the physics of the embedded data; kept in the disk cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.cache import cached, digest
from regenv.data.frames import case_generator
from regenv.modality import get_modality

VERSION = 1
"""Raised whenever another image is made from the same CT."""


def simulated_cbct(ct: Image, name: str) -> Image:
    """The CBCT of a CT, in the CT's frame.

    Args:
        ct: In HU.
        name: Seeds noise and the choice of physics: the same CT and name give the same CBCT.

    Returns:
        The CBCT; its truth against the CT is the identity.
    """
    from regenv.synthesis.physics import cbct

    def build() -> Mapping[str, NDArray[Any]]:
        # What scanners pad their images with lies far below air, and no tissue attenuates less than air does.
        air = replace(ct, array=np.maximum(ct.array, get_modality("ct").background))
        image = cbct.cbct_from_attenuation(air, case_generator("simulate-cbct", name))
        return {
            "array": image.array.astype(np.float32),
            "spacing": np.asarray(image.grid.spacing),
            "origin": np.asarray(image.grid.origin),
            "direction": image.grid.direction,
        }

    voxels = hashlib.sha256(ct.array.tobytes()).hexdigest()
    key = digest(
        "simulated-cbct",
        VERSION,
        physics=cbct.VERSION,
        voxels=voxels,
        grid=ct.grid.index_to_physical,
        size=ct.grid.size,
        name=name,
    )
    kept = cached(key, build, what=f"the CBCT of {name}")
    array = kept["array"]
    grid = Grid(array.shape[::-1], tuple(kept["spacing"]), tuple(kept["origin"]), kept["direction"])
    return Image(array, grid, "cbct", get_modality("cbct").background)
