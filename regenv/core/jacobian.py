"""Regularity of a deformation from its Jacobian determinants, J = I + du/dx in physical units.

The determinants are those inside whatever region is to be judged: say with each figure which one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST = 1e-9  # the logarithm of a folded point: one is enough to be seen in the deviation


def field_determinants(displacement: ArrayLike, spacing: ArrayLike) -> NDArray[np.float64]:
    """Determinants of I + du/dx of a displacement field, by central differences (one-sided at the border).

    Args:
        displacement: ``([z,] y, x, d)`` in mm along the grid's axes, components (x, y[, z]).
        spacing: ``(d,)`` mm between samples along (x, y[, z]).

    Returns:
        ``([z,] y, x)``.

    Raises:
        ValueError: If the shapes disagree or an axis has fewer than two samples.
    """
    u = np.asarray(displacement, dtype=np.float64)
    steps = np.asarray(spacing, dtype=np.float64)
    d = u.shape[-1]
    if u.ndim != d + 1 or steps.shape != (d,) or min(u.shape[:-1]) < 2:
        raise ValueError(
            f"a field of {d} components needs shape ([z,] y, x, {d}) with two samples an axis, and {d} spacings; got "
            f"{u.shape} and {steps.tolist()}"
        )
    axes = tuple(range(d))
    slopes = np.gradient(u, *steps[::-1], axis=axes)
    return np.linalg.det(np.eye(d) + np.stack(slopes[::-1], axis=-1))


def sdlogj(determinants: ArrayLike) -> float:
    """Standard deviation of log det J; 0 is a rigid motion, smaller is smoother. Folded points count as log 1e-9.

    Source: Leow et al., "Statistical properties of Jacobian maps and the realization of unbiased large-deformation
    nonlinear image registration", IEEE Trans. Med. Imaging 26(6), 2007.
    """
    return float(np.log(np.maximum(_values(determinants), _LEAST)).std())


def sdlogj_l2r(determinants: ArrayLike) -> float:
    """The figure that Learn2Reg's evaluation prints under that name: it adds 3 to the determinants first.

    About a quarter of :func:`sdlogj`, and blind to folding. For comparison with published figures only.
    """
    return float(np.log(np.clip(_values(determinants) + 3.0, 1e-9, 1e9)).std())


def folding(determinants: ArrayLike) -> float:
    """Share of points with det J <= 0, in [0, 1]."""
    return float((_values(determinants) <= 0).mean())


def _values(determinants: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(determinants, dtype=np.float64).ravel()
    if len(values) == 0:
        raise ValueError("no determinants: the region is empty")
    return values
