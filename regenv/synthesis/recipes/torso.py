"""CT and cone-beam CT of one patient's torso, spine, heart, or head and neck: rigid.

The patient lies differently in the second scan (up to 10 degrees about each axis) but is rigid: the true transform is
exact. The fixed mask is the patient within the scanner's field of view, so that TRE is measured where the fixed image
shows something.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._scans import Scan, labels_and_body, linear_pair, tilt

VERSION = 8
_ANATOMY_MM = {"torso": 2.4, "spine": 2.0, "heart": 2.0, "head_and_neck": 2.0}

# what a cone-beam scan of each field of view is centred on: range of z in mm of the subject, radius and height range
_CONE = {
    "torso": ((-110.0, 60.0), None, (170.0, 215.0)),
    "spine": ((-150.0, -70.0), (88.0, 120.0), (150.0, 190.0)),
    "heart": ((-25.0, 5.0), (95.0, 125.0), (140.0, 180.0)),
    "head_and_neck": ((240.0, 305.0), (105.0, 128.0), (180.0, 215.0)),
}


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds an anatomy and scans it twice.

    Args:
        seed: The patient.
        modalities: Of the fixed and the moving scan, ``"ct"`` or ``"cbct"``.
        field_of_view: ``"torso"``, ``"spine"``, ``"heart"`` or ``"head_and_neck"``.

    Returns:
        The pair in the patient's own space: the true transform is the identity.
    """
    from regenv.synthesis.anatomy.torso import torso

    anatomy = torso(seed, _ANATOMY_MM[field_of_view], field_of_view)
    scans = []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator("phantom-scan", seed, field_of_view, role, modality)
        image = _scan(anatomy, modality, field_of_view, rng)
        image = replace(image, array=image.array.astype(np.int16))  # CT numbers are whole
        labels, body = labels_and_body(anatomy, image.grid)
        scans.append(Scan(image, labels, body & (image.array > image.background) if modality == "cbct" else body))
    fixed, moving = scans
    return linear_pair(fixed, moving, anatomy.landmarks)


def _scan(anatomy: Anatomy, modality: str, field_of_view: str, rng: np.random.Generator) -> Image:
    """One scan of an anatomy."""
    if modality == "ct":
        from regenv.synthesis.physics.ct import ct

        return ct(anatomy, rng)
    return _cone_beam_scan(anatomy, field_of_view, rng)


def _cone_beam_scan(anatomy: Anatomy, field_of_view: str, rng: np.random.Generator) -> Image:
    """A CBCT about what the field of view names, with the patient lying a few degrees differently."""
    from regenv.core.resample import resample
    from regenv.synthesis.physics.cbct import cbct_from_attenuation, draw_scanner
    from regenv.synthesis.physics.common import add_table, hounsfield

    levels, radii, heights = _CONE[field_of_view]
    scanner = replace(draw_scanner(rng), height_mm=float(rng.uniform(*heights)))
    if radii is not None:
        scanner = replace(scanner, radius_mm=float(rng.uniform(*radii)), pixel_mm=float(rng.uniform(2.0, 2.4)))
    contrast = float(rng.uniform(40, 200)) if rng.random() < 0.25 else 0.0
    hu = hounsfield(anatomy, contrast, venous=float(rng.uniform(0.4, 1.2)))
    isocentre = _isocentre(anatomy, field_of_view, float(rng.uniform(*levels)), scanner.height_mm)
    isocentre = isocentre + rng.normal(0, 5, 3)
    # the patient in this scanner's axes: or the headers' axes alone would tell the rotation
    axes = tilt(rng)
    extent = np.array([400.0, 330.0, scanner.height_mm * 1.1])
    centre = isocentre + axes @ np.array([0.0, 20.0, 0.0])
    spacing = 2.4 if scanner.radius_mm < 150 else 2.8
    grid = Grid.centred([int(n) for n in extent / spacing], (spacing,) * 3, centre, axes)
    turned, _ = resample(hu, grid)
    volume = add_table(Image(turned, grid, "ct", hu.background), rng, curved=False)
    return cbct_from_attenuation(volume, rng, scanner=scanner, isocentre=isocentre)


def _isocentre(anatomy: Anatomy, field_of_view: str, z: float, height: float) -> FloatArray:
    """Centre of the reconstruction in mm of the subject."""
    grid = anatomy.grid
    # the scan must not run out of the patient that was built
    low = grid.origin[2] + height / 2 + 15
    high = grid.origin[2] + grid.extent[2] - height / 2 - 15
    z = float(np.clip(z, min(low, high), max(low, high)))
    row = int(np.clip((z - grid.origin[2]) / grid.spacing[2], 0, grid.size[2] - 1))
    rows, columns = np.nonzero(anatomy.body[row])
    middle = np.array([columns.mean() * grid.spacing[0], rows.mean() * grid.spacing[1]]) + np.asarray(grid.origin[:2])
    if field_of_view == "spine":
        bodies = np.array([p for name, p in anatomy.landmarks.items() if name.endswith("_body")])
        nearest = bodies[np.argmin(np.abs(bodies[:, 2] - z))]
        return np.array([nearest[0], nearest[1] - 8.0, z])
    if field_of_view == "heart" and "heart_centre" in anatomy.landmarks:
        return np.array([*(0.75 * anatomy.landmarks["heart_centre"][:2] + 0.25 * middle), z])
    return np.array([middle[0], middle[1], z])


RECIPE = Recipe(
    name="torso",
    version=VERSION,
    modalities=("ct", "cbct"),
    fields_of_view=tuple(_CONE),
    make=make,
)
