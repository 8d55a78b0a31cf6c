"""Chest radiographs, from the back to the front, of two patients (as in JSRT, Shiraishi et al., AJR 174 (2000) 71-74).

A torso (another for every pair) breathed in is projected by a cone beam in layers: ribs, other bones, heart, the wall
of the chest, and the rest. Each patient is the projection seen through an affine map and a smooth warp in the plane
of the film, so the true correspondence of the films is exact. What patients do not share is drawn for each: size and
place of the heart, a millimetre or two of the ribs, thickness of the chest wall, density of the bones, nodules,
devices, markers, exposure and processing. Physical coordinates are mm on the detector: x to the patient's left, y down.
The labels are lung fields, heart and clavicles. The alignment that is given to a deformable environment is the affine
transform that fits the true correspondence over the chest best.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair
from regenv.synthesis.anatomy.between import draw_scale
from regenv.synthesis.anatomy.between2d import PlaneWarp
from regenv.synthesis.anatomy.points import within
from regenv.synthesis.anatomy.tissues import Organ
from regenv.synthesis.recipe import Recipe
from regenv.synthesis.recipes._chest_layers import Layers, make_layers
from regenv.synthesis.recipes._film_objects import add_objects
from regenv.synthesis.recipes._scans import Landmarks, Scan, deformed_pair, fit_affine, inner_lattice

_PIXEL_MM = 2.4
_PIXELS = 150
_WARP_MM, _KNOT_MM = 8.0, 80.0
_TILT_DEG = 10.0
_POINTS_MM = 14.0
"""Spacing of the lattice on which the TRE is measured."""
_LABELS = (Organ.LUNG_LEFT, Organ.LUNG_RIGHT, Organ.HEART, Organ.CLAVICLES)


@dataclass(frozen=True, eq=False)
class _Patient:
    """One of the two films' patients: where, and what it does not share."""

    warp: PlaneWarp
    ribs: PlaneWarp
    heart_scale: float
    heart_shift: FloatArray
    wall: float
    bone: float


@lru_cache(maxsize=4)
def _patients(seed: int) -> tuple[_Patient, _Patient]:
    """The patients of the fixed and of the moving film."""
    patients = []
    for role in ("fixed", "moving"):
        rng = case_generator("chest_xray", seed, role)
        sx, sy = draw_scale(rng, 2)
        angle, shear = np.deg2rad(rng.normal(0, 2.5)), rng.normal(0, 0.03)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = np.linalg.inv(turn @ np.array([[sx, shear], [0.0, sy]]))
        patients.append(
            _Patient(
                warp=PlaneWarp(rng, linear, _WARP_MM, _KNOT_MM),
                ribs=PlaneWarp(rng, np.eye(2), 1.2, 60.0),
                heart_scale=float(np.exp(rng.normal(0, 0.06))),
                heart_shift=rng.normal(0, (3.0, 0.4)),
                wall=float(np.exp(rng.normal(0, 0.18))),
                bone=float(np.exp(rng.normal(0.0, 0.15))),
            )
        )
    return patients[0], patients[1]


def _centre(patient: _Patient) -> FloatArray:
    middle: FloatArray = patient.warp.to_subject(np.zeros((1, 2)))[0]
    return middle


@lru_cache(maxsize=4)
def _alignment(seed: int) -> FloatArray:
    """The affine transform closest to the truth over a lattice on the chest."""
    fixed, moving = _patients(seed)
    x, y = np.meshgrid(np.arange(-130.0, 131.0, 20.0), np.arange(-140.0, 141.0, 20.0))
    lattice = np.column_stack([x.ravel(), y.ravel()])
    return fit_affine(fixed.warp.to_subject(lattice), moving.warp.to_subject(lattice))


def _correspond(seed: int, points: FloatArray) -> FloatArray:
    fixed, moving = _patients(seed)
    return moving.warp.to_subject(fixed.warp.to_template(points))


