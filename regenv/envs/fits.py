"""The nearest transform of a model to known point pairs, in the least-squares sense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.core.models import TransformModel
from regenv.data.pair import ImagePair
from regenv.errors import DataError


def fit_points(
    model: TransformModel, pair: ImagePair, fixed: NDArray[np.float64], moving: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the model can say of points ``(N, d)`` and their partners: a ``(d + 1, d + 1)`` matrix, or coefficients.

    Raises:
        DataError: If there are too few points for the model.
    """
    if model.name == "sdm":
        deformable: Any = model
        return deformable.project(*local_displacement(pair, fixed, moving))
    if model.name == "affine":
        return fit_affine(fixed, moving)
    return fit_rotation(fixed, moving, scaled=model.name == "similarity")


def local_displacement(
    pair: ImagePair, fixed: NDArray[np.float64], moving: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and displacement ``(N, d)`` in the fixed grid's frame: ``T(F x) = alignment F (x + u)``."""
    frame = pair.fixed.grid.frame
    alignment = np.eye(pair.ndim + 1) if pair.alignment is None else pair.alignment
    points = transform_points(np.linalg.inv(frame), fixed)
    return points, transform_points(np.linalg.inv(alignment @ frame), moving) - points


def fit_affine(fixed: NDArray[np.float64], moving: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine transform that carries points ``(N, d)`` nearest to their partners.

    Raises:
        DataError: If the points do not decide it.
    """
    d = fixed.shape[1]
    middle = fixed.mean(0)
    rows = np.column_stack([fixed - middle, np.ones(len(fixed))])
    solution, _, rank, _ = np.linalg.lstsq(rows, moving, rcond=1e-9)
    if rank < d + 1:
        raise DataError(f"an affine transform needs {d + 1} points that do not lie in a plane; {len(fixed)} are known")
    matrix = np.eye(d + 1)
    matrix[:d, :d] = solution[:d].T
    matrix[:d, d] = solution[d] - matrix[:d, :d] @ middle
    return matrix


def fit_rotation(fixed: NDArray[np.float64], moving: NDArray[np.float64], scaled: bool = False) -> NDArray[np.float64]:
    """The rigid transform, or with one scale, nearest to point pairs ``(N, d)``.

    Sources: Kabsch, Acta Cryst. A 32 (1976) 922-923; Umeyama, TPAMI 13 (1991) 376-380.
    """
    d = fixed.shape[1]
    a, b = fixed - fixed.mean(0), moving - moving.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.ones(d)
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    scale = float((s * sign).sum() / (a**2).sum()) if scaled else 1.0
    matrix = np.eye(d + 1)
    matrix[:d, :d] = scale * (u * sign) @ vt
    matrix[:d, d] = moving.mean(0) - matrix[:d, :d] @ fixed.mean(0)
    return matrix
