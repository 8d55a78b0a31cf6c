"""A CT of any anatomy at any angle to the scanner."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.modality.common import AIR_HU, add_table, hounsfield
from regenv.data.modality.ct import add_noise
from regenv.data.modality.scan import Displace, scan
from regenv.data.recipes._scans import in_mask as in_mask
from regenv.data.recipes._scans import labels_and_body as labels_and_body
from regenv.data.recipes._scans import tilt as tilt


def ct_scan(
    anatomy: Anatomy, rng: np.random.Generator, grid: Grid, low_dose: bool = False, displace: Displace | None = None
) -> Image:
    """A CT on a grid at any angle: with or without contrast medium, on a table along the scanner's axes.

    Args:
        anatomy: The subject.
        rng: Draws contrast medium, kernel, table and noise.
        grid: Voxels of the scan; rows run from front to back.
        low_dose: The noise of a scan for attenuation correction instead of a diagnostic one.
        displace: As in :func:`regenv.data.modality.scan.scan`.

    Returns:
        Image in HU of modality ``"ct"``, background -1000.
    """
    enhanced = not low_dose and rng.random() < 0.5
    enhancement = float(rng.uniform(80, 330)) if enhanced else 0.0
    hu = hounsfield(anatomy, enhancement, venous=float(rng.uniform(0.2, 1.1)))
    image = scan(hu, grid, float(rng.uniform(0.8, 2.0)), grid.spacing[2], displace)
    image = add_table(image, rng, curved=True)
    noise = float(rng.uniform(18, 38) if low_dose else rng.uniform(5, 16))
    array = add_noise(image, rng, noise)
    return Image(np.clip(np.rint(array), -1024, 3071), grid, "ct", AIR_HU)
