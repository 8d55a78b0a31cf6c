"""Cameras: a point source, or a point of view, before a flat detector, exactly as they stand in the world.

A pose T of the volume maps world points to the volume's physical points, so the pixel ``p`` of a detector looks along
the line from ``T(source)`` to ``T(p)`` in the volume. Nothing is resampled: an oblique, anisotropic volume, a tilted
detector and a detector off the central ray only change a 4 x 4 matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from regenv.core.geometry import FloatArray, Grid, transform_points


@dataclass(frozen=True, eq=False)
class Camera:
    """A source and a detector in world coordinates (LPS, mm).

    Attributes:
        source: ``(3,)``, the focal spot of the X-ray tube, or the pinhole of a depth camera.
        grid: The detector's pixel centres: a 3-D grid of size ``(W, H, 1)``, columns along its first axis (u), rows
            along its second (v). For a depth camera, any plane before the pinhole that its pixels look through.
        isocentre: ``(3,)``, the point about which poses turn.

    Raises:
        ValueError: If a shape does not fit, a number is not finite, or the source lies in the detector's plane.
    """

    source: FloatArray
    grid: Grid
    isocentre: FloatArray

    def __post_init__(self) -> None:
        for name in ("source", "isocentre"):
            point = np.array(getattr(self, name), dtype=np.float64)
            if point.shape != (3,) or not np.isfinite(point).all():
                raise ValueError(f"a camera's {name} is a finite point (3,) in mm, got {point.tolist()}")
            point.setflags(write=False)
            object.__setattr__(self, name, point)
        if self.grid.ndim != 3 or self.grid.size[2] != 1:
            raise ValueError(f"a detector is a grid of size (W, H, 1), got {self.grid.size}")
        if not self.distance_mm > 1e-6:
            raise ValueError(
                f"the source {self.source.tolist()} lies in the detector's plane, or a camera looks away from it"
            )

    @cached_property
    def frame(self) -> FloatArray:
        """``(4, 4)`` from mm along the detector's axes about the isocentre to world mm.

        The axes are u (along rows), v (down columns) and n = u x v, in-plane, in-plane and depth.
        """
        matrix = np.eye(4)
        u, v = self.grid.direction[:, 0], self.grid.direction[:, 1]
        matrix[:3, :3] = np.stack([u, v, np.cross(u, v)], axis=1)
        matrix[:3, 3] = self.isocentre
        return matrix

    @property
    def distance_mm(self) -> float:
        """Distance from the source to the detector's plane."""
        u, v = self.grid.direction[:, 0], self.grid.direction[:, 1]
        return float(abs(np.cross(u, v) @ (np.asarray(self.grid.origin) - self.source)))

    @property
    def magnification(self) -> float:
        """How much larger than in the isocentre's plane, parallel to the detector, things appear on the detector."""
        normal = self.frame[:3, 2]
        to_isocentre = float(normal @ (self.isocentre - self.source))
        to_detector = float(normal @ (np.asarray(self.grid.origin) - self.source))
        return to_detector / to_isocentre if to_isocentre != 0 else float("inf")

    def pixels(self, points: ArrayLike) -> FloatArray:
        """Where world points ``(N, 3)`` are seen, as continuous detector pixels ``(x, y)``, ``(N, 2)``.

        NaN for a point in the plane of the source, or behind it.
        """
        p = np.asarray(points, dtype=np.float64)
        normal = self.frame[:3, 2]
        to_detector = float(normal @ (np.asarray(self.grid.origin) - self.source))
        share = (p - self.source) @ normal / to_detector
        share = np.where(share > 1e-9, share, np.nan)
        on_detector = self.source + (p - self.source) / share[..., None]
        return transform_points(self.grid.physical_to_index, on_detector)[..., :2]

    def moved_by(self, matrix: ArrayLike) -> Camera:
        """The same camera after a rigid ``(4, 4)`` motion of the world."""
        source, isocentre = transform_points(matrix, np.stack([self.source, self.isocentre]))
        return Camera(source, self.grid.moved_by(matrix), isocentre)


def index_rays(camera: Camera, planes: ArrayLike, world_to_index: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Source and pixels of a camera in continuous index coordinates of volumes, for the kernels of ``projection``.

    Args:
        camera: The camera.
        planes: ``(S, 3, 2)``, views or regions of interest on the detector in its pixel coordinates ``(x, y)``: rows
            origin, row step, column step, so that pixel ``(s, i, j)`` is ``origin + i * row_step + j * column_step``.
        world_to_index: ``(B, 4, 4)`` from world mm to each lane's continuous voxel index ``(x, y, z)``:
            ``volume.physical_to_index @ T``.

    Returns:
        Sources ``(B, 3)`` and planes ``(B, S, 3, 3)``.

    Raises:
        ValueError: If a shape does not fit.
    """
    p = np.asarray(planes, dtype=np.float64)
    m = np.asarray(world_to_index, dtype=np.float64)
    if p.ndim != 3 or p.shape[1:] != (3, 2):
        raise ValueError(f"planes on a detector have shape (S, 3, 2), got {p.shape}")
    if m.ndim != 3 or m.shape[1:] != (4, 4):
        raise ValueError(f"world_to_index has shape (B, 4, 4), got {m.shape}")
    detector = m @ camera.grid.index_to_physical
    sources = m[:, :3, :3] @ camera.source + m[:, :3, 3]
    rays = np.einsum("bij,skj->bski", detector[:, :3, :2], p)
    rays[:, :, 0] += detector[:, None, :3, 3]
    return sources, rays


def detector_planes(camera: Camera) -> FloatArray:
    """The whole detector as one plane, ``(1, 3, 2)``."""
    return np.array([[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])


def view_planes(camera: Camera, size: int, spacing_mm: float, centre: ArrayLike | None = None) -> FloatArray:
    """A square view of ``size`` pixels of ``spacing_mm`` on the detector, ``(1, 3, 2)``.

    Args:
        camera: The camera.
        size: Pixels along each side.
        spacing_mm: Millimetres on the detector between them.
        centre: Detector pixel ``(x, y)`` in the middle of the view; default the middle of the detector.
    """
    first = -(size - 1) / 2 * spacing_mm
    planes = detector_pixels(camera, [[[first, first], [0.0, spacing_mm], [spacing_mm, 0.0]]])
    if centre is not None:
        planes[:, 0] += np.asarray(centre, dtype=np.float64) - (np.asarray(camera.grid.size[:2]) - 1) / 2
    return planes


def detector_pixels(camera: Camera, planes: ArrayLike) -> FloatArray:
    """Planes ``(..., 3, 2)`` in mm about the middle of the detector (origin, steps), in its pixels."""
    pixels = np.asarray(planes, dtype=np.float64) / np.asarray(camera.grid.spacing[:2])
    pixels[..., 0, :] += (np.asarray(camera.grid.size[:2]) - 1) / 2
    return pixels
