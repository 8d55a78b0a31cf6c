"""A torso projected on a detector in layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator
from regenv.synthesis.anatomy.subject import Subject
from regenv.synthesis.anatomy.tissues import Organ

Floats = NDArray[np.float32]

_PAINT_MM = 3.6
_PIXEL_MM = 2.5
_SIZE = (168, 160)
_CENTRE = (0.0, -40.0, 24.0)
_LOW, _HIGH = (-205.0, -205.0, -165.0), (205.0, 100.0, 200.0)
_SOURCE_MM = 1800.0
_FIELD_MM = 75.0
"""Lung that a ray has to pass for its pixel to count as lung field."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Projections of one torso, in mm on the detector about its middle (x to the patient's left, y down).

    Attributes:
        grid: The detector's pixels.
        images: Millimetres of water (or of bone's worth of it) along each ray, by layer: ``"rest"``, ``"wall"``,
            ``"heart"``, ``"ribs"``, ``"bones"``.
        lung: Millimetres of lung along each ray.
        heart: Millimetres of heart along each ray.
        right: Whether the lung at a pixel is the right one.
        clavicles: Whether a pixel shows a clavicle.
        heart_centre: ``(2,)``, where the heart rests on the diaphragm.
        landmarks: Named points ``(2,)``.
    """

    grid: Grid
    images: Mapping[str, Floats]
    lung: Floats
    heart: Floats
    right: NDArray[np.bool_]
    clavicles: NDArray[np.bool_]
    heart_centre: FloatArray
    landmarks: Mapping[str, FloatArray]

    def read(self, layer: str, points: FloatArray) -> Floats:
        """A layer at points ``(N, 2)``, linearly interpolated, the border held."""
        return self._at(self.images[layer], points)

    def labels(self, points: FloatArray, heart: FloatArray) -> NDArray[np.uint8]:
        """Label of points ``(N, 2)``; ``heart`` are the points at which the heart is read."""
        lung, right = self._at(self.lung, points) > _FIELD_MM, self._at(self.right.astype(np.float32), points) > 0.5
        out = np.where(lung, np.where(right, int(Organ.LUNG_RIGHT), int(Organ.LUNG_LEFT)), 0).astype(np.uint8)
        out[self._at(self.heart, heart) > 25.0] = Organ.HEART
        out[self._at(self.clavicles.astype(np.float32), points) > 0.5] = Organ.CLAVICLES
        return out

    def _at(self, array: Floats, points: FloatArray) -> Floats:
        from scipy.ndimage import map_coordinates

        index = transform_points(self.grid.physical_to_index, points)
        read: Floats = map_coordinates(array, index[:, ::-1].T, order=1, mode="nearest", output=np.float32)
        return read


def make_layers(seed: int) -> Layers:
    """Paints a torso breathed in and projects it from the back to the front."""
    from regenv.core.projection import radiograph
    from regenv.synthesis.anatomy.motion import MovedWarp
    from regenv.synthesis.anatomy.moved_torso import moved_torso
    from regenv.synthesis.anatomy.warp import Warp
    from regenv.synthesis.physics.common import hounsfield
    from regenv.synthesis.recipes._trunk import set_lung_density

    rng = case_generator("chest_xray", seed, "torso")
    subject = Subject(seed, arms_up=False)
    subject.inflation = float(rng.uniform(-3, 9))
    warp = MovedWarp(Warp(np.random.default_rng([seed, 13]), (1.0, 1.0, 1.0), 2.0), None)
    painted = moved_torso(subject, warp, _LOW, _HIGH, _PAINT_MM)
    anatomy, canvas = painted.anatomy, painted.canvas
    array = hounsfield(anatomy).array
    set_lung_density(painted, array, float(rng.uniform(0.6, 1.0)))
    ratio = np.clip(array / np.float32(1000) + np.float32(1), 0, 4)
    ratio[~anatomy.body] = 0
    dense = np.clip((ratio - np.float32(1.1)) / np.float32(0.3), 0, 1) * ratio
    soft = ratio - dense
    organ = anatomy.organ
    heart = np.where(organ == Organ.HEART, np.maximum(soft - np.float32(0.2), 0), 0)
    soft = soft - heart
    outside = subject.cavity.distance(canvas.x, canvas.y, canvas.z) > 0
    ribs = organ == Organ.RIBS
    lungs = (organ == Organ.LUNG_LEFT) | (organ == Organ.LUNG_RIGHT)
    volumes = {
        "rest": np.where(outside, 0, soft),
        "wall": np.where(outside, soft, 0),
        "heart": heart,
        "ribs": np.where(ribs, dense, 0),
        "bones": np.where(ribs, 0, dense),
        "lung": lungs,
        "lung_right": organ == Organ.LUNG_RIGHT,
        "heart_path": organ == Organ.HEART,
    }
    camera = _camera()
    images = {
        name: radiograph(Image(np.ascontiguousarray(v, dtype=np.float32), anatomy.grid), camera)[0]
        for name, v in volumes.items()
    }
    lung, right, path = images.pop("lung"), images.pop("lung_right"), images.pop("heart_path")
    grid = Grid.centred(_SIZE, (_PIXEL_MM, _PIXEL_MM))
    rows, columns = np.nonzero(path > 25.0)
    centre = transform_points(grid.index_to_physical, np.array([[columns.mean(), np.quantile(rows, 0.95)]]))[0]
    marks = {
        name: transform_points(grid.index_to_physical, camera.pixels(p[None]))[0]
        for name, p in anatomy.landmarks.items()
    }
    clavicles, ends = _clavicles(subject, warp, camera, grid)
    return Layers(grid, images, lung, path, right > 0.5 * lung, clavicles, centre, {**marks, **ends})


def _camera() -> Camera:
    """A tube behind the patient, 1.8 m from a detector that the chest leans on; rows run down, columns to the left."""
    axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]).T
    middle = np.array([_CENTRE[0], _LOW[1] - 20.0, _CENTRE[2]])
    grid = Grid.centred((*_SIZE, 1), (_PIXEL_MM, _PIXEL_MM, 1.0), middle, axes)
    return Camera(middle + np.array([0.0, _SOURCE_MM, 0.0]), grid, np.array(_CENTRE))


def _clavicles(subject: Subject, warp, camera: Camera, grid: Grid) -> tuple[NDArray[np.bool_], dict[str, FloatArray]]:  # type: ignore[no-untyped-def]
    """Where the detector shows the clavicles, and their ends."""
    from regenv.synthesis.anatomy.cage import clavicle

    shown = np.zeros(grid.shape, bool)
    x, y = np.moveaxis(grid.points(), -1, 0)
    ends = {}
    for side, name in ((-1, "right"), (1, "left")):
        rows = clavicle(subject, side)
        centres = np.vstack([rows[:, :3], rows[-1:, 4:7]])
        radii = 1.1 * np.append(rows[:, 3], rows[-1, 7])
        points = transform_points(grid.index_to_physical, camera.pixels(warp.to_subject(centres)))
        for (ax, ay), (bx, by), radius in zip(points[:-1], points[1:], radii[:-1], strict=True):
            length2 = (bx - ax) ** 2 + (by - ay) ** 2 + 1e-9
            t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
            shown |= (x - ax - t * (bx - ax)) ** 2 + (y - ay - t * (by - ay)) ** 2 < radius**2
        ends[f"clavicle_{name}_medial"], ends[f"clavicle_{name}_lateral"] = points[0], points[-1]
    return shown, ends
