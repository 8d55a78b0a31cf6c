"""Steps that the recipes of the trunk share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.image import Image
from regenv.data.anatomy.anatomy import Anatomy
from regenv.data.anatomy.motion import MovedWarp
from regenv.data.anatomy.moved_torso import MovedTorso
from regenv.data.anatomy.tissues import Tissue

FloatArray = NDArray[np.float64]


def ct_scan(
    hu: Image, grid: Grid, rng: np.random.Generator, sd: tuple[float, float] = (5.0, 16.0), table: bool = True
) -> Image:
    """A CT scan of CT numbers on any grid: point spread, slice profile, table, noise (as ``modality.ct``).

    Args:
        hu: Noise-free CT numbers.
        grid: Voxels of the scan; its second axis runs from the patient's front to the back.
        rng: Draws kernel, table and noise.
        sd: Range of the noise, HU.
        table: Whether there is a table.
    """
    from regenv.data.modality.common import AIR_HU, add_table
    from regenv.data.modality.ct import add_noise
    from regenv.data.modality.scan import scan

    image = scan(hu, grid, fwhm_mm=float(rng.uniform(0.8, 1.8)))
    if table:
        image = add_table(image, rng, curved=True)
    array = add_noise(image, rng, sd=float(rng.uniform(*sd)))
    return Image(np.clip(np.rint(array), -1024, 3071), grid, "ct", AIR_HU)


def tilted(
    extent_mm: tuple[float, float, float],
    spacing: tuple[float, float, float],
    centre: FloatArray,
    rng: np.random.Generator,
    most_deg: float,
) -> Grid:
    """A grid at random angles to the patient, up to ``most_deg`` about each axis."""
    from regenv.data.anatomy.shapes import rotation

    size = tuple(int(round(e / s)) for e, s in zip(extent_mm, spacing, strict=True))
    return Grid.centred(size, spacing, centre, rotation(*rng.uniform(-most_deg, most_deg, 3)))


def covering(grid: Grid, margin_mm: float) -> tuple[FloatArray, FloatArray]:
    """Corners of the axis-aligned box that covers a grid with a margin."""
    n = np.asarray(grid.size) - 1.0
    corners = np.stack(np.meshgrid(*[[0.0, m] for m in n], indexing="ij"), axis=-1).reshape(-1, 3)
    points = transform_points(grid.index_to_physical, corners)
    return points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm


def organs_and_body(anatomy: Anatomy, grid: Grid) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Organ labels and body mask of an anatomy on a scan's grid."""
    from regenv.core.resample import label_resample

    both = label_resample(anatomy.organ | (anatomy.body.astype(np.uint8) << 7), anatomy.grid, grid)
    return (both & 127).astype(np.uint8), both >= 128


def nearest(array: NDArray, grid: Grid, points: FloatArray) -> NDArray:
    """Values of the voxels nearest to physical points ``(N, d)``; 0 outside."""
    index = np.rint(transform_points(grid.physical_to_index, points)).astype(int)
    inside = np.all((index >= 0) & (index < np.asarray(grid.size)), axis=1)
    index = np.clip(index, 0, np.asarray(grid.size) - 1)
    return np.where(inside, array[tuple(index[:, ::-1].T)], np.zeros((), array.dtype))


def lattice_in(mask: NDArray[np.bool_], grid: Grid, spacing_mm: float) -> FloatArray:
    """Points ``(N, d)`` of a lattice about the grid's centre that lie in a mask, one voxel from its border or more."""
    from scipy.ndimage import binary_erosion

    steps = [np.arange(-np.floor(e / 2 / spacing_mm), np.floor(e / 2 / spacing_mm) + 1) for e in grid.extent]
    local = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, grid.ndim) * spacing_mm
    points = transform_points(grid.frame, local)
    return points[nearest(binary_erosion(mask), grid, points)]


def correspond(fixed: MovedWarp, moving: MovedWarp, points: FloatArray) -> FloatArray:
    """Points of the fixed scan ``(N, 3)``, brought to the moving scan through the template."""
    return moving.to_subject(fixed.to_template(points))


def fit_affine(source: FloatArray, target: FloatArray) -> FloatArray:
    """The affine ``(d + 1, d + 1)`` transform that takes points ``(N, d)`` closest to others, in least squares."""
    d = source.shape[1]
    solution = np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0]
    matrix = np.eye(d + 1)
    matrix[:d] = solution.T
    return matrix


def set_lung_density(painted: MovedTorso, array: NDArray[np.float32], density: float) -> None:
    """Makes lung as dense as the air in it says: by the mass that it keeps in motion, and denser toward the back.

    Args:
        painted: A torso, at rest (breathed out) or in motion.
        array: Its CT numbers, changed in place.
        density: Factor on the density of lung at rest.
    """
    anatomy, canvas = painted.anatomy, painted.canvas
    share = anatomy.share.astype(np.float32) / 255
    lung = np.where(anatomy.tissue == Tissue.LUNG, share, 0) + np.where(anatomy.under == Tissue.LUNG, 1 - share, 0)
    pure = (anatomy.tissue == Tissue.LUNG) & (anatomy.under == Tissue.LUNG)
    if not pure.any():
        return
    level = float(np.median(array[pure])) + 1000.0
    gravity = np.clip(1.0 + (canvas.y + 38.0) / 260.0, 0.6, 1.5)
    array += (lung * level * (density * gravity * painted.volume - 1.0)).astype(np.float32)
