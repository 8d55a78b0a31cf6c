"""What the agents are compared with: SimpleITK's registrations, and a simplex search where it has none (2-D/3-D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from agents.simpleitk import SimpleITKRegistration
from regenv.poses.base import start_widths

if TYPE_CHECKING:
    import SimpleITK as sitk

MESH_MM = {2: 24.0, 3: 48.0}
"""Spacing of the B-spline's control points at the finest level, by dimension."""


def linear_registration(fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform, metric: str) -> sitk.Transform:
    """The shipped agent: rigid where the initial transform is, else affine."""
    return SimpleITKRegistration(metric).register(fixed, moving, initial)


def affine_registration(fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform, metric: str) -> sitk.Transform:
    """The shipped agent, affine also from a rigid start, as one affine transform."""
    import SimpleITK as sitk

    from regenv.core.sitk import matrix_from_sitk, matrix_to_sitk

    matrix = matrix_from_sitk(initial)
    matrix[0, 0] *= 1.001  # tells the agent that the transform is not rigid; 0.1 mm in 100
    found = linear_registration(fixed, moving, matrix_to_sitk(matrix), metric)
    return sitk.AffineTransform(matrix_to_sitk(matrix_from_sitk(found)))


def spline_registration(
    fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform, mask: sitk.Image | None
) -> sitk.Transform:
    """Free-form deformations (Rueckert et al. 1999) by correlation and L-BFGS-B, one after another on three levels.

    Each level's spline, of half the last one's spacing, is found on top of the coarser ones.

    Args:
        fixed: Scalar image.
        moving: Scalar image.
        initial: The alignment that is given, fixed to moving.
        mask: Where the metric looks on the fixed image.

    Returns:
        Fixed to moving points, the alignment included.
    """
    import SimpleITK as sitk

    fixed, moving = (sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving))
    d = fixed.GetDimension()
    finest = min(fixed.GetSpacing())
    outside = float(sitk.GetArrayViewFromImage(moving).min())
    chain = [initial]
    finest_mm = 1.0 if d == 2 else 4.0
    for coarseness in (4, 2, 1):
        mesh = [
            max(1, round(n * spacing / MESH_MM[d] / coarseness))
            for n, spacing in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)
        ]
        spline = sitk.BSplineTransformInitializer(fixed, mesh, order=3)
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsCorrelation()
        if mask is not None:
            method.SetMetricFixedMask(mask)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetInitialTransform(spline, inPlace=True)
        method.SetShrinkFactorsPerLevel([max(1, round(coarseness * finest_mm / finest))])
        method.SetSmoothingSigmasPerLevel([coarseness * finest_mm / 2])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        method.SetOptimizerAsLBFGSB(
            gradientConvergenceTolerance=1e-6, numberOfIterations=50, maximumNumberOfFunctionEvaluations=80
        )
        # ITK's metrics take no spline as moving initial transform: the moving image is resampled for each level
        method.Execute(fixed, sitk.Resample(moving, fixed, sitk.CompositeTransform(chain), sitk.sitkLinear, outside))
        chain.append(spline)
    return sitk.CompositeTransform(chain)


def simplex(env: Any, start: NDArray[np.float64], evaluations: int = 400) -> NDArray[np.float64]:
    """Nelder-Mead on the environment's own similarity, begun again from where it ends with half the simplex.

    The first simplex is as large as the half widths of the environment's starts.

    Args:
        env: Its pair and start are those of the last reset.
        start: ``(d + 1, d + 1)``.
        evaluations: At most so many similarities.

    Returns:
        ``(d + 1, d + 1)``.
    """
    engine = env.unwrapped
    model, pair = engine.model, engine.get_state()
    frame = engine._engine.case(0).scene.frame
    widths = start_widths(model, engine.config.misalignment)
    pose = start
    for share in (1.0, 0.5):

        def moved(by: NDArray[np.float64], pose: NDArray[np.float64] = pose) -> NDArray[np.float64]:
            return np.asarray(pose @ frame @ model.exp(by[None])[0] @ np.linalg.inv(frame))

        def cost(by: NDArray[np.float64], moved: Any = moved) -> float:
            return -float(engine.set_state({**pair, "transform": moved(by)})[1]["similarity"])

        k = model.n_parameters
        options = {"maxfev": evaluations // 2, "xatol": 0.02, "fatol": 1e-6}
        options["initial_simplex"] = np.vstack([np.zeros(k), np.diag(share * widths)])
        pose = moved(optimize.minimize(cost, np.zeros(k), method="Nelder-Mead", options=options).x)
    engine.set_state({**pair, "transform": pose})
    return pose


def spread_mm(fixed: sitk.Image, transforms: Sequence[sitk.Transform]) -> float:
    """Largest mean distance in mm of the first transform from each other one, over a lattice in the fixed image."""
    steps = [np.linspace(0, n - 1, 7) for n in fixed.GetSize()]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), -1).reshape(-1, fixed.GetDimension())
    points = [fixed.TransformContinuousIndexToPhysicalPoint(p.tolist()) for p in lattice]
    places = np.array([[t.TransformPoint(p) for p in points] for t in transforms])
    return float(np.linalg.norm(places[1:] - places[:1], axis=-1).mean(-1).max())
