"""The shape of a heart about the long axis of its left ventricle, and the map between its end-systole and end-diastole.

Coordinates are the short-axis frame of the subject: z along the left ventricle's long axis towards the base, x towards
the lateral wall, y towards the inferior wall, the axis at x = y = 0 (what a short-axis slice shows when it is looked at
from the apex). The heart is described at end-diastole, at rest, by radii about the axis.

The map from an end-systolic point to the same tissue at end-diastole is three maps one after the other, each of them
one-to-one because it is increasing in the one coordinate that it moves:

1. along the axis: the base comes down by the longitudinal shortening, the apex stays (so does the tissue far away);
2. about the axis: the apex turns against the base (torsion);
3. along the radius, on its square: ``R^2 = s q + k q_i S(q / q_i)``. With ``s`` the longitudinal shortening, a wall
   (``S`` = 1) keeps its volume and so thickens, as the cylinder of Guccione, McCulloch and Waldman, J. Biomech. Eng.
   113 (1991) 42-55; the cavity within gives its blood away. The right ventricle is stretched by its own factor, and
   what lies beyond takes up the rest, to nothing at ``far``.

In a slice alone (``planar``) the first map is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy import heartbeat_kernels as kernels


class Heart(NamedTuple):
    """One heart, at end-diastole, and how it beats. Lengths in mm, angles in radians.

    Attributes:
        endo: Largest radius of the left ventricle's cavity.
        wall: Thickness of its wall there.
        level: Where the cavity is widest.
        apex: Length of the cavity from there to its apex.
        taper: Length over which it would close towards the base.
        base: Level of the mitral valve.
        oval: Relative deviation of the wall from a circle, with two lobes.
        oval_angle: Direction of the long axis of that oval.
        corner: The same with three lobes.
        corner_angle: Direction of a lobe.
        rv_depth: Largest depth of the right ventricle's cavity beyond the septum.
        rv_angle: Direction of its middle.
        rv_width: Half of the angle that it goes around the left ventricle.
        rv_level: Level of its largest depth.
        rv_reach: Length from there to its apex.
        shortening: Length of the left ventricle at end-systole over that at end-diastole.
        squeeze: ``k`` above: area of the cavity at end-diastole over that at end-systole, less ``shortening``.
        twist_apex: Angle by which the apex turns from end-systole to end-diastole.
        twist_base: The same at the base.
        infarct: Share of the squeeze that is lost in the middle of the infarct (0: none).
        infarct_angle: Direction of its middle.
        infarct_level: Level of its middle.
        infarct_focus: Concentration about its direction (von Mises).
        infarct_height: Standard deviation along the axis.
        rv_stretch: Area of the right ventricle at end-diastole over that at end-systole.
        far: Radius at which the motion has died out.
    """

    endo: float
    wall: float
    level: float
    apex: float
    taper: float
    base: float
    oval: float
    oval_angle: float
    corner: float
    corner_angle: float
    rv_depth: float
    rv_angle: float
    rv_width: float
    rv_level: float
    rv_reach: float
    shortening: float
    squeeze: float
    twist_apex: float
    twist_base: float
    infarct: float
    infarct_angle: float
    infarct_level: float
    infarct_focus: float
    infarct_height: float
    rv_stretch: float
    far: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draws a heart: two in three eject 50 to 70 %, the others, with an infarct, 25 to 50 %."""
    ill = rng.random() < 0.34
    endo = rng.uniform(23.5, 31.5) if ill else rng.uniform(22.0, 27.0)
    ejection = rng.uniform(0.30, 0.50) if ill else rng.uniform(0.50, 0.69)
    shortening = 1.0 - 0.24 * ejection - rng.uniform(0.0, 0.02)
    septum = np.deg2rad(rng.uniform(168, 202))
    return Heart(
        endo=endo,
        wall=rng.uniform(7.0, 9.5),
        level=rng.uniform(6.0, 14.0),
        apex=rng.uniform(50.0, 60.0),
        taper=rng.uniform(80.0, 110.0),
        base=rng.uniform(34.0, 42.0),
        oval=rng.uniform(0.0, 0.045),
        oval_angle=rng.uniform(0.0, np.pi),
        corner=rng.uniform(0.0, 0.025),
        corner_angle=rng.uniform(0.0, 2 * np.pi),
        rv_depth=rng.uniform(18.0, 28.0),
        rv_angle=septum,
        rv_width=np.deg2rad(rng.uniform(66, 82)),
        rv_level=rng.uniform(14.0, 30.0),
        rv_reach=rng.uniform(56.0, 70.0),
        shortening=shortening,
        squeeze=shortening * ejection / (1.0 - ejection),
        twist_apex=np.deg2rad(rng.uniform(3.0, 10.0)) * (0.6 if ill else 1.0),
        twist_base=-np.deg2rad(rng.uniform(0.0, 5.0)),
        infarct=rng.uniform(0.40, 0.75) if ill else 0.0,
        infarct_angle=rng.uniform(0.0, 2 * np.pi),
        infarct_level=rng.uniform(-30.0, 15.0),
        infarct_focus=rng.uniform(1.5, 4.0),
        infarct_height=rng.uniform(18.0, 35.0),
        rv_stretch=rng.uniform(1.3, 1.75),
        far=rng.uniform(82.0, 90.0),
    )


def diastole(points: FloatArray, heart: Heart, planar: bool = False) -> FloatArray:
    """Where the tissue at end-systolic points ``(N, 3)`` lies at end-diastole, mm."""
    out = np.empty((len(points), 3))
    kernels.forward(np.ascontiguousarray(points, dtype=np.float64), heart, planar, out)
    return out


def systole(points: FloatArray, heart: Heart, planar: bool = False) -> FloatArray:
    """Where the tissue at end-diastolic points ``(N, 3)`` lies at end-systole: the inverse of :func:`diastole`."""
    out = np.empty((len(points), 3))
    kernels.backward(np.ascontiguousarray(points, dtype=np.float64), heart, planar, out)
    return out