def displacement(seed: int, field_of_view: str, local: FloatArray) -> FloatArray:
    """What the alignment leaves, at points ``(N, 2)`` along the fixed grid's axes about its centre, mm."""
    points = np.asarray(local, np.float64) + _centre(_patients(seed)[0])
    return transform_points(np.linalg.inv(_alignment(seed)), _correspond(seed, points)) - points


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Takes both films.

    Args:
        seed: The case; it draws both patients.
        modalities: ``("xray", "xray")``.
        field_of_view: ``"chest"``.

    Returns:
        A 2-D pair, each film in its own patient's space, with exact correspondences over the chest and the affine map
        that is nearest to the truth as its alignment.
    """
    patients = _patients(seed)
    layers = make_layers(seed)
    rng = case_generator("chest_xray", seed, "films")
    angle = np.deg2rad(rng.uniform(-_TILT_DEG, _TILT_DEG))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size, spacing = (_PIXELS, _PIXELS), (_PIXEL_MM, _PIXEL_MM)
    grids = (
        Grid.centred(size, spacing, _centre(patients[0])),
        Grid.centred(size, spacing, _centre(patients[1]) + rng.normal(0, 5, 2), turn),
    )
    fixed, moving = (_film(p, g, layers, rng) for p, g in zip(patients, grids, strict=True))
    points = inner_lattice(fixed.mask, grids[0], _POINTS_MM)
    there = _correspond(seed, points)
    shown = within(grids[1], there)
    template = np.array(list(layers.landmarks.values()))
    here, elsewhere = (patient.warp.to_subject(template) for patient in patients)
    marks = Landmarks(tuple(layers.landmarks), here, elsewhere)
    marks = marks.where(within(grids[0], marks.fixed) & within(grids[1], marks.moving))
    names = {int(organ): organ.name.lower() for organ in _LABELS}
    return deformed_pair(fixed, moving, (points[shown], there[shown]), _alignment(seed), marks, names)


def _film(patient: _Patient, grid: Grid, layers: Layers, rng: np.random.Generator) -> Scan:
    """A film of a patient on a grid; the mask is the chest."""
    from regenv.synthesis.physics.film import film

    template = patient.warp.to_template(grid.points().reshape(-1, 2))
    heart = layers.heart_centre + (template - layers.heart_centre - patient.heart_shift) / patient.heart_scale
    ribs = patient.ribs.to_template(template)
    shape = grid.shape
    soft = layers.read("rest", template) + np.float32(patient.wall) * layers.read("wall", template)
    soft += layers.read("heart", heart)
    bone = layers.read("ribs", ribs) + layers.read("bones", template)
    soft, bone = soft.reshape(shape), np.float32(patient.bone) * bone.reshape(shape)
    labels = layers.labels(template, heart).reshape(shape)
    lungs = (labels == Organ.LUNG_LEFT) | (labels == Organ.LUNG_RIGHT)
    add_objects(soft, bone, lungs, _PIXEL_MM, rng)
    array = film(soft, bone, _PIXEL_MM, rng)
    if rng.random() < 0.35:  # collimated: what the beam did not reach is black
        low, high = (rng.uniform(0.0, 0.07, 2) * _PIXELS).astype(int), (rng.uniform(0.0, 0.07, 2) * _PIXELS).astype(int)
        lit = np.zeros(shape, bool)
        lit[low[0] : _PIXELS - high[0], low[1] : _PIXELS - high[1]] = True
        array[~lit] = 0.0
    return Scan(Image(array, grid, "xray", 0.0), labels, _chest(labels))


def _chest(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Lungs, heart and what lies between them in each row, with 7 mm around."""
    from scipy.ndimage import binary_dilation

    inside = np.isin(labels, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT, Organ.HEART))
    between = np.logical_or.accumulate(inside, axis=1) & np.logical_or.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
    dilated: NDArray[np.bool_] = binary_dilation(between, iterations=3)
    return dilated


RECIPE = Recipe(
    name="chest_xray",
    version=2,
    modalities=("xray",),
    fields_of_view=("chest",),
    make=make,
    ndim=2,
    displacement=displacement,
    crop_fixed=0.0,
    crop_moving=0.0,
)
