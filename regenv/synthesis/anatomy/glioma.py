"""A brain tumour, the way to it through the skull, and the cavity that its removal leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.brains import BrainSubject
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.tissues import Organ, Tissue

CRANIOTOMY_MM = 36.0
"""Radius of the opening in the skull."""

_BRAIN = (Organ.CORTEX, Organ.WHITE_MATTER, Organ.DEEP_GREY, Organ.CEREBELLUM, Organ.BRAINSTEM, Organ.TUMOUR)
_COVER = (
    Tissue.AIR,
    Tissue.SKIN,
    Tissue.FAT,
    Tissue.MUSCLE,
    Tissue.CORTICAL,
    Tissue.DIPLOE,
    Tissue.GAS,
    Tissue.CSF,
    Tissue.WALL,
)
_Field = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Glioma:
    """A diffuse tumour of the hemispheres and the surgeon's way to it.

    Attributes:
        centre: Middle of the tumour, subject mm.
        radii: Half-axes in mm along the columns of ``axes``.
        axes: ``(3, 3)`` rotation.
        entry: Where the way to the tumour meets the surface of the brain.
        cyst: Size of a cyst in its middle relative to the tumour, 0 for none.
    """

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    axes: NDArray[np.float64]
    entry: NDArray[np.float64]
    cyst: float

    @property
    def inward(self) -> NDArray[np.float64]:
        """Unit vector from the entry to the tumour."""
        way = self.centre - self.entry
        return np.asarray(way / np.linalg.norm(way))


def draw_glioma(anatomy: Anatomy, subject: BrainSubject, rng: np.random.Generator) -> Glioma:
    """Draws a tumour in the white matter of one hemisphere that can be reached from its convexity.

    Args:
        anatomy: The subject's head.
        subject: For template coordinates.
        rng: Draws place, size and shape.
    """
    middle = subject.warp.to_subject(np.array([[0.0, 15.0, 2.0]]))[0]
    # by rejection; should no draw fit, the last one stands
    for _ in range(60):
        side = float(rng.choice([-1.0, 1.0]))
        template = np.array([side * rng.uniform(20, 44), rng.uniform(-42, 72), rng.uniform(10, 46)])
        centre = subject.warp.to_subject(template[None])[0]
        size = float(rng.uniform(10.0, 19.0))
        outward = centre - middle
        outward = outward / np.linalg.norm(outward) + [0, 0, 0.25] + rng.normal(0, 0.12, 3)
        outward /= np.linalg.norm(outward)
        depth = _way_out(anatomy, centre, outward)
        if _tissue_at(anatomy, centre[None])[0] == Tissue.WHITE_MATTER and size * 0.7 < depth < 38:
            break
    axes = rotation(*rng.uniform(-180, 180, 3))
    radii = size * np.exp(rng.normal(0, 0.18, 3))
    cyst = float(rng.uniform(0.3, 0.55)) if rng.random() < 0.25 else 0.0
    return Glioma(centre, radii, axes, centre + depth * outward, cyst)


def _way_out(anatomy: Anatomy, start: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    """Millimetres from a point to the last brain tissue along a direction."""
    steps = np.arange(0.0, 90.0, 1.0)
    tissue = _tissue_at(anatomy, start + steps[:, None] * direction)
    brain = np.isin(tissue, (Tissue.GREY_MATTER, Tissue.WHITE_MATTER))
    return float(steps[np.flatnonzero(brain)[-1]]) if brain.any() else 0.0


def _tissue_at(anatomy: Anatomy, points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Tissue of the voxel nearest to each point ``(N, 3)``."""
    grid = anatomy.grid
    index = np.rint((points - grid.origin) / grid.spacing).astype(int)
    index = np.clip(index, 0, np.asarray(grid.size) - 1)
    return anatomy.tissue[index[:, 2], index[:, 1], index[:, 0]]


