"""From a seed to the anatomy of a head with its brain, for MR: one template brain under each subject's warp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.cerebrum import Traits, View, interior, paint_brain
from regenv.synthesis.anatomy.cranium import paint_head, place
from regenv.synthesis.anatomy.torso import finish
from regenv.synthesis.anatomy.warp import Warp

_LO, _HI = (-92.0, -112.0, -100.0), (92.0, 128.0, 96.0)
"""The painted region in template mm."""

LANDMARKS: dict[str, tuple[float, float, float]] = {
    "anterior_commissure": (0, 0, 0),
    "posterior_commissure": (0, 27, 0),
    "genu": (0, -31, 8),
    "splenium": (0, 40, 11),
    "callosum_top": (0, 6, 27),
    "frontal_horn_left": (9, -30, 4),
    "frontal_horn_right": (-9, -30, 4),
    "atrium_left": (24, 38, 12),
    "atrium_right": (-24, 38, 12),
    "temporal_horn_left": (31, 10, -18),
    "temporal_horn_right": (-31, 10, -18),
    "pons": (0, 13, -31),
    "medulla": (0, 37, -52),
    "fastigium": (0, 46, -32),
    "putamen_left": (26, -4, 2),
    "putamen_right": (-26, -4, 2),
    "hippocampus_left": (28, 20, -16),
    "hippocampus_right": (-28, 20, -16),
    "insula_left": (38, -2, 0),
    "insula_right": (-38, -2, 0),
    **{f"eye_{side}": tuple(place((x, -86.0, 31.0))) for side, x in (("left", 32.0), ("right", -32.0))},
}
"""Template points that every brain has."""


@dataclass(frozen=True)
class BrainSubject:
    """Who is scanned: how the template becomes this head, and what else differs.

    Attributes:
        seed: The subject.
        warp: Subject to template coordinates.
        traits: The residual.
    """

    seed: int
    warp: Warp
    traits: Traits

    @staticmethod
    def draw(seed: int, in_plane: bool = False) -> BrainSubject:
        """A random adult.

        Args:
            seed: The subject.
            in_plane: Let size and warp act in axial planes alone, alike in all of them, so that axial slices of two
                subjects correspond within their plane.
        """
        rng = np.random.default_rng([seed, 31])
        # the template is a large head, as the atlas is
        size = 0.93 * np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.025, 3))
        scale = (float(size[0]), float(size[1]), 0.93 if in_plane else float(size[2]))
        warp = Warp(np.random.default_rng([seed, 32]), scale, 4.1, 60.0, (-180.0,) * 3, (180.0,) * 3)
        _as_heads_differ(warp)
        if in_plane:
            warp.lattices[2] = 0.0
            # the plane of knots through the middle
            warp.lattices[:2] = 0.75 * warp.lattices[:2, 5:6].copy()
        return BrainSubject(seed, warp, Traits.draw(np.random.default_rng([seed, 33])))


def brain(subject: BrainSubject, spacing_mm: float = 2.4, levels: Sequence[float] | None = None) -> Anatomy:
    """Builds a head.

    Args:
        subject: Whose.
        spacing_mm: Isotropic voxel size.
        levels: Lowest and highest z in subject mm, for a slab; default the head from the palate to the vertex.

    Returns:
        The anatomy, in the subject's space.
    """
    low, high = subject.warp.bounds(np.asarray(_LO), np.asarray(_HI))
    if levels is not None:
        low[2], high[2] = levels
    canvas = Canvas(tuple(low), tuple(high), spacing_mm, subject.warp)
    body = paint_head(View(canvas, canvas.everything), subject.traits, subject.seed)
    paint_brain(canvas, subject.traits)
    marks: dict[str, NDArray[np.float64]] = {name: np.asarray(p, float) for name, p in LANDMARKS.items()}
    return finish(canvas, subject.seed, body, marks)


def in_brain(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance (mm, negative inside) of template points ``(N, 3)`` to the smooth surface of the brain."""
    x, y, z = (np.ascontiguousarray(points[:, a], dtype=np.float32) for a in range(3))
    return np.asarray(interior(x, y, z), dtype=np.float64)


def _as_heads_differ(warp: Warp) -> None:
    """Makes a warp mostly symmetric about the midsagittal plane, and weaker toward the skull than in the brain."""
    mirrored = warp.lattices[..., ::-1] * np.array([-1.0, 1.0, 1.0], np.float32)[:, None, None, None]
    symmetric = 0.54 * (warp.lattices + mirrored) + 0.28 * warp.lattices
    count = warp.lattices.shape[1:]
    z, y, x = np.meshgrid(
        *(warp.origin[2 - a] + warp.knot_mm * (np.arange(n) - 2) for a, n in enumerate(count)), indexing="ij"
    )
    radius = np.sqrt((x / 70) ** 2 + ((y - 8) / 88) ** 2 + ((z - 5) / 70) ** 2)
    strength = np.interp(radius, [0.8, 1.4], [1.0, 0.3])
    warp.lattices = (symmetric * strength).astype(np.float32)
