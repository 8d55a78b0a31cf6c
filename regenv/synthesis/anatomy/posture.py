"""A spine that bends at its discs: vertebrae move rigidly, discs and what lies between give way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy import posture_kernels as kernels
from regenv.synthesis.anatomy.subject import Vertebra
from regenv.synthesis.anatomy.warp import Warp


@dataclass(frozen=True, eq=False)
class Joint:
    """A disc at which what lies beyond it, as seen from the vertebra that stays, turns.

    Attributes:
        centre: Of the disc, mm.
        axes: Columns: left, back, up.
        height: Of the disc, mm.
        upward: Whether the part above the disc turns or the part below.
    """

    centre: FloatArray
    axes: FloatArray
    height: float
    upward: bool


def joints(vertebrae: Sequence[Vertebra], warp: Warp, still: str) -> tuple[Joint, ...]:
    """The discs below vertebrae, in the subject's space.

    Args:
        vertebrae: From above downward, in template mm.
        warp: Of the subject.
        still: Name of the vertebra that stays.
    """
    names = [v.name for v in vertebrae]
    stays = names.index(still)
    found = []
    for v in vertebrae:
        middle = v.centre - v.axes @ np.array([0.0, 0.0, (v.height + v.disc) / 2])
        steps = 8.0 * np.array([[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1], [0, 0, 0]]) @ v.axes.T
        behind, before, above, below, centre = warp.to_subject(middle + steps)
        up = (above - below) / np.linalg.norm(above - below)
        back = (behind - before) - up * (up @ (behind - before))
        back /= np.linalg.norm(back)
        axes = np.column_stack([np.cross(back, up), back, up])
        found.append(Joint(centre, axes, v.disc * float(warp.scale[2]), names.index(v.name) < stays))
    return tuple(found)


def straightened(joints: Sequence[Joint], angles: FloatArray, points: FloatArray) -> FloatArray:
    """Where the tissue lies at rest that a bent patient has at points ``(N, 3)``, mm.

    One joint after the other, from the vertebra that stays outward, is turned back: near the spine by nothing on the
    one side of the disc and the whole angle on the other, far from it over some centimetres.

    Args:
        joints: Of the patient at rest, from above downward.
        angles: ``(len(joints), 3)`` rotation vectors along each joint's axes, radians, from bent to rest.
        points: Of the bent patient.
    """
    turns = list(zip(joints, angles, strict=True))
    outward = [t for t in reversed(turns) if t[0].upward] + [t for t in turns if not t[0].upward]
    rows = np.array([
        [*j.centre, *j.axes.T.ravel(), *(j.axes @ a), j.height / 2 + 1.0, 1.0 if j.upward else -1.0]
        for j, a in outward
    ]).reshape(-1, 17)  # fmt: skip
    out = np.array(points, dtype=np.float64, order="C")
    kernels.turn(out, rows)
    return out
