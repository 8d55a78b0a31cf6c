"""Two patients of one shape in a plane: an affine map after an invertible smooth warp."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy import kernels
from regenv.synthesis.anatomy.between import LEAST_DETERMINANT, OWN_MM, shared_lattices
from regenv.synthesis.anatomy.points import lattice


class PlaneWarp:
    """Patient to template coordinates in a plane: ``template = linear (p + u(p))``.

    Args:
        rng: Source of the displacement.
        linear: ``(2, 2)``.
        amplitude_mm: Standard deviation of the displacement that patients share; less, if it were not invertible.
        knot_mm: Distance of its knots.
        half_mm: Half the side of the square about the origin on which it is defined (and held beyond).
    """

    def __init__(
        self, rng: np.random.Generator, linear: FloatArray, amplitude_mm: float, knot_mm: float, half_mm: float = 260.0
    ) -> None:
        self.linear = np.asarray(linear, np.float64)
        self.inverse = np.linalg.inv(self.linear)
        self.knot_mm = knot_mm
        self.origin = np.array([-half_mm, -half_mm, 0.0])
        knots = int(np.ceil(2 * half_mm / knot_mm)) + 5
        # a cubic B-spline of normal knots has 0.47 of their deviation in a plane
        drawn = np.clip(rng.standard_normal((2, knots, knots)), -2.5, 2.5) * OWN_MM / 0.47
        drawn += shared_lattices(rng, drawn.shape, amplitude_mm / 0.47)
        # constant along the third axis: the compiled spline is one of three
        lattices = np.concatenate([drawn, np.zeros((1, knots, knots))])
        self.lattices = np.ascontiguousarray(np.repeat(lattices[:, None], 6, axis=1), dtype=np.float32)
        axis = np.arange(-0.7 * half_mm, 0.7 * half_mm + 1, knot_mm / 5)
        points = lattice(axis, axis)
        # no shift of the whole: it would only carry the shapes away from where all patients share them
        self.lattices[:2] -= self.displacement(points).mean(axis=0).astype(np.float32)[:, None, None, None]
        while self.least_determinant(points) < LEAST_DETERMINANT:
            self.lattices *= np.float32(0.9)

    def displacement(self, points: FloatArray) -> FloatArray:
        """U at points ``(N, 2)``, mm."""
        lifted = np.column_stack([points, np.zeros(len(points))])
        out = np.empty((len(points), 3))
        kernels.displace(lifted, self.lattices, self.origin, self.knot_mm, out)
        return out[:, :2]

    def to_template(self, points: FloatArray) -> FloatArray:
        """Template points ``(N, 2)`` of a patient's points."""
        template: FloatArray = (points + self.displacement(points)) @ self.linear.T
        return template

    def to_subject(self, template_points: FloatArray, iterations: int = 60) -> FloatArray:
        """A patient's points ``(N, 2)`` of template points, by fixed-point iteration."""
        target = np.asarray(template_points, np.float64) @ self.inverse.T
        points = target.copy()
        for _ in range(iterations):
            points = target - self.displacement(points)
        return points

    def least_determinant(self, points: FloatArray) -> float:
        """Smallest Jacobian determinant of ``p + u(p)`` over points ``(N, 2)``, by differences over 2 mm."""
        columns = [(self.displacement(points + e) - self.displacement(points - e)) / 2 for e in np.eye(2)]
        return float(np.linalg.det(np.stack(columns, axis=-1) + np.eye(2)).min())
