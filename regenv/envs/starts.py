"""Where an episode starts: the truth, composed with a random misalignment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.models import MatrixModel, TransformModel


def half_widths(model: TransformModel, misalignment: Mapping[str, float]) -> NDArray[np.float64]:
    """Half width ``(K,)`` of the uniform start distribution of each degree of freedom.

    Args:
        model: The transform model.
        misalignment: Half width for each unit (``"mm"``, ``"deg"``, ``"%"``, ``"sd"``), or for the name of a
            degree of freedom (``"tz"``), which counts more.

    Raises:
        ValueError: If a unit is unknown or missing, a width is negative, or coefficients could leave the model's bound.
    """
    unknown = set(misalignment) - {"mm", "deg", "%", "sd", *model.names}
    freedoms = list(zip(model.names, model.units, strict=True))
    missing = [name for name, unit in freedoms if name not in misalignment and unit not in misalignment]
    if unknown or missing:
        raise ValueError(
            f"misalignment gives half widths for {sorted(set(model.units))}, or by the names "
            f"{', '.join(model.names)}; got {dict(misalignment)}"
        )
    if not all(np.isfinite(w) and w >= 0 for w in misalignment.values()):
        raise ValueError(f"misalignment must be finite and not negative, got {dict(misalignment)}")
    widths = np.array([misalignment.get(name, misalignment.get(unit)) for name, unit in freedoms], dtype=np.float64)
    bound = getattr(model, "bound", np.inf)
    if widths.max() > bound:
        raise ValueError(f"misalignment must stay within {bound:g} standard deviations, got {dict(misalignment)}")
    return widths


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


def draw_start(
    rng: np.random.Generator,
    widths: NDArray[np.float64],
    model: TransformModel,
    truth: NDArray[np.float64] | None = None,
    frame: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """A start: the truth composed with a misalignment; for a deformation, coefficients about 0, the mean shape.

    A deformation's start does not depend on the truth, so it tells nothing of it.

    Args:
        rng: Where it is drawn from.
        widths: ``(K,)`` half widths.
        model: The transform model.
        truth: ``(d + 1, d + 1)`` true transform; not for deformations.
        frame: ``(d + 1, d + 1)`` view frame; not for deformations.
    """
    coefficients = draw_misalignment(rng, widths)
    if not isinstance(model, MatrixModel):
        from regenv.core.deformation import LEAST_DETERMINANT

        deformable: Any = model
        while deformable.least_determinants(coefficients[None])[0] <= LEAST_DETERMINANT:
            coefficients = coefficients / 2  # rare; a folded start would have every small step refused
        return coefficients
    assert truth is not None and frame is not None
    return misaligned(truth, frame, coefficients, model)
