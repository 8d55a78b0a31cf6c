"""Compiled minima and maxima with rounded edges. NumPy functions take a third of a second to load: import on use."""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from numba import vectorize


@vectorize(["float32(float32, float32, float32)", "float64(float64, float64, float64)"], cache=True)
def smooth_min(a, b, k):
    """Polynomial smooth minimum, see ``shapes.smooth_min``."""
    h = max(k - abs(a - b), k * 0) / k
    return min(a, b) - h * h * k / 4


@vectorize(["float32(float32, float32, float32)", "float64(float64, float64, float64)"], cache=True)
def smooth_max(a, b, k):
    """Polynomial smooth maximum, see ``shapes.smooth_max``."""
    h = max(k - abs(a - b), k * 0) / k
    return max(a, b) + h * h * k / 4