def _offsets(grid: Grid, box: tuple[slice, slice, slice], about: NDArray[np.float64]) -> tuple[_Field, ...]:
    """Millimetres x, y, z from a point, of the voxels of a box of an axis-aligned grid, ready to broadcast."""
    shapes = ((1, 1, -1), (1, -1, 1), (-1, 1, 1))
    return tuple(
        (grid.origin[a] + grid.spacing[a] * np.arange(box[2 - a].start, box[2 - a].stop) - about[a])
        .astype(np.float32)
        .reshape(shapes[a])
        for a in range(3)
    )


def _box(grid: Grid, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, slice, slice]:
    """Voxels between two corners (mm)."""
    first = np.clip(np.floor((low - grid.origin) / grid.spacing), 0, grid.size).astype(int)
    last = np.clip(np.ceil((high - grid.origin) / grid.spacing) + 1, first, grid.size).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(first[::-1], last[::-1], strict=True))
    return z, y, x


def _distance(
    anatomy: Anatomy, glioma: Glioma, scale: float, margin: float
) -> tuple[tuple[slice, slice, slice], _Field]:
    """About the millimetres to the surface of the tumour, ``scale`` times its size, in a box; bumpy."""
    reach = scale * glioma.radii.max() * 1.3 + margin
    box = _box(anatomy.grid, glioma.centre - reach, glioma.centre + reach)
    x, y, z = _offsets(anatomy.grid, box, glioma.centre)
    m = (glioma.axes / (scale * glioma.radii)).astype(np.float32)
    rho = np.sqrt(sum((m[0, c] * x + m[1, c] * y + m[2, c] * z) ** 2 for c in range(3)))
    rho = rho * (1 + np.float32(0.16) * anatomy.coarse[box])
    return box, ((rho - 1) * np.float32(scale * glioma.radii.mean())).astype(np.float32)


def with_glioma(anatomy: Anatomy, glioma: Glioma, edge_mm: float = 7.0) -> Anatomy:
    """The head with the tumour in it, which fades into the brain over ``edge_mm``; fluid spaces stay."""
    tissue, under, share, organ = (a.copy() for a in (anatomy.tissue, anatomy.under, anatomy.share, anatomy.organ))
    box, distance = _distance(anatomy, glioma, 1.0, edge_mm)
    brain = np.isin(tissue[box], (Tissue.GREY_MATTER, Tissue.WHITE_MATTER)) & np.isin(organ[box], _BRAIN)
    cover = np.clip(0.5 - distance / edge_mm, 0, 1)
    inside, rim = brain & (cover >= 0.5), brain & (cover > 0.03) & (cover < 0.5)
    before = tissue[box].copy()
    under[box][inside] = before[inside]
    tissue[box][inside] = Tissue.TUMOUR
    share[box][inside] = np.rint(255 * cover[inside]).astype(np.uint8)
    organ[box][inside] = Organ.TUMOUR
    under[box][rim] = Tissue.TUMOUR
    share[box][rim] = np.rint(255 * (1 - cover[rim])).astype(np.uint8)
    if glioma.cyst:
        inner, deep = _distance(anatomy, glioma, glioma.cyst, 3.0)
        fluid = (deep < 0) & (organ[inner] == Organ.TUMOUR)
        tissue[inner][fluid], under[inner][fluid], share[inner][fluid] = Tissue.FLUID, Tissue.FLUID, 255
    return replace(anatomy, tissue=tissue, under=under, share=share, organ=organ)


