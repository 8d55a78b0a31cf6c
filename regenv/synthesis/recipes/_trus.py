"""How a prostate is scanned through the rectum, and by T2 MR before that."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.data.frames import case_generator
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.prostate import RECTUM
from regenv.synthesis.anatomy.shapes import rotation
from regenv.synthesis.anatomy.swelling import SwollenWarp
from regenv.synthesis.anatomy.tissues import Tissue
from regenv.synthesis.physics.scan import Displace
from regenv.synthesis.physics.us import Acoustic, Probe, us, us_sector
from regenv.synthesis.recipes._prostate import RELAXATION, organ_labels, region_mask
from regenv.synthesis.recipes._scans import Scan, tilt

Key = tuple[object, ...]

ANATOMY_MM = 1.5
_PROBE_MM = 10.0
"""Radius of the probe."""

_GEL = Acoustic(-28.0, 1.56, 0.1)
_COUPLED = dict.fromkeys((Tissue.GAS, Tissue.CONTENT, Tissue.FLUID), _GEL)
"""The rectum is emptied and the probe's sheath filled with gel."""


def draw_probe(key: Key, warp: SwollenWarp, shift: Displace | None = None) -> Probe:
    """A probe in the rectum of a subject, facing the gland.

    Args:
        key: Names the scan.
        warp: The subject.
        shift: Where points of the subject at rest lie while the probe is in place (None: where they were).
    """
    rng = case_generator(*key, "probe")
    z = np.array([-20.0, 4.0, 26.0])
    axis = np.column_stack([np.zeros(3), np.interp(z, RECTUM[:, 2], RECTUM[:, 1]), z])
    front = axis - np.column_stack([np.zeros(3), np.interp(z, RECTUM[:, 2], RECTUM[:, 3]), np.zeros(3)])
    wall = warp.to_subject(front)
    wall = wall if shift is None else shift(wall)
    along = wall[2] - wall[0] + rng.normal(0, 2.5, 3)
    along /= np.linalg.norm(along)
    turn = tilt(rng, 4.0)
    if rng.random() < 0.5:
        depth = turn @ np.array([0.0, -1.0, 0.0])
        depth -= along * (depth @ along)
        depth /= np.linalg.norm(depth)
        axes = np.column_stack([np.cross(along, depth), along, depth])
        # the wall lies on the probe, wherever it leans
        position = wall[1] - depth * (_PROBE_MM + rng.uniform(-0.5, 1.0))
        angle, sweep = rng.uniform(140, 180), rng.uniform(76, 88)
        return Probe(
            position, axes, "cylinder", _PROBE_MM, rng.uniform(56, 66), angle, sweep, rng.uniform(6.0, 8.0), 28.0
        )
    # a fan that looks forward and up from behind the apex
    depth = turn @ rotation(rx=rng.uniform(22, 40)) @ np.array([0.0, -1.0, 0.0])
    depth = np.array([depth[0], depth[1], abs(depth[2])])
    lateral = np.cross(np.array([0.0, 0.3, 1.0]), depth)
    lateral /= np.linalg.norm(lateral)
    axes = np.column_stack([lateral, np.cross(depth, lateral), depth])
    contact = 0.7 * wall[0] + 0.3 * wall[1]
    position = contact - depth * (_PROBE_MM + rng.uniform(-0.5, 1.0))
    angle, sweep = rng.uniform(120, 145), rng.uniform(115, 140)
    return Probe(position, axes, "fan", _PROBE_MM, rng.uniform(62, 74), angle, sweep, rng.uniform(5.5, 7.5), 32.0)


def scan_grid(key: Key, modality: str, probe: Probe) -> Grid:
    """The voxels of a scan, about the gland.

    Args:
        key: Names the scan.
        modality: ``"us"``: cubes along the probe's axes; ``"t2"``: axial slices of a man who lies a bit askew.
        probe: The probe of an ultrasound.
    """
    rng = case_generator(*key, "grid")
    askew = tilt(rng)
    centre = rng.normal(0.0, 2.0, 3)
    if modality == "us":
        lateral, sweep, depth = np.asarray(probe.axes).T
        # left, back, up, as the patient would be shown; the rest of the tilt is how the patient lies
        axes = askew @ _nearest_rotation(np.column_stack([lateral, -depth, sweep]))
        spacing = float(rng.uniform(1.0, 1.25))
        return Grid.centred([int(np.ceil(96.0 / spacing))] * 3, (spacing,) * 3, centre, axes)
    pixel, thickness = float(rng.uniform(0.9, 1.2)), float(rng.uniform(2.8, 3.4))
    size = (*(int(np.ceil(112.0 / pixel)),) * 2, int(np.ceil(104.0 / thickness)))
    return Grid.centred(size, (pixel, pixel, thickness), centre, askew)


def _nearest_rotation(axes: FloatArray) -> FloatArray:
    """The orthonormal right-handed matrix nearest to one whose columns are nearly so."""
    u, _, vt = np.linalg.svd(axes)
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    return np.asarray(u @ flip @ vt)


def scanned(
    anatomy: Anatomy,
    warp: SwollenWarp,
    key: Key,
    modality: str,
    grid: Grid,
    probe: Probe,
    moved: Displace | None = None,
) -> Scan:
    """An ultrasound volume or T2 slices of the gland and what lies around it.

    Args:
        anatomy: The man at rest.
        warp: The same.
        key: Names the scan.
        modality: ``"us"`` or ``"t2"``.
        grid: Voxels of the scan.
        probe: Its probe; the mask of an ultrasound is within its sector.
        moved: Where points ``(N, 3)`` of the scan lie in the anatomy at rest (None: there).
    """
    from regenv.synthesis.physics.mr import mr

    mask, labels = region_mask(warp, grid, moved), organ_labels(anatomy, grid, moved)
    rng = case_generator(*key, "scan")
    if modality == "us":
        return Scan(us(anatomy, rng, grid, probe, moved, _COUPLED), labels, mask & us_sector(grid, probe))
    width = float(rng.uniform(0.9, 1.3))
    return Scan(mr(anatomy, rng, "t2", grid, width, displace=moved, relaxation=RELAXATION), labels, mask)
