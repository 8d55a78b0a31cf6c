"""Matrix groups, as numbers: logarithms of rotations, similarities and affine matrices, and what they need."""

from __future__ import annotations

import numpy as np

from regenv.core.geometry import FloatArray


def phi(a: FloatArray) -> FloatArray:
    """The series ``sum_k A^k / (k + 1)!`` of stacked square matrices."""
    term = np.tile(np.eye(a.shape[-1]), (len(a), 1, 1))
    total = term.copy()
    for order in range(2, 40):
        term = term @ a / order
        total += term
    return total


def log_scaled_rotation(linear: FloatArray, name: str) -> FloatArray:
    """Logarithm of rotations (``"rigid"``) or of rotations times one scale (``"similarity"``), stacked."""
    d = linear.shape[-1]
    scale = np.sqrt(np.einsum("bij,bij->b", linear, linear) / d)
    rotation = linear / scale[:, None, None]
    gram = np.einsum("bki,bkj->bij", rotation, rotation)
    wrong = (np.abs(gram - np.eye(d)).max(axis=(1, 2), initial=0) > 1e-5) | (np.linalg.det(rotation) < 0)
    if name == "rigid":
        wrong |= np.abs(scale - 1) > 1e-5
    if wrong.any():
        lane = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"lane {lane}: the matrix is not {name}: its linear part is {linear[lane].tolist()}")
    logarithm = np.zeros_like(linear)
    if d == 2:
        angle = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
        logarithm[:, 1, 0], logarithm[:, 0, 1] = angle, -angle
    else:
        vector = _rotation_vectors(rotation)
        for axis in range(3):
            a, b = (axis + 1) % 3, (axis + 2) % 3
            logarithm[:, b, a], logarithm[:, a, b] = vector[:, axis], -vector[:, axis]
    if name == "similarity":
        logarithm += np.log(scale)[:, None, None] * np.eye(d)
    return logarithm


def _rotation_vectors(rotation: FloatArray) -> FloatArray:
    """Axis times angle (radians) of ``(B, 3, 3)`` rotations, accurate near 0 and near 180 degrees, ``(B, 3)``."""
    vectors = np.zeros((len(rotation), 3))
    for lane, r in enumerate(rotation):
        # The unit quaternion by Shepperd's choice of the largest component (w, x, y, z).
        squares = np.array([np.trace(r), r[0, 0], r[1, 1], r[2, 2]])
        k = int(np.argmax(squares))
        q = np.empty(4)
        if k == 0:
            q[:] = (1 + squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1])
        else:
            i, j, m = k - 1, k % 3, (k + 1) % 3
            q[0] = r[m, j] - r[j, m]
            q[1 + i] = 1 + r[i, i] - r[j, j] - r[m, m]
            q[1 + j] = r[i, j] + r[j, i]
            q[1 + m] = r[i, m] + r[m, i]
        q *= (-1.0 if q[0] < 0 else 1.0) / np.linalg.norm(q)
        sine = np.linalg.norm(q[1:])
        vectors[lane] = q[1:] * (2 * np.arctan2(sine, q[0]) / sine if sine > 1e-12 else 2.0)
    return vectors


def log_general(linear: FloatArray, nearest: bool) -> FloatArray:
    """The real principal logarithm of a square matrix.

    Where it has none, ``nearest`` gives that of its rotation plus that of its stretch.
    """
    from scipy.linalg import logm

    if not np.linalg.det(linear) > 0:
        raise ValueError(f"the linear part {linear.tolist()} mirrors or collapses space and has no real logarithm")
    logarithm = np.asarray(logm(linear))
    if np.iscomplexobj(logarithm):
        if np.abs(logarithm.imag).max() > 1e-9:
            if nearest:
                u, s, vt = np.linalg.svd(linear)
                return log_scaled_rotation((u @ vt)[None], "rigid")[0] + (vt.T * np.log(s)) @ vt
            raise ValueError(f"the linear part {linear.tolist()} has no real logarithm")
        logarithm = logarithm.real
    return np.ascontiguousarray(logarithm, dtype=np.float64)