def opened(anatomy: Anatomy, glioma: Glioma) -> Anatomy:
    """The head as ultrasound meets it: the skull opened over the tumour, saline in its place.

    Sulci and the falx are full of membranes and vessels and echo strongly, other than the fluid of the ventricles:
    here they consist of ``Tissue.WALL``.
    """
    tissue, under, share = anatomy.tissue.copy(), anatomy.under.copy(), anatomy.share.copy()
    for layer in (tissue, under):
        layer[(layer == Tissue.CSF) & ~_near_ventricles(anatomy)] = Tissue.WALL
    outward = -glioma.inward
    reach = CRANIOTOMY_MM + 25.0
    box = _box(anatomy.grid, glioma.entry - reach, glioma.entry + reach)
    x, y, z = _offsets(anatomy.grid, box, glioma.entry)
    along = x * np.float32(outward[0]) + y * np.float32(outward[1]) + z * np.float32(outward[2])
    across = np.sqrt(np.maximum(x * x + y * y + z * z - along * along, 0))
    # the brain's surface falls away from the entry as a sphere of about 70 mm does
    hole = (across < CRANIOTOMY_MM) & (along > -1.0 - across * across / 140.0 - 4.0)
    cover = hole & np.isin(tissue[box], _COVER)
    # what is left of the furrows at the surface stays a membrane
    keep = (tissue[box] == Tissue.WALL) & (along < 1.0)
    cover &= ~keep
    tissue[box][cover], under[box][cover], share[box][cover] = Tissue.CSF, Tissue.CSF, 255
    return replace(anatomy, tissue=tissue, under=under, share=share)


def _near_ventricles(anatomy: Anatomy) -> NDArray[np.bool_]:
    """The ventricles and the voxels that touch them."""
    inside = anatomy.organ == Organ.VENTRICLES
    near = inside.copy()
    for axis in range(3):
        a, b = [slice(None)] * 3, [slice(None)] * 3
        a[axis], b[axis] = slice(1, None), slice(None, -1)
        near[tuple(a)] |= inside[tuple(b)]
        near[tuple(b)] |= inside[tuple(a)]
    return near


def resected(anatomy: Anatomy, glioma: Glioma, rng: np.random.Generator) -> Anatomy:
    """The head after the tumour has been taken out: a cavity and the way to it full of saline, a rim of tumour left."""
    tissue, under, share, organ = (a.copy() for a in (anatomy.tissue, anatomy.under, anatomy.share, anatomy.organ))
    taken = float(rng.uniform(0.75, 1.0))
    way = float(rng.uniform(5.0, 9.0))
    reach = np.linalg.norm(glioma.centre - glioma.entry) + 1.4 * glioma.radii.max() + 12
    box = _box(anatomy.grid, glioma.centre - reach, glioma.centre + reach)
    inner, distance = _distance(anatomy, glioma, taken, 4.0)
    cavity = np.full(tuple(s.stop - s.start for s in box), 99.0, np.float32)
    place = tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, box, strict=True))
    cavity[place] = distance
    x, y, z = _offsets(anatomy.grid, box, glioma.entry)
    d = glioma.inward.astype(np.float32)
    along = x * d[0] + y * d[1] + z * d[2]
    across = np.sqrt(np.maximum(x * x + y * y + z * z - along * along, 0))
    corridor = np.maximum(across - way, np.maximum(-12.0 - along, along - np.linalg.norm(glioma.centre - glioma.entry)))
    hollow = np.minimum(cavity, corridor + np.float32(1.2) * anatomy.coarse[box])
    spacing = anatomy.grid.spacing[0]
    soft = ~np.isin(tissue[box], (Tissue.CORTICAL, Tissue.DIPLOE, Tissue.AIR, Tissue.SKIN, Tissue.FAT))
    full, edge = soft & (hollow < -0.5 * spacing), soft & (np.abs(hollow) <= 0.5 * spacing)
    tissue[box][full], under[box][full], share[box][full] = Tissue.FLUID, Tissue.FLUID, 255
    organ[box][full] = Organ.NONE
    under[box][edge] = Tissue.FLUID
    share[box][edge] = np.rint(255 * np.clip(0.5 + hollow[edge] / spacing, 0.5, 1)).astype(np.uint8)
    return replace(anatomy, tissue=tissue, under=under, share=share, organ=organ)
