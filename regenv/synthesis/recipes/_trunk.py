"""What the recipes of the trunk share: boxes to paint, tilted grids, correspondence, the density of lung."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.synthesis.anatomy.motion import Change, Motion, MovedWarp
from regenv.synthesis.anatomy.moved_torso import MovedTorso
from regenv.synthesis.anatomy.points import lattice
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.anatomy.torso import subject_warp
from regenv.synthesis.recipes._scans import tilt


def tilted(
    extent_mm: tuple[float, float, float],
    spacing: tuple[float, float, float],
    centre: FloatArray,
    rng: np.random.Generator,
) -> Grid:
    """A grid about a point, at random angles of up to 10 degrees to the patient.

    Args:
        extent_mm: Width along its own axes.
        spacing: Of its voxels, mm.
        centre: Its middle ``(3,)``, mm.
        rng: Draws the angles.
    """
    size = tuple(int(round(e / s)) for e, s in zip(extent_mm, spacing, strict=True))
    return Grid.centred(size, spacing, centre, tilt(rng))


def covering(grid: Grid, margin_mm: float) -> tuple[FloatArray, FloatArray]:
    """Corners ``(3,)`` of the axis-aligned box that covers a grid's voxel centres with a margin, mm."""
    points = transform_points(grid.index_to_physical, lattice(*((0.0, n - 1.0) for n in grid.size)))
    return points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm


def rest_and_motion(
    subject: Subject, change: Change, stir_mm: float, rng: np.random.Generator
) -> tuple[MovedWarp, MovedWarp]:
    """Maps to one patient at rest and in motion.

    Args:
        subject: The patient's shape.
        change: What has changed in motion.
        stir_mm: What else has moved, for no patient lies quite still: deviation of the warp's knots.
        rng: Draws that.
    """
    rest, stirred = (subject_warp(subject) for _ in range(2))
    stirred.lattices += np.float32(stir_mm) * rng.standard_normal(stirred.lattices.shape, dtype=np.float32)
    return MovedWarp(rest, None), MovedWarp(stirred, Motion(subject, change))


def correspond(fixed: MovedWarp, moving: MovedWarp, points: FloatArray) -> FloatArray:
    """Points of the fixed scan ``(N, 3)`` mm, brought to the moving scan through the template."""
    return moving.to_subject(fixed.to_template(points))


def set_lung_density(painted: MovedTorso, array: NDArray[np.float32], density: float) -> None:
    """Makes lung as dense as the air in it says: by the mass that it keeps in motion, and denser toward the back.

    Lying on the back, the lung is denser there the less air it holds (Millar and Denison, Thorax 44 (1989) 485).

    Args:
        painted: A torso, at rest (breathed out) or in motion.
        array: Its CT numbers in HU, changed in place.
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
