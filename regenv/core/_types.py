"""Numba types of the kernels' arguments.

Kernels declare their types instead of compiling for whatever comes: a read-only array, or a wrong type, would otherwise
cost seconds of compilation in the middle of an episode. Inputs are declared read-only, which takes writable arrays too.
"""

from __future__ import annotations

from typing import Any

from numba import types

INT = types.int64
BOOL = types.boolean
DOUBLE = types.float64
LANES = (INT, INT)
"""First and last lane, the first arguments of every kernel over lanes."""


def given(kind: Any, ndim: int) -> Any:
    """A C-contiguous array that is only read."""
    return types.Array(kind, ndim, "C", readonly=True)


def written(kind: Any, ndim: int) -> Any:
    """A C-contiguous array that is written."""
    return types.Array(kind, ndim, "C")


IMAGES = given(types.float32, 4)
FLAGS = given(types.uint8, 4)
VALUES = written(DOUBLE, 1)
VIEWS = (*LANES, IMAGES, IMAGES, FLAGS, FLAGS)
"""Lanes, fixed, moved, mask, valid: the first arguments of every metric's kernel."""
