"""Where an episode starts: the truth, composed with a random misalignment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.models import MatrixModel


def half_widths(model: MatrixModel, misalignment: Mapping[str, float]) -> NDArray[np.float64]:
    """Half width ``(K,)`` of the uniform start distribution of each degree of freedom.

    Args:
        model: The transform model.
        misalignment: Half width for each unit (``"mm"``, ``"deg"``, ``"%"``).

    Raises:
        ValueError: If a unit is unknown or missing or a width is negative.
    """
    unknown = set(misalignment) - {"mm", "deg", "%"}
    missing = set(model.units) - set(misalignment)
    if unknown or missing:
        raise ValueError(f"misalignment gives half widths for {sorted(set(model.units))}, got {dict(misalignment)}")
    if not all(np.isfinite(w) and w >= 0 for w in misalignment.values()):
        raise ValueError(f"misalignment must not be negative, got {dict(misalignment)}")
    return np.array([misalignment[unit] for unit in model.units], dtype=np.float64)


def draw_misalignment(rng: np.random.Generator, widths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients ``(K,)`` in mm, degree and %, uniform within the half widths."""
    return rng.uniform(-1.0, 1.0, len(widths)) * widths


def misaligned(truth: ArrayLike, frame: ArrayLike, coefficients: ArrayLike, model: MatrixModel) -> NDArray[np.float64]:
    """The start: ``truth . F exp(c) F^-1``.

    Args:
        truth: ``(d + 1, d + 1)`` true transform, fixed to moving.
        frame: ``(d + 1, d + 1)`` view frame F, mm along the fixed view's axes about its centre.
        coefficients: ``(K,)`` misalignment.
        model: The transform model.
    """
    f = np.asarray(frame, dtype=np.float64)
    step = model.exp(np.asarray(coefficients, dtype=np.float64)[None])[0]
    return np.asarray(truth, dtype=np.float64) @ f @ step @ np.linalg.inv(f)
